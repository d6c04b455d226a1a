"""The quick look at validation data that chooses what no rule can know beforehand.

The temperature that is best ranges from .1 on sparse logs to .2 on dense ones, and the weight of
propagation from 0 upwards (docs/experiments.md). Short fits of narrow vectors rank these settings
as long ones of wide vectors do, so a few of them decide.
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
START_TEMPERATURE, START_PROPAGATION = 0.15, 0.3
"""Where the search starts, and what is taken where nothing can be searched."""
TRIAL_EPOCHS = 4
"""Passes over the data of a trial."""
_TRIAL_DIM = 128
"""Width of the vectors of a trial at most: settings that are best there are best beyond."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A short fit."""

    quality: float
    """The validation measure, higher is better."""
    selection: Selection
    """What was tried."""


def trial_dim(config: TwoTowerConfig) -> int:
    """Width of the vectors of a trial."""
    return min(config.embedding_dim, _TRIAL_DIM)


def of_width(config: TwoTowerConfig, embedding_dim: int) -> TwoTowerConfig:
    """The config for narrower vectors, with one head where the width does not divide."""
    if embedding_dim == config.embedding_dim:
        return config
    return replace(
        config,
        embedding_dim=embedding_dim,
        num_heads=1 if embedding_dim % config.num_heads else config.num_heads,
        prefix_dims=tuple(width for width in config.prefix_dims if width < embedding_dim),
    )


def search(
    start: Selection,
    config: TwoTowerConfig,
    run: Callable[[Selection], Trial],
    *,
    has_time: Callable[[], bool] = lambda: True,
) -> Trial:
    """Choose the temperature, then the weight of propagation, where the config leaves them open.

    Args:
        start: What to start from; its temperature and propagation are those of the config or the
            start values.
        config: What is to be trained.
        run: Makes a trial.
        has_time: Asked before each trial but the first; what is best so far is taken once it says
            no.

    Returns:
        The best trial.
    """
    best = run(start)
    if config.temperature is None:
        best = _climb(best, "temperature", TEMPERATURES, run, has_time)
    if config.propagation is None:
        best = _climb(best, "propagation", PROPAGATIONS, run, has_time)
    return best


def _climb(
    best: Trial,
    name: Literal["temperature", "propagation"],
    ladder: Sequence[float],
    run: Callable[[Selection], Trial],
    has_time: Callable[[], bool],
) -> Trial:
    """Go up the ladder while it gets better; where the first step does not, go down."""
    start = ladder.index(getattr(best.selection, name))
    for values in (ladder[start + 1 :], ladder[:start][::-1]):
        before = best
        for value in values:
            if not has_time():
                return best
            trial = run(_changed(best.selection, name, value))
            if trial.quality <= best.quality:
                break
            best = trial
        if best is not before:
            return best
    return best


def _changed(
    selection: Selection, name: Literal["temperature", "propagation"], value: float
) -> Selection:
    if name == "temperature":
        return replace(selection, temperature=value)
    return replace(selection, propagation=value)
