"""Checkpoints: a fit that is stopped at any point ends in the bits of one that never was."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys import training
from recsys.checkpoints import Carried, Checkpoints
from recsys.datasets.dataset import FeatureConfig
from recsys.datasets.splits import SplitConfig, split_interactions
from recsys.datasets.synthetic.interactions import generate_interactions
from recsys.datasets.synthetic.transactions import synthetic_transactions
from recsys.errors import RecsysError, TrainingError
from recsys.fraud.config import AutoencoderConfig, FraudConfig
from recsys.fraud.fitting.train import FitCallbacks, FittedFraud, fit_fraud_model
from recsys.recommender.config import (
    EvaluationConfig,
    RecommenderConfig,
    SequenceConfig,
    TwoTowerConfig,
)
from recsys.recommender.fitting.experiment import Experiment, run_experiment
from recsys.recommender.fitting.train import TrainingCallbacks
from recsys.training import EpochResult, Epochs, TrainingConfig, fit

NUM_EPOCHS, BATCHES, ROWS, CODES, WIDTH = 5, 3, 16, 12, 8


class KilledError(Exception):
    """What stands for a kill in the same process."""


class Net(nn.Module):
    """A table with sparse gradients, and a network with dropout."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.table = nn.Embedding(CODES, width, sparse=True)
        self.layers = nn.Sequential(nn.Linear(width, width), nn.Dropout(0.4), nn.Linear(width, 1))

    def forward(self, codes_B: Tensor) -> Tensor:
        """A number of each code."""
        output_B: Tensor = self.layers(self.table(codes_B))[:, 0]
        return output_B


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a fit ends with."""

    weights: dict[str, Tensor]
    epochs: list[EpochResult]
    noise: Tensor
    """What the generator of the fit gives next."""


def fitted(
    checkpoints: Checkpoints | None = None,
    *,
    kill_after: int | None = None,
    width: int = WIDTH,
    validated: bool = True,
    **options: object,
) -> Fitted:
    """One fit with all that can be random: batches, noise of a step, dropout, two optimizers.

    Args:
        checkpoints: Where to go on from.
        kill_after: Steps after which it is killed.
        width: Width of the network.
        validated: Whether the best epoch is looked for.
        options: Of `fit`.
    """
    torch.manual_seed(7)
    net, generator, steps = Net(width), torch.Generator().manual_seed(3), 0
    optimizers = [
        torch.optim.SparseAdam([net.table.weight], lr=0.05),
        torch.optim.Adam(net.layers.parameters(), lr=0.05, fused=True),
    ]

    def draw(_epoch: int) -> Iterator[Tensor]:
        yield from torch.randint(CODES, (BATCHES, ROWS), generator=generator)

    def step(codes_B: Tensor) -> Tensor:
        nonlocal steps
        steps += 1
        if kill_after is not None and steps > kill_after:
            raise KilledError
        noise_B = torch.rand(ROWS, generator=generator)
        return functional.mse_loss(net(codes_B), codes_B / CODES + noise_B)

    def validate() -> float:
        # Up and down, so that the best epoch is neither the first nor the last.
        return float(torch.sin(40 * net.table.weight.detach().sum()))

    epochs = fit(
        net,
        epochs=Epochs(num_batches=BATCHES, draw=draw, num_examples=len),
        step=step,
        optimizers=optimizers,
        config=TrainingConfig(num_epochs=NUM_EPOCHS, patience=NUM_EPOCHS),
        validate=validate if validated else None,
        checkpoints=checkpoints,
        carried=Carried(generators=(generator,)),
        **options,
    )
    assert not net.training
    return Fitted(net.state_dict(), epochs, torch.rand(3, generator=generator))


@functools.cache
def uninterrupted(*, validated: bool = True, width: int = WIDTH) -> Fitted:
    """The fit without any checkpoint."""
    return fitted(validated=validated, width=width)


def assert_same_weights(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    """Two networks are equal bit for bit."""
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert tensor.numpy().tobytes() == other[name].numpy().tobytes(), name


def measured(epochs: list[EpochResult]) -> list[tuple[int, float, float | None]]:
    """What of epochs does not depend on the clock."""
    return [(result.epoch, result.loss, result.validation) for result in epochs]


def assert_same(one: Fitted, other: Fitted) -> None:
    """Two fits are equal in weights, epochs and what comes next."""
    assert_same_weights(one.weights, other.weights)
    assert measured(one.epochs) == measured(other.epochs)
    assert torch.equal(one.noise, other.noise)


def saved(root: Path) -> list[Path]:
    """The checkpoints of the first fit, from the oldest to the newest."""
    return sorted((root / "fit-001").iterdir())


def every_epoch(root: Path) -> Checkpoints:
    """Checkpoints as often as can be."""
    return Checkpoints(root, min_interval_s=0)


@pytest.mark.parametrize("validated", [True, False], ids=["best epoch", "last epoch"])
@pytest.mark.parametrize("steps", range(NUM_EPOCHS * BATCHES))
def test_a_fit_that_is_killed_at_any_step_ends_in_the_same_bits(
    tmp_path: Path, steps: int, validated: bool
) -> None:
    """Weights, epochs and generators equal those of a fit that was not stopped, whatever came."""
    expected = uninterrupted(validated=validated)
    with pytest.raises(KilledError):
        fitted(every_epoch(tmp_path), kill_after=steps, validated=validated)
    torch.rand(5)
    assert_same(fitted(every_epoch(tmp_path), validated=validated), expected)


def test_a_fit_that_is_killed_again_and_again_gets_to_its_end(tmp_path: Path) -> None:
    """Each run needs to get no further than the next epoch; no step is made twice but by a kill."""
    for _ in range(NUM_EPOCHS - 1):
        with pytest.raises(KilledError):
            fitted(every_epoch(tmp_path), kill_after=BATCHES + 1)
    assert_same(fitted(every_epoch(tmp_path), kill_after=BATCHES), uninterrupted())


def test_a_fit_that_is_over_is_not_run_again(tmp_path: Path) -> None:
    """Its weights and epochs are there at once, the durations too, and nobody is told of them."""
    first = fitted(every_epoch(tmp_path))
    reported: list[EpochResult] = []
    again = fitted(every_epoch(tmp_path), kill_after=0, on_epoch=reported.append)
    assert_same(again, first)
    assert again.epochs == first.epochs
    assert reported == []


def test_each_fit_of_a_job_goes_on_from_its_own_checkpoints(tmp_path: Path) -> None:
    """Of three fits in a row the first is over, the second half done, the third not begun."""
    widths = (4, 8, 8)
    job = every_epoch(tmp_path)
    fitted(job, width=widths[0])
    with pytest.raises(KilledError):
        fitted(job, width=widths[1], kill_after=2 * BATCHES)
    job = every_epoch(tmp_path)
    limits = (0, (NUM_EPOCHS - 2) * BATCHES, None)
    for width, limit in zip(widths, limits, strict=True):
        assert_same(fitted(job, width=width, kill_after=limit), uninterrupted(width=width))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fit-001", "fit-002", "fit-003"]


@pytest.mark.parametrize("call", ["mkdir", "open", "write", "fsync", "rename"])
def test_a_checkpoint_that_cannot_be_written_is_an_error_and_spoils_none(
    tmp_path: Path,
    failing_call: Callable[[str, int], AbstractContextManager[None]],
    call: str,
) -> None:
    """Wherever the disk is full, the error is one line, and the fit goes on from what there is."""
    number, message = 0, "none yet"
    while message:
        number, message = 1 + number + number // 8, ""  # there are many calls, and they repeat
        try:
            with failing_call(call, number):
                fitted(every_epoch(tmp_path / str(number)))
        except RecsysError as error:
            message = str(error)
        assert not message or "No space left" in message
        assert "\n" not in message
        assert_same(fitted(every_epoch(tmp_path / str(number))), uninterrupted())
    assert number > NUM_EPOCHS


def truncated(path: Path) -> None:
    """Cut the last byte off."""
    path.write_bytes(path.read_bytes()[:-1])


def flipped(path: Path) -> None:
    """Change one bit in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [truncated, flipped, Path.unlink])
