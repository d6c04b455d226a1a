"""Is one ranker better than another? Paired differences, and one line that says it.

Shapes: U users.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from recsys.arrays import Float64Array
from recsys.errors import DataError
from recsys.recommender.evaluation.evaluate import CONFIDENCE, Evaluation


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Mean difference of one measure between two rankers over the same users.

    Args:
        mean: Mean of a - b, positive where a is better.
        low: Lower end of the 95% confidence interval of the mean.
        high: Upper end.
        num_users: Users that both have a value for.
    """

    mean: float
    low: float
    high: float
    num_users: int


def paired_difference(a_U: Float64Array, b_U: Float64Array) -> Difference:
    """Compare two rankers on one measure, user by user.

    The interval is Student's t on the differences (Student 1908): pairing takes out that some
    users are easy for every ranker, so it is much narrower than two intervals side by side.

    Args:
        a_U: Values of one ranker, `Evaluation.per_user[...]`. Shape (U,).
        b_U: Values of the other for the same users. Users that are NaN in either are left out.

    Raises:
        DataError: The shapes differ.
    """
    if a_U.shape != b_U.shape:
        raise DataError(
            file="per-user values",
            expected=f"the same users in both, {a_U.shape}",
            got=f"{b_U.shape} in the second",
            remedy="evaluate both rankers on the same users",
        )
    difference_U = a_U - b_U
    difference_U = difference_U[~np.isnan(difference_U)]
    num_users = len(difference_U)
    if num_users < 2:  # no spread, so no interval
        mean = float(difference_U[0]) if num_users else math.nan
        return Difference(mean=mean, low=math.nan, high=math.nan, num_users=num_users)
    mean = float(difference_U.mean())
    error = float(difference_U.std(ddof=1)) / math.sqrt(num_users)
    margin = error * float(stats.t.ppf((1 + CONFIDENCE) / 2, num_users - 1))
    return Difference(mean=mean, low=mean - margin, high=mean + margin, num_users=num_users)


def verdict(model: Evaluation, baselines: Mapping[str, Evaluation], measures: Sequence[str]) -> str:
    """One line on whether the model beats its baselines; each one not beaten is named first.

    Args:
        model: Evaluation of the model.
        baselines: Evaluations of the baselines on the same users, by the name to print.
        measures: Names such as `recall@20`, higher is better.
    """
    if not baselines:
        return "The model was compared with no baseline."
    compared = {
        (name, measure): paired_difference(model.per_user[measure], baseline.per_user[measure])
        for name, baseline in baselines.items()
        for measure in measures
    }
    not_beaten = [
        f"{name} on {measure} ({model.overall[measure]:.4f} against "
        f"{baselines[name].overall[measure]:.4f}, 95% interval of the difference "
        f"{difference.low:+.4f} to {difference.high:+.4f})"
        for (name, measure), difference in compared.items()
        if not difference.mean > 0  # also where it is NaN
    ]
    if not_beaten:
        return f"The model does NOT beat {'; '.join(not_beaten)}."
    return f"The model beats {_listed(list(baselines))} on {_listed(measures)}."


def _listed(names: Sequence[str]) -> str:
    """Names as a phrase: one, two and three."""
    return " and ".join([part for part in (", ".join(names[:-1]), names[-1]) if part])
