"""What a fit changes, and how all of it is saved and restored exactly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recsys import __version__

Scalar = float | int | bool | None
"""A number of an epoch or of an optimizer."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Carried:
    """State that steps carry from batch to batch besides weights and optimizers."""

    generators: Sequence[torch.Generator] = ()
    """Generators that batches and steps draw from; torch's own are always included."""
    read: Callable[[], Mapping[str, Tensor]] = dict
    """Gives all else, as tensors by name."""
    write: Callable[[Mapping[str, Tensor]], object] = dict
    """Restores it from tensors on the CPU, which it may keep."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Trainee:
    """What a fit changes."""

    module: nn.Module
    """What is trained."""
    optimizers: Sequence[torch.optim.Optimizer]
    """They hold its parameters."""
    carried: Carried
    """The rest."""

    def identity(self, settings: Mapping[str, object]) -> str:
        """Digest of the settings, the shapes and the versions that a fit depends on."""
        content = {
            "made_by": [__version__, str(torch.__version__)],
            "settings": settings,
            "tensors": {
                name: [str(tensor.dtype), *tensor.shape]
                for name, tensor in self.module.state_dict().items()
            },
            "optimizers": [
                [type(optimizer).__name__, optimizer.state_dict()["param_groups"]]
                for optimizer in self.optimizers
            ],
        }
        text = json.dumps(content, default=str, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def optimizer_states(self) -> tuple[dict[str, Tensor], dict[str, Scalar]]:
        """Tensors and numbers, each named by optimizer, parameter and key."""
        values: dict[str, Tensor | Scalar] = {
            f"{number}.{parameter}.{key}": value
            for number, optimizer in enumerate(self.optimizers)
            for parameter, state in optimizer.state_dict()["state"].items()
            for key, value in state.items()
        }
        tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
        scalars = {name: value for name, value in values.items() if not isinstance(value, Tensor)}
        return tensors, scalars

    def restore_optimizers(
        self, tensors: Mapping[str, Tensor], scalars: Mapping[str, Scalar]
    ) -> None:
        """Restore states. Rates and other options stay: the loop sets rates before each step."""
        states: list[dict[int, dict[str, Tensor | Scalar]]] = [{} for _ in self.optimizers]
        for name, value in (*tensors.items(), *scalars.items()):
            number, parameter, key = name.split(".", 2)
            states[int(number)].setdefault(int(parameter), {})[key] = value
        for optimizer, state in zip(self.optimizers, states, strict=True):
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": state, "param_groups": groups})

    def random_states(self) -> dict[str, bytes]:
        """State of every generator that training draws from, by name."""
        states = {"torch": torch.get_rng_state()}
        device = self._device()
        if device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(device)
        for number, generator in enumerate(self.carried.generators):
            states[str(number)] = generator.get_state()
        return {name: state.numpy().tobytes() for name, state in states.items()}

    def restore_random_states(self, states: Mapping[str, bytes]) -> None:
        """Restore generators; one that does not exist here, such as CUDA's on a CPU, is skipped."""
        for name, data in states.items():
            state = torch.frombuffer(bytearray(data), dtype=torch.uint8)
            if name == "torch":
                torch.set_rng_state(state)
            elif name != "cuda":
                self.carried.generators[int(name)].set_state(state)
            elif self._device().type == "cuda":
                torch.cuda.set_rng_state(state, self._device())

    def _device(self) -> torch.device:
        return next(self.module.parameters()).device
