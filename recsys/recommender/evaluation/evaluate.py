"""Evaluation of recommendation lists: every measure, by segment, with its confidence.

Users without test items are left out of recall, NDCG, MRR and hit rate; the other measures need no
test items and cover every user who has a list.

Shapes: U users, C items of the catalogue, K list length, D embedding width, G groups of users.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import stats

from recsys.arrays import Float64Array, FloatArray, Int64Array
from recsys.errors import ConfigError, DataError
from recsys.recommender.evaluation import metrics
from recsys.recommender.ranking.ranker import NO_ITEM, UserItems

CONFIDENCE = 0.95
"""Level of the confidence intervals."""

ACCURACY = {
    "recall": metrics.recall_at_k,
    "ndcg": metrics.ndcg_at_k,
    "mrr": metrics.mrr_at_k,
    "hit_rate": metrics.hit_rate_at_k,
}
"""Measures of one user's hits, by the name that they are reported under."""

LEAST_USERS = 6
"""Users below which nothing is said: that five of five go one way comes by chance once in 16 times,
and six of six once in 32, which is within the 5% that an interval leaves to chance."""

_WITH_INTERVAL = ("recall", "ndcg")
_HISTORY_BOUNDS = (1, 5, 20, 100)


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """Quality of the lists of one ranker.

    Args:
        overall: Measures over all users: `recall@k`, `ndcg@k`, `mrr@k`, `hit_rate@k`, `novelty@k`,
            `popularity@k`, `popularity_lift@k`, `diversity@k` (with item embeddings), `coverage@k`,
            `exposure_gini@k` for each k, `num_users` (users with test items), and
            `recall@k_low`, `recall@k_high` and those of NDCG: the 95% confidence interval, within
            0 and 1. NaN where nothing can be said, as with fewer than `LEAST_USERS` users.
        by_segment: The same without coverage and Gini, by segment and by label.
        per_user: Values (U,) of the measures that have one a user, NaN where a user has none.
    """

    overall: Mapping[str, float]
    by_segment: Mapping[str, Mapping[str, Mapping[str, float]]]
    per_user: Mapping[str, Float64Array]

    def to_dict(self) -> dict[str, object]:
        """`overall` and `by_segment` as JSON values; NaN becomes None."""
        return {
            "overall": _jsonable(self.overall),
            "by_segment": {
                segment: {label: _jsonable(values) for label, values in labels.items()}
                for segment, labels in self.by_segment.items()
            },
        }


def evaluate_lists(
    items_UK: Int64Array,
    relevant: UserItems,
    *,
    train: UserItems,
    ks: Sequence[int] = (20,),
    item_embeddings_CD: FloatArray | None = None,
    segments: Mapping[str, npt.ArrayLike] | None = None,
) -> Evaluation:
    """Measure recommendation lists against test items.

    Args:
        items_UK: Lists of all users, best first, padded with `NO_ITEM` at the end. A user with
            test items and an empty list counts as a miss.
        relevant: Test items (U, C), rows in the order of the lists.
        train: Train items (U, C), rows in the same order; popularity is counted on it.
        ks: List lengths to report, each at most K.
        item_embeddings_CD: Item vectors; diversity is reported when they are given.
        segments: Labels (U,) by the name of the segment; a null label is reported as "missing".

    Raises:
        DataError: Shapes disagree, or a list repeats an item, holds an unknown one, or has an
            item after padding.
        ConfigError: A k is below 1 or above K.
    """
    _check_lists(items_UK, relevant, train)
    if not ks:
        raise ConfigError("ks: expected at least one list length, got none; set one, e.g. 20")
    per_user = _accuracy(items_UK, relevant, ks) | _beyond_accuracy(items_UK, train, ks)
    if item_embeddings_CD is not None:
        per_user |= {
            f"diversity@{k}": metrics.intra_list_diversity(items_UK, item_embeddings_CD, k=k)
            for k in ks
        }
    history_U = metrics.history_mean(train, metrics.item_popularity(train))
    everyone = np.zeros(len(items_UK), dtype=np.int64)
    overall = _summaries(per_user, history_U, everyone, 1, ks)[0]
    return Evaluation(
        overall=overall | _catalogue(items_UK, relevant.shape[1], ks),
        by_segment={
            segment: _by_label(per_user, history_U, labels, ks)
            for segment, labels in (segments or {}).items()
        },
        per_user=per_user,
    )