@pytest.mark.parametrize("steps", [4 * BATCHES, None], ids=["half done", "over"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    tmp_path: Path, damage: Callable[[Path], object], steps: int | None
) -> None:
    """Whichever of its files is cut, changed or gone, the fit goes on from the one before."""
    files = [path.relative_to(tmp_path / "0") for path in run_of(tmp_path / "0", steps)]
    for place, name in enumerate(files, start=1):
        root = tmp_path / str(place)
        run_of(root, steps)
        damage(root / name)
        to_go = (1 if steps is None else 2) * BATCHES
        with pytest.raises(KilledError):  # it is the one before, and not the newest
            fitted(every_epoch(root), kill_after=to_go - 1)
        assert_same(fitted(every_epoch(root)), uninterrupted())


def run_of(root: Path, steps: int | None) -> list[Path]:
    """Run a fit, killed or not; the files of its newest checkpoint."""
    if steps is None:
        fitted(every_epoch(root))
    else:
        with pytest.raises(KilledError):
            fitted(every_epoch(root), kill_after=steps)
    return sorted(path for path in saved(root)[-1].rglob("*") if path.is_file())


def test_where_all_checkpoints_are_damaged_the_fit_starts_anew(tmp_path: Path) -> None:
    """Nothing of a damaged checkpoint is used, and a draft that a kill left is swept away."""
    with pytest.raises(KilledError):
        fitted(every_epoch(tmp_path), kill_after=3 * BATCHES)
    for folder in saved(tmp_path):
        truncated(folder / "tensors" / "weights.safetensors")
    (tmp_path / "fit-001" / "000004.tmp" / "tensors").mkdir(parents=True)
    assert_same(fitted(every_epoch(tmp_path)), uninterrupted())
    assert [path.name for path in saved(tmp_path)] == ["000004", "000005"]


@pytest.mark.parametrize("steps", [2 * BATCHES, None], ids=["half done", "over"])
def test_a_checkpoint_of_another_fit_is_not_used(tmp_path: Path, steps: int | None) -> None:
    """Other shapes, or another number of epochs, and the fit starts anew and ends as it should."""
    run_of(tmp_path, steps)
    assert_same(fitted(every_epoch(tmp_path), width=4), uninterrupted(width=4))
    run_of(tmp_path / "again", steps)
    shorter = fitted(every_epoch(tmp_path / "again"), num_epochs=3, validated=False)
    assert_same(shorter, fitted(num_epochs=3, validated=False))


def test_two_checkpoints_stay_and_none_is_a_pickle(tmp_path: Path) -> None:
    """All files are JSON or safetensors with a JSON header, for their owner alone."""
    with pytest.raises(KilledError):
        fitted(every_epoch(tmp_path), kill_after=4 * BATCHES)
    assert [path.name for path in saved(tmp_path)] == ["000003", "000004"]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors"}
    assert len(files) == 2 * 6  # manifest, progress, weights, best weights, optimizers, carried
    for path in files:
        data = path.read_bytes()
        start = 8 if path.suffix == ".safetensors" else 0  # the length of the header comes first
        assert data[start : start + 1] == b"{", path
        assert not data.startswith((b"\x80", b"PK"))
        assert path.stat().st_mode & 0o777 == 0o600
    assert all(path.stat().st_mode & 0o777 == 0o700 for path in (tmp_path / "fit-001").iterdir())


def test_checkpoints_are_no_more_frequent_than_asked_but_one_is_at_the_end(
    tmp_path: Path,
) -> None:
    """Within the interval only the end of a fit is kept."""
    with pytest.raises(KilledError):
        fitted(Checkpoints(tmp_path, min_interval_s=86_400), kill_after=4 * BATCHES)
    assert not tmp_path.joinpath("fit-001").exists()
    assert_same(fitted(Checkpoints(tmp_path, min_interval_s=86_400)), uninterrupted())
    assert [path.name for path in saved(tmp_path)] == ["000005"]


def test_a_fit_with_a_deadline_leaves_no_checkpoint_and_has_no_number(tmp_path: Path) -> None:
    """How far it gets depends on the clock; the fit after it is the first of the job."""
    job = every_epoch(tmp_path)
    fitted(job, deadline=0.0)
    assert not list(tmp_path.iterdir())
    fitted(job)
    assert [path.name for path in tmp_path.iterdir()] == ["fit-001"]


def test_clearing_removes_the_folder(tmp_path: Path) -> None:
    """A job that succeeded leaves nothing behind, and clearing twice does no harm."""
    job = every_epoch(tmp_path / "work")
    fitted(job)
    job.clear()
    job.clear()
    assert not (tmp_path / "work").exists()


def test_a_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    """One line says which path is at fault."""
    (tmp_path / "work").write_text("")
    with pytest.raises(TrainingError, match="expected a folder for checkpoints"):
        fitted(every_epoch(tmp_path / "work"))


@pytest.fixture
def killed_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], None]:
    """Lets training be killed at a step, counted over all fits from the call on."""
    real, left = training._descend, [-1]

    def descend(*args: object) -> float:
        if left[0] == 0:
            raise KilledError
        left[0] -= 1
        return real(*args)

    def set_limit(steps: int | None) -> None:
        left[0] = -1 if steps is None else steps

    monkeypatch.setattr(training, "_descend", descend)
    return set_limit


