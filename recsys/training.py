"""The training loop: the model provides its step, the loop does epochs, stopping and progress."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast

from pydantic import Field

from recsys.config import config_class, config_to_dict
from recsys.errors import ConfigError, TrainingError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from recsys.checkpoints import Carried, Checkpoints, Stage

BatchT = TypeVar("BatchT")

_REMEDY = "lower training.learning_rate or raise model.temperature"


@config_class
class TrainingConfig:
    """How to train; what to train is the model's own config."""

    num_epochs: int = Field(default=12, ge=1)
    """Passes over the data at most; the learning rate falls to a twentieth over them."""
    batch_size: int | None = Field(default=None, ge=1)
    """Queries in a batch; by default a fortieth of them, within 128 and 1024."""
    learning_rate: float = Field(default=0.01, gt=0)
    """Step size of Adam at the start."""
    patience: int = Field(default=3, ge=1)
    """Epochs without a better validation measure after which training stops."""
    time_budget_s: float | None = Field(default=None, gt=0)
    """Seconds that choosing settings and the fit after it may take, within which as much is trained
    as there is time for; by default training takes what it needs."""
    seed: int = Field(default=0, ge=0, lt=1 << 32)
    """Seed of everything random."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto takes CUDA if it is there."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Type of the large matrix products; auto takes bfloat16 where a short trial shows that the
    processor is much faster in it."""


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """One pass over the training data."""

    epoch: int
    """From 1."""
    loss: float
    """Mean over the batches."""
    duration_s: float
    """Seconds of training, validation apart."""
    examples_per_s: float
    """Examples (interactions, transactions) trained on in a second."""
    validation: float | None
    """The measure that training is stopped by, higher is better; None without validation."""


@dataclass(frozen=True, kw_only=True)
class BatchProgress:
    """Progress of an epoch."""

    epoch: int
    """From 1."""
    num_epochs: int
    """Epochs at most."""
    share_done: float
    """Share of this epoch that is done, within 0 and 1."""
    examples_per_s: float
    """Mean speed of this epoch so far."""


@dataclass(frozen=True, kw_only=True)
class Epochs(Generic[BatchT]):
    """The training data, drawn anew for each epoch."""

    num_batches: int
    """Batches in an epoch."""
    draw: Callable[[int], Iterable[BatchT]]
    """Batches of the epoch of a given number."""
    num_examples: Callable[[BatchT], int]
    """Number of examples in a batch."""


def fit(
    module: nn.Module,
    *,
    epochs: Epochs[BatchT],
    step: Callable[[BatchT], Tensor],
    optimizers: Sequence[torch.optim.Optimizer],
    config: TrainingConfig,
    validate: Callable[[], float] | None = None,
    num_epochs: int | None = None,
    deadline: float | None = None,
    on_epoch: Callable[[EpochResult], None] | None = None,
    on_batch: Callable[[BatchProgress], None] | None = None,
    checkpoints: Checkpoints | None = None,
    carried: Carried | None = None,
) -> list[EpochResult]:
    """Train a module in place.

    With `validate`, training stops after `config.patience` epochs without a better value, and the
    module ends with the weights of the best epoch. Without it, it ends after `num_epochs`. The
    learning rate depends on the position within `config.num_epochs` either way, so that a refit
    with the best number of epochs uses the same rates.

    Args:
        module: What is trained.
        epochs: The data.
        step: Loss of a batch, a scalar.
        optimizers: They hold the parameters of `module`.
        config: How to train.
        validate: A measure, higher is better, taken after each epoch.
        num_epochs: Epochs to run where there is no validation; `config.num_epochs` by default.
        deadline: Value of `time.perf_counter` at which training ends, in the middle of an epoch
            if need be; the learning rate falls with the time then, where that is ahead of epochs.
        on_epoch: Called after each epoch that is run now.
        on_batch: Called after each batch.
        checkpoints: Where this fit leaves checkpoints, and goes on from the newest one that it
            finds. Not used with a `deadline`: what is trained by then depends on the clock.
        carried: What `epochs` and `step` draw from or change; checkpoints hold it too.

    Returns:
        Every epoch that was run, before a kill or now.

    Raises:
        TrainingError: A loss, or a weight at the end of an epoch, that is not finite.
    """
    last_epoch = min(num_epochs or config.num_epochs, config.num_epochs)
    base_rates = [[group["lr"] for group in opt.param_groups] for opt in optimizers]
    began = time.perf_counter()
    stage = None
    if checkpoints is not None and deadline is None:
        plan = [last_epoch, epochs.num_batches, validate is not None]
        settings = {"config": config_to_dict(config), "plan": plan}
        stage = checkpoints.stage(module, optimizers, carried, settings=settings)
    results, best_state, is_over = _resumed(stage)

    def descend(batch: BatchT, progress: float) -> float:
        progress = max(progress, _time_used(began, deadline))
        _set_rates(optimizers, base_rates, 1 - 0.95 * progress)
        return _descend(step, batch, optimizers)

    while not is_over:
        epoch = len(results) + 1
        module.train()
        run = _run_epoch(
            epoch, epochs, descend, config.num_epochs, on_batch=on_batch, deadline=deadline
        )
        _check_weights(module)
        module.eval()
        results.append(run if validate is None else replace(run, validation=validate()))
        if on_epoch is not None:
            on_epoch(results[-1])
        if validate is not None and best_epoch(results) == epoch:
            best_state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        is_past_best = validate is not None and epoch - best_epoch(results) >= config.patience
        is_over = epoch == last_epoch or is_past_best or _time_used(began, deadline) == 1
        if is_over and best_state is not None:
            module.load_state_dict(best_state)
        if stage is not None:
            stage.save([asdict(result) for result in results], best_state, is_complete=is_over)
    module.eval()
    return results


