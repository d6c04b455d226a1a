"""The quick look at validation data that chooses what no rule can know beforehand.

The temperature that is best ranges from .1 on sparse logs to .2 on dense ones, the weight of
propagation from 0 upwards, and hiding a part of histories helps or harms (docs/experiments.md).
Short fits of narrow vectors rank these settings as long ones of wide vectors do, so a few of them
decide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from recsys.recommender.config import TwoTowerConfig
from recsys.recommender.model import Selection

TEMPERATURES = (0.077, 0.096, 0.12, 0.15, 0.19, 0.235, 0.3)
"""Temperatures to choose from, each a quarter above the one before."""
PROPAGATIONS = (0.0, 0.1, 0.3, 0.6)
"""Weights of propagation to choose from."""
HISTORY_DROPOUTS = (0.0, 0.3)
"""Shares of histories that training does not see, to choose from. On a small or noisy log a model
that sees all learns to recommend what it reads; on a large one it learns more."""
START_TEMPERATURE, START_PROPAGATION, START_HISTORY_DROPOUT = 0.15, 0.3, 0.3
"""Where the search starts, and what is taken where nothing can be searched."""
TRIAL_EPOCHS = 4
"""Passes over the data of a trial."""
_Setting = Literal["temperature", "propagation", "history_dropout"]
_TRIAL_DIM = 128
"""Width of the vectors of a trial at most: settings that are best there are best beyond."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A short fit."""

    quality: float
    """The validation measure, a mean over users; higher is better."""
    standard_error: float
    """Its standard error."""
    selection: Selection
    """What was tried."""


def trial_dim(config: TwoTowerConfig) -> int:
    """Width of the vectors of a trial."""
    return min(config.embedding_dim, _TRIAL_DIM)


def search(
    start: Selection,
    config: TwoTowerConfig,
    run: Callable[[Selection], Trial],
    *,
    has_time: Callable[[], bool] = lambda: True,
) -> Trial:
    """Choose temperature, weight of propagation and history dropout, where the config leaves them.

    Args:
        start: What to start from: settings of the config, or the start values.
        config: What is to be trained.
        run: Makes a trial.
        has_time: Asked before each trial but the first; what is best so far is taken once it says
            no.

    Returns:
        The best trial.
    """
    best = run(start)
    if config.temperature is None:
        best = _best(_climb(best, "temperature", TEMPERATURES, run, has_time))
    if config.given_propagation is None:
        best = _smoothest(_climb(best, "propagation", PROPAGATIONS, run, has_time))
    if config.given_history_dropout is None:
        best = _best(_climb(best, "history_dropout", HISTORY_DROPOUTS, run, has_time))
    return best


def _best(trials: Sequence[Trial]) -> Trial:
    return max(trials, key=lambda trial: trial.quality)


def _smoothest(trials: Sequence[Trial]) -> Trial:
    """The trial with most propagation among those within a standard error of the best.

    Breiman et al. 1984, Classification and Regression Trees, section 3.4.3: the more regular model
    of equals. Interactions that were held out are more like the rest of the log than those that are
    still to come, so what they do not tell apart is better decided for smoothness.
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
    """Go up the ladder while it gets better; where the first step does not, go down."""
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