LOG = generate_interactions(
    num_users=150, num_items=40, num_interactions=1500, num_clusters=4, seed=3
).dataset
RECOMMENDERS: dict[str, dict[str, object]] = {
    "exact, searched": {"loss": "softmax", "propagation": None, "prefix_dims": (4,)},
    "sampled": {"loss": "sampled_softmax", "propagation": 0.3, "user_embedding": True},
    "sequence": {"query": "sequence", "sequence": SequenceConfig(max_items=8)},
}


def experiment(kind: str, checkpoints: Checkpoints | None = None) -> Experiment:
    """Select, compare and fit on a small log, with all that can be random.

    An epoch has 19 batches: the spread is made anew every second one, so that it is carried over.
    """
    model = {
        "embedding_dim": 8, "num_heads": 1, "hidden_dims": (8,), "temperature": 0.1,
        "history_dropout": 0.3, "dropout": 0.2, "prefix_dims": (), "num_uniform_negatives": 16,
    } | RECOMMENDERS[kind]  # fmt: skip
    config = RecommenderConfig(
        model=TwoTowerConfig(**model),
        training=TrainingConfig(
            num_epochs=4, patience=2, batch_size=8, precision="float32", device="cpu"
        ),
    )
    split = split_interactions(LOG.interactions, SplitConfig(), seed=0)
    callbacks = TrainingCallbacks(checkpoints=checkpoints)
    return run_experiment(LOG, split, config, EvaluationConfig(k=5), callbacks=callbacks)