def _resumed(stage: Stage | None) -> tuple[list[EpochResult], dict[str, Tensor] | None, bool]:
    """Epochs and best weights that a checkpoint has, and whether the fit is over."""
    if stage is None:
        return [], None, False
    progress = stage.resume()
    results = [EpochResult(**cast("Any", epoch)) for epoch in progress.epochs]
    return results, progress.best, progress.is_complete


def _run_epoch(
    epoch: int,
    epochs: Epochs[BatchT],
    descend: Callable[[BatchT, float], float],
    num_epochs: int,
    *,
    on_batch: Callable[[BatchProgress], None] | None,
    deadline: float | None,
) -> EpochResult:
    """Train on every batch once, or until the deadline.

    The first batch is trained on, deadline or not.
    """
    start, losses, num_examples = time.perf_counter(), [], 0
    for number, batch in enumerate(epochs.draw(epoch)):
        share_done = number / epochs.num_batches
        losses.append(descend(batch, (epoch - 1 + share_done) / num_epochs))
        num_examples += epochs.num_examples(batch)
        if on_batch is not None:
            on_batch(
                BatchProgress(
                    epoch=epoch,
                    num_epochs=num_epochs,
                    share_done=(number + 1) / epochs.num_batches,
                    examples_per_s=num_examples / (time.perf_counter() - start),
                )
            )
        if _time_used(start, deadline) == 1:
            break
    duration_s = time.perf_counter() - start
    return EpochResult(
        epoch=epoch,
        loss=sum(losses) / max(len(losses), 1),
        duration_s=duration_s,
        examples_per_s=num_examples / duration_s,
        validation=None,
    )


def _time_used(began: float, deadline: float | None) -> float:
    """The share of the time that is over, within 0 and 1; 0 without a deadline."""
    if deadline is None:
        return 0.0
    now = time.perf_counter()
    return 1.0 if now >= deadline else (now - began) / (deadline - began)


def best_epoch(results: Sequence[EpochResult]) -> int:
    """Number of the epoch with the highest validation measure, the earliest of equals.

    Without validation it is the last one.
    """
    if any(result.validation is None for result in results):
        return len(results)
    return max(results, key=lambda result: (result.validation, -result.epoch)).epoch


def choose_device(name: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """The device that a setting means.

    Raises:
        ConfigError: CUDA is asked for and not there.
    """
    import torch

    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ConfigError("training.device: expected a CUDA device, got none; use 'auto' or 'cpu'")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def choose_precision(
    name: Literal["auto", "float32", "bfloat16"], device: torch.device
) -> torch.dtype:
    """The type of large matrix products: bfloat16 by default only where it is much faster."""
    import torch

    from recsys.nn.precision import bfloat16_is_fast

    if name != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = bfloat16_is_fast()
    return torch.bfloat16 if fast else torch.float32


def _check_weights(module: nn.Module) -> None:
    """Refuse weights that the last step has spoilt, which no loss has shown yet."""
    for name, weight in module.named_parameters():
        if not bool(weight.isfinite().all()):
            raise TrainingError(f"expected finite weights, got others in {name}; {_REMEDY}")


def _set_rates(
    optimizers: Sequence[torch.optim.Optimizer], base_rates: list[list[float]], factor: float
) -> None:
    for opt, rates in zip(optimizers, base_rates, strict=True):
        for group, rate in zip(opt.param_groups, rates, strict=True):
            group["lr"] = rate * factor


def _descend(
    step: Callable[[BatchT], Tensor], batch: BatchT, optimizers: Sequence[torch.optim.Optimizer]
) -> float:
    """One step downhill; the loss before it."""
    for opt in optimizers:
        opt.zero_grad(set_to_none=True)
    loss = step(batch)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise TrainingError(f"expected a finite loss, got {value}; {_REMEDY}")
    loss.backward()  # type: ignore[no-untyped-call]
    for opt in optimizers:
        opt.step()
    return value
