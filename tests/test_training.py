"""The training loop: what it stops at, what it keeps, what it refuses, whom it tells."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recsys.errors import ConfigError, TrainingError
from recsys.nn import precision
from recsys.training import (
    BatchProgress,
    EpochResult,
    Epochs,
    TrainingConfig,
    best_epoch,
    choose_device,
    choose_precision,
    fit,
)

BATCHES = 4


class Line(nn.Module):
    """A slope to learn."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(0.0))
        self.dropout = nn.Dropout(0.5)


@dataclass(eq=False)
class Fitting:
    """One run of the loop: a line towards slope 3, over batches that noise tells apart."""

    config: TrainingConfig
    module: Line = field(default_factory=Line)
    rates: list[float] = field(default_factory=list)
    was_training: list[bool] = field(default_factory=list)

    def run(
        self,
        step: Callable[[Tensor], Tensor] | None = None,
        measures: list[float] | None = None,
        **options: object,
    ) -> list[EpochResult]:
        """Fit; `measures` are what validation finds, epoch by epoch."""
        self.optimizer = torch.optim.Adam(
            [{"params": [self.module.slope], "lr": self.config.learning_rate}]
        )
        found = iter(measures or [])
        return fit(
            self.module,
            epochs=Epochs(num_batches=BATCHES, draw=self.draw, num_examples=len),
            step=step or self.step,
            optimizers=[self.optimizer],
            config=self.config,
            validate=(lambda: next(found)) if measures is not None else None,
            **options,
        )

    def draw(self, epoch: int) -> Iterator[Tensor]:
        """Batches of an epoch: they depend on the seed and on its number alone."""
        generator = torch.Generator().manual_seed(1000 * self.config.seed + epoch)
        return iter(torch.randn(BATCHES, 5, generator=generator))

    def step(self, batch: Tensor) -> Tensor:
        """Squared distance from a noisy target."""
        self.rates.append(self.optimizer.param_groups[0]["lr"])
        self.was_training.append(self.module.training)
        return (self.module.slope - 3 - batch.mean()).square()


def slope_after(num_epochs: int, config: TrainingConfig) -> float:
    """The slope after some epochs without validation."""
    fitting = Fitting(config)
    fitting.run(num_epochs=num_epochs)
    return fitting.module.slope.item()


def test_early_stopping_restores_the_weights_of_the_best_epoch() -> None:
    """With patience 2, worse epochs 3 and 4 end training, and the weights are those of epoch 2."""
    config = TrainingConfig(num_epochs=9, patience=2)
    fitting = Fitting(config)
    results = fitting.run(measures=[0.1, 0.5, 0.4, 0.3, 0.9])
    assert [result.epoch for result in results] == [1, 2, 3, 4]
    assert best_epoch(results) == 2
    assert fitting.module.slope.item() == slope_after(2, config)
    assert fitting.module.slope.item() != slope_after(4, config)


@pytest.mark.parametrize(
    ("measures", "expected"),
    [
        ([0.3, 0.2, 0.1], 1),
        ([0.1, 0.2, 0.3], 3),
        ([0.2, 0.2, 0.1], 1),
        ([0.1, 0.3, 0.2], 2),
    ],
    ids=["first", "last", "the earlier of equals", "middle"],
)
def test_a_refit_with_the_best_number_of_epochs_ends_in_the_same_weights(
    measures: list[float], expected: int
) -> None:
    """Selecting the number of epochs on validation and refitting with it walks the same way."""
    config = TrainingConfig(num_epochs=3, patience=3, seed=5)
    selecting = Fitting(config)
    chosen = best_epoch(selecting.run(measures=measures))
    assert chosen == expected
    assert selecting.module.slope.item() == slope_after(chosen, config)


def test_the_rate_falls_in_a_line_to_a_twentieth() -> None:
    """Step after step the rate is 1 - 0.95 t of its start, t the position in all epochs."""
    fitting = Fitting(TrainingConfig(num_epochs=3, learning_rate=0.2))
    fitting.run()
    steps = 3 * BATCHES
    assert fitting.rates == pytest.approx([0.2 * (1 - 0.95 * n / steps) for n in range(steps)])
    fewer = Fitting(TrainingConfig(num_epochs=3, learning_rate=0.2))
    fewer.run(num_epochs=2)
    assert fewer.rates == fitting.rates[: 2 * BATCHES]


