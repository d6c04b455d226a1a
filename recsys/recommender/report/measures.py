"""The measures that a report shows: their names, what they mean and how they are printed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from recsys.reporting import formats


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One measure of lists."""

    label: str
    """Its name for people."""
    meaning: str
    """One sentence."""
    show: Callable[[float], str] = formats.fraction
    """Its values as text."""
    higher_is_better: bool = True
    """Whether a higher value is always better; for others it depends on the goal."""


MEASURES: Mapping[str, Measure] = {
    "recall": Measure(
        label="Recall",
        meaning="Share of the items a user took in the held-out part that are in the list, "
        "averaged over users.",
    ),
    "ndcg": Measure(
        label="NDCG",
        meaning="Like recall, but a hit counts more the higher it stands in the list; "
        "1 is the perfect order.",
    ),
    "mrr": Measure(
        label="MRR",
        meaning="One divided by the rank of the first hit, 0 without a hit, averaged over users.",
    ),
    "hit_rate": Measure(
        label="Hit rate",
        meaning="Share of users whose list holds at least one item that they took in the held-out "
        "part.",
    ),
    "coverage": Measure(
        label="Coverage",
        meaning="Share of the catalogue that is in at least one list.",
        show=formats.percent,
        higher_is_better=False,
    ),
    "novelty": Measure(
        label="Novelty",
        meaning="Mean surprise of the recommended items in bits: an item that one user in a "
        "thousand took has ten.",
        show=formats.decimal,
        higher_is_better=False,
    ),
    "popularity_lift": Measure(
        label="Popularity lift",
        meaning="How much more popular the lists are than the same users' histories: 0% keeps "
        "their level, +100% doubles it.",
        show=formats.signed_percent,
        higher_is_better=False,
    ),
    "diversity": Measure(
        label="Diversity",
        meaning="1 minus the mean cosine of the vectors of a list's items: 0 when all are alike.",
        show=formats.fraction,
        higher_is_better=False,
    ),
}
"""By the name that `Evaluation` reports them under, without `@k`, in the order of the report."""

INTERVAL = (
    "The 95% confidence interval of a mean over users, where there are enough of them. Two such "
    "intervals may overlap although the difference, user by user, is clear."
)
"""What stands in small print beside a mean."""


def measure_of(key: str) -> Measure:
    """The measure of a key such as `recall@20`."""
    return MEASURES[key.partition("@")[0]]


def label_of(key: str) -> str:
    """The label of `recall@20` is "Recall@20"."""
    return f"{measure_of(key).label}@{key.partition('@')[2]}"


def glossary(keys: Iterable[str]) -> dict[str, str]:
    """What each of the measures means, and their intervals."""
    return {measure_of(key).label: measure_of(key).meaning for key in keys} | {
        "0.10 to 0.20": INTERVAL
    }
