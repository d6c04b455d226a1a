"""Whether one ranker is better than another: paired differences, and a verdict in one line.

Shapes: U users.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from recsys.arrays import Float64Array
from recsys.errors import DataError
from recsys.recommender.evaluation.evaluate import CONFIDENCE, LEAST_USERS, Evaluation

Standing = Literal["ahead", "level", "behind", "unmeasured"]


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

    @property
    def standing(self) -> Standing:
        """What the interval says of a beside b: level where it holds zero."""
        if self.num_users < LEAST_USERS or math.isnan(self.low):
            return "unmeasured"
        if self.low > 0:
            return "ahead"
        return "behind" if self.high < 0 else "level"


def paired_difference(a_U: Float64Array, b_U: Float64Array) -> Difference:
    """Compare two rankers on one measure, user by user.

    The interval is Student's t on the differences (Student 1908): pairing cancels that some users
    are easy for every ranker, so it is much narrower than two separate intervals.

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


def differences(
    model: Evaluation, baselines: Mapping[str, Evaluation], measures: Sequence[str]
) -> dict[tuple[str, str], Difference]:
    """The model less each baseline, by the name of the baseline and of the measure."""
    return {
        (name, measure): paired_difference(model.per_user[measure], baseline.per_user[measure])
        for name, baseline in baselines.items()
        for measure in measures
    }


def verdict(model: Evaluation, baselines: Mapping[str, Evaluation], measures: Sequence[str]) -> str:
    """One line on how the model stands beside its baselines, what it does not beat first.

    Ahead and behind are said where the whole interval of the difference is, level otherwise.

    Args:
        model: Evaluation of the model.
        baselines: Evaluations of the baselines on the same users, by the name to print.
        measures: Names such as `recall@20`, higher is better.
    """
    if not baselines:
        return "The model was compared with no baseline."
    compared = differences(model, baselines, measures)
    told = {
        standing: _with_figures(model, baselines, compared, standing)
        for standing in ("behind", "level")
    }
    ahead = {
        name: tuple(one for one in measures if compared[name, one].standing == "ahead")
        for name in baselines
    }
    sentences = [f"does NOT beat {'; '.join(told['behind'])}"] * bool(told["behind"])
    sentences += [f"is level with {'; '.join(told['level'])}"] * bool(told["level"])
    for won in dict.fromkeys(found for found in ahead.values() if found):
        names = [name for name, found in ahead.items() if found == won]
        sentences.append(f"beats {_listed(names)} on {_listed(won)}")
    if not sentences:
        num_users = max(one.num_users for one in compared.values())
        return (
            f"Too little to measure: {num_users:,} of at least {LEAST_USERS} users with later "
            "events that it takes to tell the model from a baseline."
        )
    first, *others = sentences
    return " ".join([f"The model {first}.", *(f"It {one}." for one in others)])


def _with_figures(
    model: Evaluation,
    baselines: Mapping[str, Evaluation],
    compared: Mapping[tuple[str, str], Difference],
    standing: str,
) -> list[str]:
    """The baselines that stand so beside the model, each with its measures and figures."""
    found: dict[str, list[str]] = {}
    for (name, measure), difference in compared.items():
        if difference.standing == standing:
            found.setdefault(name, []).append(
                f"{measure} ({model.overall[measure]:.4f} against "
                f"{baselines[name].overall[measure]:.4f}, 95% interval of the difference "
                f"{difference.low:+.4f} to {difference.high:+.4f})"
            )
    return [f"{name} on {_listed(figures)}" for name, figures in found.items()]


def _listed(names: Sequence[str]) -> str:
    """Names as a phrase: one, two and three."""
    return " and ".join([part for part in (", ".join(names[:-1]), names[-1]) if part])
