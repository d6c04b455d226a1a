"""A quick search on validation data for settings that no rule can choose beforehand.

The temperature that is best ranges from .1 on sparse logs to .2 on dense ones, the weight of
propagation from 0 upwards, and hiding a part of histories helps or harms (docs/experiments.md).
Short fits of narrow vectors rank these settings as long ones of wide vectors do, so a few of them
decide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from recsys.arrays import Float64Array
from recsys.recommender.config import TwoTowerConfig
from recsys.recommender.evaluation.steady import is_clearly_better
from recsys.recommender.model import Selection

TEMPERATURES = (0.077, 0.096, 0.12, 0.15, 0.19, 0.235, 0.3)
"""Temperatures to choose from, each a quarter above the one before."""
PROPAGATIONS = (0.0, 0.1, 0.3, 0.6)
"""Weights of propagation to choose from."""
HISTORY_DROPOUTS = (0.0, 0.3)
"""Shares of histories that training does not see, to choose from. On a small or noisy log a model
that sees all items learns to recommend what it reads; on a large one it learns more from seeing
all."""
START_TEMPERATURE, START_PROPAGATION, START_HISTORY_DROPOUT = 0.15, 0.3, 0.3
"""Where the search starts, and the values used if nothing can be searched."""
TRIAL_EPOCHS = 4
"""Passes over the data of a trial."""
_Setting = Literal["temperature", "propagation", "history_dropout"]
_TRIAL_DIM = 128
"""Largest width of the vectors of a trial: the best settings there are also best for wider ones."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """A short fit."""

    qualities: Float64Array
    """The validation measure of each user; higher is better."""
    selection: Selection
    """What was tried."""

    @property
    def quality(self) -> float:
        """The mean over users."""
        return float(self.qualities.mean())

    @property
    def standard_error(self) -> float:
        """Of the mean."""
        return float(self.qualities.std() / len(self.qualities) ** 0.5)


def trial_dim(config: TwoTowerConfig) -> int:
    """Width of the vectors of a trial."""
    return min(config.embedding_dim, _TRIAL_DIM)


def chosen_before(
    start: Selection, previous: Selection | None, config: TwoTowerConfig
) -> Selection | None:
    """The settings to start from where a model of the day before was chosen; None where none was.

    What the config says now holds, and so does the start where the ladders have changed.
    """
    if previous is None:
        return None
    ladders = {
        "temperature": (config.temperature, TEMPERATURES),
        "propagation": (config.given_propagation, PROPAGATIONS),
        "history_dropout": (config.given_history_dropout, HISTORY_DROPOUTS),
    }
    kept = {
        name: getattr(previous, name)
        for name, (given, ladder) in ladders.items()
        if given is None and getattr(previous, name) in ladder
    }
    return replace(start, **kept)


def search(
    start: Selection,
    config: TwoTowerConfig,
    run: Callable[[Selection], Trial],
    *,
    has_time: Callable[[], bool] = lambda: True,
    keeps_start: bool = False,
) -> Trial:
    """Choose temperature, weight of propagation and history dropout, where the config leaves them.

    Args:
        start: What to start from: settings of the config, the start values, or what was chosen the
            day before.
        config: What is to be trained.
        run: Makes a trial.
        has_time: Asked before each trial but the first; what is best so far is taken once it says
            no.
        keeps_start: Whether the start was chosen before, so that it is left only for what is
            clearly better.

    Returns:
        The best trial.
    """
    best = run(start)
    if config.temperature is None:
        pick = _steady if keeps_start else _best
        best = pick(_climb(best, "temperature", TEMPERATURES, run, has_time))
    if config.given_propagation is None:
        pick = _steady if keeps_start else _smoothest
        best = pick(_climb(best, "propagation", PROPAGATIONS, run, has_time))
    if config.given_history_dropout is None:
        pick = _steady if keeps_start else _best
        best = pick(_climb(best, "history_dropout", HISTORY_DROPOUTS, run, has_time))
    return best


def _steady(trials: Sequence[Trial]) -> Trial:
    """The best trial where it is clearly better than the first, else the first."""
    best = _best(trials)
    return best if is_clearly_better(best.qualities, trials[0].qualities) else trials[0]


def _best(trials: Sequence[Trial]) -> Trial:
    return max(trials, key=lambda trial: trial.quality)


def _smoothest(trials: Sequence[Trial]) -> Trial:
    """The trial with most propagation among those within a standard error of the best.

    Breiman et al. 1984, Classification and Regression Trees, section 3.4.3: of equally good models
    the more regular one. Held-out interactions are more like the rest of the log than future ones
    are, so among settings that they do not distinguish the smoothest is the safer choice.
    """
    best = _best(trials)
    equals = [trial for trial in trials if trial.quality >= best.quality - best.standard_error]
    return max(equals, key=lambda trial: trial.selection.propagation)


def _climb(
    start: Trial,
    name: _Setting,
    ladder: Sequence[float],
    run: Callable[[Selection], Trial],
    has_time: Callable[[], bool],
) -> list[Trial]:
    """Go up the ladder while quality improves; if the first step does not improve it, go down."""
    trials = [start]
    here = ladder.index(getattr(start.selection, name))
    for values in (ladder[here + 1 :], ladder[:here][::-1]):
        best = start
        for value in values:
            if not has_time():
                return trials
            trials.append(run(_changed(start.selection, name, value)))
            if trials[-1].quality <= best.quality:
                break
            best = trials[-1]
        if best is not start:
            break
    return trials


def _changed(selection: Selection, name: _Setting, value: float) -> Selection:
    match name:
        case "temperature":
            return replace(selection, temperature=value)
        case "propagation":
            return replace(selection, propagation=value)
        case "history_dropout":
            return replace(selection, history_dropout=value)