def history_length_segment(train: UserItems) -> npt.NDArray[np.str_]:
    """Label each user by the number of distinct train items: 0, 1-4, 5-19, 20-99, 100+. (U,)."""
    labels = np.array(["0", "1-4", "5-19", "20-99", "100+"])
    return labels[np.digitize(metrics.relevant_counts(train), _HISTORY_BOUNDS)]


def _accuracy(
    items_UK: Int64Array, relevant: UserItems, ks: Sequence[int]
) -> dict[str, Float64Array]:
    hits_UK = metrics.hit_matrix(items_UK, relevant)
    relevant_U = metrics.relevant_counts(relevant)
    return {
        f"{name}@{k}": measure(hits_UK, relevant_U, k=k)
        for k in ks
        for name, measure in ACCURACY.items()
    }


def _beyond_accuracy(
    items_UK: Int64Array, train: UserItems, ks: Sequence[int]
) -> dict[str, Float64Array]:
    information_C, popularity_C = metrics.self_information(train), metrics.item_popularity(train)
    novelty = {f"novelty@{k}": metrics.list_mean(items_UK, information_C, k=k) for k in ks}
    popularity = {f"popularity@{k}": metrics.list_mean(items_UK, popularity_C, k=k) for k in ks}
    return novelty | popularity


def _catalogue(items_UK: Int64Array, num_items: int, ks: Sequence[int]) -> dict[str, float]:
    coverage = {
        f"coverage@{k}": metrics.catalogue_coverage(items_UK[:, :k], num_items=num_items)
        for k in ks
    }
    gini = {
        f"exposure_gini@{k}": metrics.exposure_gini(items_UK[:, :k], num_items=num_items)
        for k in ks
    }
    return coverage | gini


def _by_label(
    per_user: Mapping[str, Float64Array],
    history_U: Float64Array,
    labels: npt.ArrayLike,
    ks: Sequence[int],
) -> dict[str, dict[str, float]]:
    encoded = pa.array(np.asarray(labels), from_pandas=True).cast(pa.string())
    encoded = encoded.fill_null("missing").dictionary_encode()
    names: list[str] = encoded.dictionary.to_pylist()
    codes_U = encoded.indices.to_numpy().astype(np.int64)
    if codes_U.shape != history_U.shape:
        raise _mismatch("segments", f"{len(history_U)} labels, one a user", str(len(codes_U)))
    summaries = dict(
        zip(names, _summaries(per_user, history_U, codes_U, len(names), ks), strict=True)
    )
    return {name: summaries[name] for name in sorted(names, key=_label_order)}


def _label_order(label: str) -> tuple[float, str]:
    """Labels that begin with a number in the order of that number, then the others by text."""
    number = re.match(r"\d+", label)
    return (float(number.group()) if number else math.inf, label)


def _summaries(
    per_user: Mapping[str, Float64Array],
    history_U: Float64Array,
    codes_U: Int64Array,
    num_groups: int,
    ks: Sequence[int],
) -> list[dict[str, float]]:
    """Means of each group of users, with intervals, popularity lifts and user counts."""
    columns: dict[str, Float64Array] = {}
    for name, values_U in per_user.items():
        columns[name], variances_G, counts_G = _group_means(values_U, codes_U, num_groups)
        if name.startswith(_WITH_INTERVAL):
            low_G, high_G = share_intervals(columns[name], variances_G, counts_G)
            columns[f"{name}_low"], columns[f"{name}_high"] = low_G, high_G
    for k in ks:
        lift_G = _lifts(per_user[f"popularity@{k}"], history_U, codes_U, num_groups)
        columns[f"popularity_lift@{k}"] = lift_G
    has_test_U = ~np.isnan(per_user[f"recall@{ks[0]}"])
    columns["num_users"] = np.bincount(codes_U[has_test_U], minlength=num_groups).astype(np.float64)
    return [
        {name: float(values_G[group]) for name, values_G in columns.items()}
        for group in range(num_groups)
    ]