@pytest.mark.parametrize("kind", RECOMMENDERS)
def test_a_recommender_job_that_is_killed_anywhere_ends_in_the_same_bits(
    tmp_path: Path, kind: str, killed_after: Callable[[int | None], None]
) -> None:
    """Trials, selection, comparison and the model to publish: each goes on where it stood."""
    expected, num_kills = experiment(kind), 0
    while True:
        killed_after(24 + 4 * num_kills)  # one epoch and more, so that it gets on
        try:
            found = experiment(kind, every_epoch(tmp_path))
            break
        except KilledError:
            num_kills += 1
    assert num_kills >= 3
    assert found.selection == expected.selection
    assert measured(found.epochs) == measured(expected.epochs)
    assert found.comparison.evaluations.keys() == expected.comparison.evaluations.keys()
    assert_same_weights(found.model.towers.state_dict(), expected.model.towers.state_dict())
    for vectors in ("item_embeddings", "item_propagated"):
        mine, yours = getattr(found.model, vectors), getattr(expected.model, vectors)
        np.testing.assert_array_equal(mine, yours)
    killed_after(0)  # now that every fit is over, none makes a step
    again = experiment(kind, every_epoch(tmp_path)).model
    assert_same_weights(again.towers.state_dict(), expected.model.towers.state_dict())


def test_a_job_with_a_time_budget_leaves_no_checkpoint(tmp_path: Path) -> None:
    """Its fits end by the clock."""
    config = RecommenderConfig(
        model=TwoTowerConfig(embedding_dim=8, num_heads=1, hidden_dims=(8,), prefix_dims=()),
        training=TrainingConfig(num_epochs=1, time_budget_s=0.3, device="cpu"),
    )
    split = split_interactions(LOG.interactions, SplitConfig(), seed=0)
    callbacks = TrainingCallbacks(checkpoints=every_epoch(tmp_path))
    run_experiment(LOG, split, config, EvaluationConfig(k=5), callbacks=callbacks)
    assert not list(tmp_path.iterdir())


def fraud(checkpoints: Checkpoints | None = None) -> FittedFraud:
    """A scorer of a small log, whose autoencoder is trained for some epochs."""
    drawn = synthetic_transactions(num_accounts=40, num_days=60, seed=1)
    return fit_fraud_model(
        drawn.table.drop_columns(["is_fraud", "plant"]),
        {"category": FeatureConfig(kind="categorical"), "age": FeatureConfig(kind="numeric")},
        FraudConfig(autoencoder=AutoencoderConfig(num_steps=90, max_rows=2000)),
        num_threads=1,
        callbacks=FitCallbacks(checkpoints=checkpoints),
    )


def test_a_fraud_job_that_is_killed_anywhere_ends_in_the_same_bits(
    tmp_path: Path, killed_after: Callable[[int | None], None]
) -> None:
    """The autoencoder goes on where it stood, and torch's own generator is left alone."""
    expected = fraud()
    for steps in (0, 17, 33):
        killed_after(steps)
        with pytest.raises(KilledError):
            fraud(every_epoch(tmp_path))
    killed_after(None)
    torch.manual_seed(5)
    found = fraud(every_epoch(tmp_path))
    drawn, _ = torch.rand(3), torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(3))
    one, other = (made.model.autoencoder.module.state_dict() for made in (found, expected))
    assert_same_weights(one, other)
    one, other = (repr(replace(made.report, durations_s={})) for made in (found, expected))
    assert one == other