def test_the_same_seed_gives_the_same_weights() -> None:
    """A run can be repeated bit by bit, and another seed gives another run."""
    first, again, other = (
        slope_after(3, TrainingConfig(num_epochs=3, seed=seed)) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_no_more_epochs_are_run_than_configured() -> None:
    """A refit asked for more epochs than the learning rate is planned for stops at the plan."""
    fitting = Fitting(TrainingConfig(num_epochs=2))
    assert len(fitting.run(num_epochs=7)) == 2
    assert min(fitting.rates) > 0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_stops_training(value: float) -> None:
    """The first bad loss raises, with the value and what to change, before it spoils weights."""
    fitting = Fitting(TrainingConfig(num_epochs=3))
    with pytest.raises(TrainingError, match=f"got {value}; lower training.learning_rate"):
        fitting.run(step=lambda batch: fitting.step(batch) * value)
    assert fitting.module.slope.item() == 0


def test_weights_spoilt_by_the_last_step_are_found() -> None:
    """A finite loss with an infinite gradient in the last batch of all does not go unseen."""
    fitting = Fitting(TrainingConfig(num_epochs=1))

    def step(_: Tensor) -> Tensor:
        fitting.rates.append(0)
        last = len(fitting.rates) == BATCHES
        return fitting.module.slope.abs().sqrt() if last else fitting.module.slope * 0

    with pytest.raises(TrainingError, match="expected finite weights, got others in slope"):
        fitting.run(step=step)


def test_the_module_trains_in_epochs_and_rests_between_them() -> None:
    """Steps see training mode; validation, callbacks and the caller see evaluation mode."""
    fitting = Fitting(TrainingConfig(num_epochs=2))
    modes: list[bool] = []
    fitting.run(on_epoch=lambda _: modes.append(fitting.module.training))
    assert fitting.was_training == [True] * 2 * BATCHES
    assert modes == [False, False]
    assert not fitting.module.training


def test_epochs_tell_their_loss_their_measure_and_their_speed() -> None:
    """Each epoch is told once, in order, with the mean of its losses and what validation found."""
    fitting = Fitting(TrainingConfig(num_epochs=2))
    losses: list[float] = []

    def step(batch: Tensor) -> Tensor:
        loss = fitting.step(batch)
        losses.append(loss.item())
        return loss

    reported: list[EpochResult] = []
    results = fitting.run(step=step, measures=[0.25, 0.5], on_epoch=reported.append)
    assert reported == results
    means = [sum(losses[:BATCHES]) / BATCHES, sum(losses[BATCHES:]) / BATCHES]
    assert [result.loss for result in results] == pytest.approx(means)
    assert [result.validation for result in results] == [0.25, 0.5]
    for result in results:
        assert result.examples_per_s * result.duration_s == pytest.approx(BATCHES * 5)


def test_batches_tell_how_far_the_epoch_is() -> None:
    """After each batch the share that is done is told; it ends every epoch at 1."""
    reported: list[BatchProgress] = []
    Fitting(TrainingConfig(num_epochs=2)).run(on_batch=reported.append)
    assert [progress.epoch for progress in reported] == [1] * BATCHES + [2] * BATCHES
    assert [progress.share_done for progress in reported] == [0.25, 0.5, 0.75, 1] * 2
    assert all(progress.num_epochs == 2 and progress.examples_per_s > 0 for progress in reported)


def test_without_validation_the_best_epoch_is_the_last() -> None:
    """No measure means no choice: the number of epochs that were run stands."""
    results = Fitting(TrainingConfig(num_epochs=3)).run()
    assert best_epoch(results) == 3
    assert [result.validation for result in results] == [None] * 3


def test_several_optimizers_keep_the_proportion_of_their_rates() -> None:
    """Each optimizer's rate falls from its own start."""
    module = Line()
    optimizers = [torch.optim.SGD([module.slope], lr=rate) for rate in (0.1, 0.01)]
    rates: list[list[float]] = []

    def step(_: Tensor) -> Tensor:
        rates.append([optimizer.param_groups[0]["lr"] for optimizer in optimizers])
        return module.slope.square()

    epochs = Epochs(num_batches=2, draw=lambda _: iter(torch.ones(2, 1)), num_examples=len)
    config = TrainingConfig(num_epochs=2)
    fit(module, epochs=epochs, step=step, optimizers=optimizers, config=config)
    assert all(fast == pytest.approx(10 * slow) for fast, slow in rates)
    assert rates[-1][0] == pytest.approx(0.1 * (1 - 0.95 * 3 / 4))


def test_cuda_is_refused_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for a device that is not there is an error; `auto` takes what there is."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    with pytest.raises(ConfigError, match="expected a CUDA device, got none"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda")
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.1, torch.bfloat16), (0.6, torch.bfloat16), (0.7, torch.float32), (9, torch.float32)],
)
def test_bfloat16_is_taken_only_where_the_processor_is_much_faster_in_it(
    monkeypatch: pytest.MonkeyPatch, seconds: float, expected: torch.dtype
) -> None:
    """`auto` goes by a trial; a named precision is taken as it is."""
    took = {torch.float32: 1.0, torch.bfloat16: seconds}
    monkeypatch.setattr(precision, "_seconds", took.__getitem__)
    precision.bfloat16_is_fast.cache_clear()
    cpu = torch.device("cpu")
    assert choose_precision("auto", cpu) == expected
    assert choose_precision("float32", cpu) == torch.float32
    assert choose_precision("bfloat16", cpu) == torch.bfloat16
    precision.bfloat16_is_fast.cache_clear()


def test_at_the_deadline_training_ends_and_the_rate_has_fallen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the middle of an epoch; the rate goes by the time that is used where that is ahead."""
    now = [100.0]
    monkeypatch.setattr("recsys.training.time.perf_counter", lambda: now[0])

    def run(deadline: float) -> tuple[Fitting, list[EpochResult]]:
        fitting = Fitting(TrainingConfig(num_epochs=50, learning_rate=1.0))

        def step(batch: Tensor) -> Tensor:
            now[0] += 1
            return fitting.step(batch)

        return fitting, fitting.run(step, deadline=deadline)

    fitting, results = run(106.0)
    assert len(fitting.rates) == 6
    assert [result.epoch for result in results] == [1, 2]
    np.testing.assert_allclose(fitting.rates, [1 - 0.95 * used / 6 for used in range(6)], rtol=0.02)
    late, results = run(0.0)
    assert len(results) == len(late.rates) == 1
