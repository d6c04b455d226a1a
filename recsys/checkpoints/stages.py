"""The work folder of one job, with checkpoints of each of its fits.

    fit-001/000004/                  the first fit of the job, after its epoch 4
        manifest.json                size and SHA-256 of each file
        tensors/NAME.safetensors     weights, best weights, state of the optimizers, what is carried
        documents/progress.json      epochs, scalars of the optimizers, states of random generators

Each checkpoint is written into a new folder, flushed to the disk and renamed, so that after a kill
it is either complete or absent. The newest two of a fit are kept: if one is damaged, the one before
is used. On the same CPU, a fit that goes on from a checkpoint ends with the same bits as one that
was never stopped.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import torch
from pydantic import JsonValue
from torch import Tensor, nn

from recsys.artifacts.bundle import Bundle, read_bundle, write_bundle
from recsys.checkpoints.trainee import Carried, Scalar, Trainee
from recsys.config import config_class, config_to_dict, parse_config
from recsys.errors import ArtifactError, ConfigError, TrainingError
from recsys.files import PRIVATE_FOLDER, sync_folder

KIND = "training-checkpoint"
"""Kind of the bundle that a checkpoint is."""

_KEPT = 2
_NAME = re.compile(r"\d{6}")
_DRAFT_SUFFIX = ".tmp"
_Coded = dict[str, str | int | bool | None]  # a float is hexadecimal, which keeps all its bits


@dataclass(frozen=True, kw_only=True, eq=False)
class Progress:
    """How far a fit has come."""

    epochs: Sequence[Mapping[str, Scalar]] = ()
    """Results of the epochs that were run."""
    best: dict[str, Tensor] | None = None
    """Weights of the best epoch so far, where one is chosen; on the CPU after they were read
    back."""
    is_complete: bool = False
    """Whether the fit is over; then the weights of the module are the final ones."""


@config_class
class _Document:
    """The JSON of a checkpoint."""

    epochs: tuple[_Coded, ...]
    optimizers: _Coded
    random_states: dict[str, str]
    is_complete: bool


@dataclass(eq=False)
class Checkpoints:
    """The work folder of one job, which runs its fits in the same order each time it is started.

    One object serves one run of the job: it counts the fits. Only one run at a time may use the
    folder, and jobs of other settings or data need another one.
    """

    root: Path
    """Made when the first checkpoint is written."""
    min_interval_s: float = 20.0
    """Least number of seconds between two checkpoints; at the end of a fit one is always
    written."""
    _num_stages: int = field(default=0, init=False)
    _latest_save: float = field(default_factory=time.perf_counter, init=False)

    def stage(
        self,
        module: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        carried: Carried | None,
        *,
        settings: Mapping[str, object],
    ) -> Stage:
        """The next fit of the job.

        Args:
            module: What is fitted, at its start.
            optimizers: They hold its parameters.
            carried: Other state of the steps.
            settings: What the fit depends on; a checkpoint of other settings is not used.
        """
        self._num_stages += 1
        trainee = Trainee(module=module, optimizers=optimizers, carried=carried or Carried())
        return Stage(
            owner=self,
            folder=self.root.absolute() / f"fit-{self._num_stages:03d}",
            trainee=trainee,
            identity=trainee.identity(settings),
        )

    def clear(self) -> None:
        """Remove the folder, once the job has succeeded.

        Raises:
            TrainingError: It cannot be removed.
        """
        with _disk_errors(self.root):
            _remove(self.root)

    def is_due(self) -> bool:
        """Whether the latest checkpoint was written long enough ago."""
        return time.perf_counter() - self._latest_save >= self.min_interval_s

    def saved(self) -> None:
        """Note that a checkpoint was written just now."""
        self._latest_save = time.perf_counter()


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """One fit of a job."""

    owner: Checkpoints
    """The job."""
    folder: Path
    """Where its checkpoints lie."""
    trainee: Trainee
    """What is fitted."""
    identity: str
    """Digest of what the fit depends on."""

    def resume(self) -> Progress:
        """Restore the newest valid checkpoint; without one there is no progress.

        Checkpoints that are damaged, or of another fit, are removed.

        Raises:
            TrainingError: The folder cannot be read or changed.
        """
        with _disk_errors(self.folder):
            for path in self.folder.glob(f"*{_DRAFT_SUFFIX}"):
                _remove(path)
            for path in reversed(self._checkpoints()):
                try:
                    return self._load(path)
                except (ArtifactError, ConfigError):
                    _remove(path)
        return Progress()

    def save(
        self,
        epochs: Sequence[Mapping[str, Scalar]],
        best: Mapping[str, Tensor] | None,
        *,
        is_complete: bool,
    ) -> None:
        """Write a checkpoint if one is due, or if the fit is over.

        Args:
            epochs: Results of the epochs that were run.
            best: Weights of the best epoch so far, where one is chosen.
            is_complete: Whether the weights of the module are final.

        Raises:
            ArtifactError: The disk refuses a file.
            TrainingError: The disk refuses a folder.
        """
        if not (is_complete or self.owner.is_due()):
            return
        path = self.folder / f"{len(epochs):06d}"
        draft = path.with_name(path.name + _DRAFT_SUFFIX)
        with _disk_errors(self.folder):
            self.folder.mkdir(PRIVATE_FOLDER, parents=True, exist_ok=True)
            self._write(draft, epochs, best, is_complete=is_complete)
            draft.rename(path)
            sync_folder(self.folder)
            for outdated in self._checkpoints()[:-_KEPT]:
                _remove(outdated)
        self.owner.saved()

    def _checkpoints(self) -> list[Path]:
        """From the oldest to the newest."""
        if not self.folder.exists():
            return []
        return sorted(path for path in self.folder.iterdir() if _NAME.fullmatch(path.name))

    def _write(
        self,
        folder: Path,
        epochs: Sequence[Mapping[str, Scalar]],
        best: Mapping[str, Tensor] | None,
        *,
        is_complete: bool,
    ) -> None:
        trainee = self.trainee
        groups: dict[str, Mapping[str, Tensor]] = {"weights": trainee.module.state_dict()}
        scalars: Mapping[str, Scalar] = {}
        if not is_complete:
            moments, scalars = trainee.optimizer_states()
            groups |= {"optimizers": moments, "carried": trainee.carried.read()}
            if best is not None:
                groups["best"] = best
        document = _Document(
            epochs=tuple(_coded(epoch) for epoch in epochs),
            optimizers=_coded(scalars),
            random_states={name: state.hex() for name, state in trainee.random_states().items()},
            is_complete=is_complete,
        )
        write_bundle(
            folder,
            kind=KIND,
            config={"identity": self.identity},
            tensors={
                group: {name: tensor.numpy(force=True) for name, tensor in tensors.items()}
                for group, tensors in groups.items()
            },
            documents={"progress": config_to_dict(document)},
        )

    def _load(self, folder: Path) -> Progress:
        """Read a checkpoint and restore it; nothing is changed before all of it was read.

        Raises:
            ArtifactError: The checkpoint is damaged, or of another fit.
            ConfigError: Its document is not one.
        """
        bundle, trainee = read_bundle(folder, kind=KIND), self.trainee
        if bundle.config.get("identity") != self.identity:
            raise ArtifactError(f"{folder}: expected a checkpoint of this fit, got another one's")
        fields = cast("dict[str, JsonValue]", bundle.document("progress"))
        document = parse_config(_Document, fields, source=str(folder))
        groups = _read_tensors(bundle)
        trainee.module.load_state_dict(groups["weights"])
        if not document.is_complete:
            trainee.restore_optimizers(groups["optimizers"], _decoded(document.optimizers))
            trainee.carried.write(groups["carried"])
        trainee.restore_random_states(
            {name: bytes.fromhex(state) for name, state in document.random_states.items()}
        )
        return Progress(
            epochs=tuple(_decoded(epoch) for epoch in document.epochs),
            best=groups.get("best"),
            is_complete=document.is_complete,
        )


def _read_tensors(bundle: Bundle) -> dict[str, dict[str, Tensor]]:
    """All groups of tensors, copied: the mapped memory of a file is read-only."""
    groups = [Path(name).stem for name in bundle.manifest.files if name.startswith("tensors/")]
    return {
        group: {name: torch.tensor(array) for name, array in bundle.tensors(group).items()}
        for group in groups
    }


def _coded(values: Mapping[str, Scalar]) -> _Coded:
    return {
        name: value.hex() if isinstance(value, float) else value for name, value in values.items()
    }


def _decoded(values: Mapping[str, str | int | bool | None]) -> dict[str, Scalar]:
    return {
        name: float.fromhex(value) if isinstance(value, str) else value
        for name, value in values.items()
    }


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Turn errors of the file system into one line that names the path."""
    try:
        yield
    except OSError as error:
        path, reason = error.filename or folder, error.strerror or error
        raise TrainingError(
            f"{path}: expected a folder for checkpoints, got: {reason}; make room or remove it"
        ) from error