def _lifts(
    list_U: Float64Array, history_U: Float64Array, codes_U: Int64Array, num_groups: int
) -> Float64Array:
    """Popularity lift of each group, over the users that have both a list and a history."""
    has_both_U = ~np.isnan(list_U + history_U)
    list_G, *_ = _group_means(np.where(has_both_U, list_U, np.nan), codes_U, num_groups)
    history_G, *_ = _group_means(np.where(has_both_U, history_U, np.nan), codes_U, num_groups)
    return metrics.popularity_lift(list_G, history_G)


def _group_means(
    values_U: Float64Array, codes_U: Int64Array, num_groups: int
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Mean and variance of each group, and its number of values; NaN values are left out.

    The mean is NaN for a group without values, the variance for one with fewer than two.
    """
    known_U = ~np.isnan(values_U)
    codes, values = codes_U[known_U], values_U[known_U]
    counts_G = np.bincount(codes, minlength=num_groups).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        means_G = np.bincount(codes, weights=values, minlength=num_groups) / counts_G
        squares = (values - means_G[codes]) ** 2
        variances_G = np.bincount(codes, weights=squares, minlength=num_groups) / (counts_G - 1)
    return means_G, variances_G, counts_G


def share_intervals(
    means_G: Float64Array, variances_G: Float64Array, counts_G: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Intervals of means of values within 0 and 1, which stay within 0 and 1 themselves.

    Wilson's interval (1927) with Student's quantile, for as many yes-no answers as would vary like
    the values do (Korn and Graubard 1998 do so for surveys).

    Returns:
        Lower and upper ends; NaN for groups of fewer than `LEAST_USERS` values.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        means_G = np.clip(means_G, 0, 1)
        spread_G = means_G * (1 - means_G)
        answers_G = np.where(variances_G > 0, spread_G * counts_G / variances_G, counts_G)
        answers_G = np.maximum(answers_G, counts_G - 1)  # by rounding it may fall below
        t_G = stats.t.ppf((1 + CONFIDENCE) / 2, counts_G - 1)
        share_G = t_G**2 / answers_G
        middle_G = (means_G + share_G / 2) / (1 + share_G)
        half_G = np.sqrt(spread_G * share_G + share_G**2 / 4) / (1 + share_G)
    is_known_G = counts_G >= LEAST_USERS
    low_G = np.where(is_known_G, np.clip(middle_G - half_G, 0, 1), np.nan)
    return low_G, np.where(is_known_G, np.clip(middle_G + half_G, 0, 1), np.nan)


def _check_lists(items_UK: Int64Array, relevant: UserItems, train: UserItems) -> None:
    if relevant.shape != train.shape or len(items_UK) != relevant.shape[0]:
        got = f"{len(items_UK)} lists, test {relevant.shape}, train {train.shape}"
        raise _mismatch("lists", "one row a user in lists, test and train, one column an item", got)
    if items_UK.max(initial=NO_ITEM) >= relevant.shape[1] or items_UK.min(initial=0) < NO_ITEM:
        got = f"{items_UK.min()} to {items_UK.max()}"
        raise _mismatch("lists", f"item numbers from 0 to {relevant.shape[1] - 1}", got)
    sorted_UK = np.sort(items_UK, axis=1)
    repeated = (np.diff(sorted_UK, axis=1) == 0) & (sorted_UK[:, 1:] != NO_ITEM)
    if repeated.any():
        got = f"{np.count_nonzero(repeated.any(axis=1))} lists that repeat one"
        raise _mismatch("lists", "distinct items in each list", got)
    if ((items_UK[:, 1:] != NO_ITEM) & (items_UK[:, :-1] == NO_ITEM)).any():
        raise _mismatch("lists", "padding only at the end of a list", "an item after padding")


def _mismatch(what: str, expected: str, got: str) -> DataError:
    return DataError(file=what, expected=expected, got=got, remedy="rank with a Ranker")


def _jsonable(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in values.items()}
