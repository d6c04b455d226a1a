"""The content of a report as plain data, so that it can be drawn without the model.

Shapes: C items of the map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from recsys.arrays import Float64Array
from recsys.errors import ConfigError
from recsys.recommender.evaluation.comparison import differences, verdict
from recsys.recommender.evaluation.evaluate import Evaluation
from recsys.recommender.index.report import IndexReport
from recsys.recommender.model import Selection
from recsys.training import EpochResult


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """The data of a run."""

    source: str
    """Where it came from, for people to read."""
    num_interactions: int
    """Rows of the interactions."""
    num_users: int
    """Distinct users in them."""
    num_items: int
    """Distinct items in them."""
    first_event: datetime | None = None
    """Time of the first interaction."""
    last_event: datetime | None = None
    """Time of the last one."""
    cuts: Mapping[str, datetime] = field(default_factory=dict)
    """Where a split by time cuts, e.g. "test from"."""
    parts: Mapping[str, int] = field(default_factory=dict)
    """Interactions of each part of the split, e.g. "train"."""


@dataclass(frozen=True, kw_only=True)
class ExampleItem:
    """An item with its title."""

    title: str
    """Its title, or its id where it has none."""
    detail: str = ""
    """Further information, e.g. its genres."""
    is_hit: bool = False
    """Whether the user really took it in the held-out part."""


@dataclass(frozen=True, kw_only=True)
class ExampleList:
    """A user's recent history beside what the model recommends to them."""

    user: str
    """The user id."""
    source: str = ""
    """What the recommendations were made from, e.g. "history"."""
    history: tuple[ExampleItem, ...] = ()
    """What the user took last, the most recent first."""
    recommendations: tuple[ExampleItem, ...]
    """The list, the best first."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ItemMap:
    """Item vectors in two dimensions."""

    positions: Float64Array
    """Places of the items, within the unit square. Shape (C, 2)."""
    feature: str = ""
    """Name of the feature that colours them."""
    terms: tuple[str | None, ...] = ()
    """Term of each item in that feature, None where it has none; empty without a feature."""
    labels: Mapping[int, str] = field(default_factory=dict)
    """Titles of a few well-known items by their row in `positions`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportContent:
    """Everything that a report shows; missing parts are left out.

    Raises:
        ConfigError: Lists of length k were not evaluated.
    """

    name: str
    """Name of the run."""
    k: int
    """List length of the headline."""
    part: Literal["test", "validation"] = "test"
    """The held-out part that lists were measured on."""
    num_new_items: int = 0
    """Items of that part that training did not have."""
    model: Evaluation
    """What the model's lists are worth."""
    note: str = ""
    """What readers must know first, such as that a baseline ranks the lists."""
    baselines: Mapping[str, Evaluation] = field(default_factory=dict)
    """The same of each baseline, on the same users, by the name to print."""
    epochs: Sequence[EpochResult] = ()
    """Training with validation, by which settings were chosen; validation is NDCG@k."""
    refit_epochs: Sequence[EpochResult] = ()
    """Training of the final model on all train data."""
    prefixes: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    """Measures such as `recall@20`, as in `Evaluation.overall`, by width of the vectors."""
    index: IndexReport | None = None
    """Recall and speed of the item index."""
    item_map: ItemMap | None = None
    """The item vectors in two dimensions, from `map_catalogue`."""
    examples: Sequence[ExampleList] = ()
    """Lists of a few users."""
    data: DataFacts | None = None
    """What the model was trained and tested on."""
    selection: Selection | None = None
    """What was chosen on validation data."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """The config, tables within tables, from `config_to_dict`."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Versions of the packages."""
    durations_s: Mapping[str, float] = field(default_factory=dict)
    """Seconds of each stage, in their order."""
    peak_memory_mb: float | None = None
    """Largest resident memory of the run, in 10^6 bytes."""

    def __post_init__(self) -> None:
        for name, evaluation in {"model": self.model, **self.baselines}.items():
            missing = [one for one in self.headline if one not in evaluation.overall]
            if missing:
                raise ConfigError(
                    f"report: expected {missing[0]} in the evaluation of {name}, got none; "
                    f"evaluate lists of {self.k}"
                )

    @property
    def headline(self) -> tuple[str, str]:
        """The measures that the verdict goes by."""
        return (f"recall@{self.k}", f"ndcg@{self.k}")

    @property
    def verdict(self) -> str:
        """The first line of the report: whether the model beats its baselines."""
        return verdict(self.model, self.baselines, self.headline)

    @property
    def beats_baselines(self) -> bool | None:
        """What the verdict says; None where it is level with one, and without baselines."""
        if not self.baselines:
            return None
        found = differences(self.model, self.baselines, self.headline).values()
        standings = {difference.standing for difference in found}
        if "behind" in standings:
            return False
        return True if standings == {"ahead"} else None
