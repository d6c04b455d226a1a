"""Stable choices on validation data: an earlier choice is kept unless another is clearly better.

Validation users are a sample, so the best of many settings is partly the luckiest. The choice of
the day before is kept until another is better by more than chance; where nothing was chosen before,
the smoothest setting within a standard error of the best is taken (Breiman et al. 1984,
Classification and Regression Trees, section 3.4.3).

Shapes: V users of the validation sample.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recsys.arrays import Float64Array

CLEAR_ERRORS = 3.0
"""Standard errors that a change must gain, user by user: chance does so once in 700
times, and there are about ten settings to try."""
LEAST_GAIN = 0.01
"""Gain, as a share, below which a change is not worth other lists."""


def is_clearly_better(new_V: Float64Array, kept_V: Float64Array) -> bool:
    """Whether a change helps by more than chance and by enough to be noticed."""
    gain, error = _paired(new_V, kept_V)
    return gain > CLEAR_ERRORS * error and gain > LEAST_GAIN * float(np.mean(kept_V))


def steady_choice(
    qualities: Sequence[Float64Array], *, kept: int | None, slack_errors: float = 0.0
) -> int:
    """The place of the setting to take.

    Args:
        qualities: Quality of each setting by user, the smoothest setting first. Each (V,).
        kept: Place of the setting of the day before; None where there is none.
        slack_errors: Standard errors of the difference by which an earlier setting may stay behind
            the best and is taken nevertheless, where nothing was chosen before or that is worse.
    """
    best = int(np.argmax([np.mean(one) for one in qualities]))
    if kept is not None and not is_clearly_better(qualities[best], qualities[kept]):
        return kept
    for place, one in enumerate(qualities[:best]):
        behind, error = _paired(qualities[best], one)
        if behind <= slack_errors * error:
            return place
    return best


def steady_epochs(best: int, kept: int | None) -> int:
    """Half way from the number of epochs of the day before to the one that is best today."""
    return best if kept is None else round((kept + best) / 2)


def _paired(a_V: Float64Array, b_V: Float64Array) -> tuple[float, float]:
    """Mean difference and its standard error."""
    difference_V = np.asarray(a_V) - np.asarray(b_V)
    return float(difference_V.mean()), float(difference_V.std() / len(difference_V) ** 0.5)
