"""What a dataset holds, and whether it may be used; all faults are collected first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from recsys.config import config_class, config_to_dict
from recsys.datasets.columns.text import first_row
from recsys.datasets.columns.time_checks import absurd_refusals, first_and_last
from recsys.datasets.dataset import Dataset, FeatureConfig, TableName
from recsys.datasets.origin import Origin
from recsys.errors import DataError
from recsys.schema import EVENT_TIME, EVENT_TIME_TYPE, ITEM_ID, USER_ID, WEIGHT


@config_class
class ValidationConfig:
    """Limits beyond which a dataset is refused."""

    max_future_s: int = Field(default=300, ge=0, le=3_155_760_000)
    """Seconds by which an event may lie after the date of the run, for clocks that differ."""
    max_unknown_user_share: float = Field(default=0.05, ge=0, le=1)
    """Share of interactions whose user may be absent from the users table."""
    max_unknown_item_share: float = Field(default=0.05, ge=0, le=1)
    """Share of interactions whose item may be absent from the items table."""
    max_events_per_user: int | None = Field(default=None, ge=1)
    """Latest events of a user that are learnt from; by default five times those of the busiest of
    so many people, as the middle of the users and its spread let expect, and at least 1000. What
    a user has is left out of lists all the same."""


@dataclass(frozen=True, kw_only=True)
class FeatureSummary:
    """What one feature column holds.

    Args:
        kind: The feature's kind.
        num_terms: Distinct terms (categorical, multi_hot) or dimensions (dense); None for numbers.
        null_share: Share of rows without a value.
    """

    kind: str
    num_terms: int | None
    null_share: float


@dataclass(frozen=True, kw_only=True)
class ValidationReport:
    """What was found.

    Args:
        num_interactions: Rows of the interactions.
        num_users: Distinct users in the interactions.
        num_items: Distinct items in the interactions.
        first_event: Time of the first event; None without times.
        last_event: Time of the last event; None without times.
        num_duplicate_rows: Interactions that repeat an earlier one in every column.
        num_duplicate_pairs: Interactions whose user had the same item in an earlier row.
        unknown_user_share: Share of interactions whose user is not in the users table (OOV); None
            without that table.
        unknown_item_share: The same for items.
        num_rows: Rows of each table given.
        nulls: Nulls of each column of each table.
        features: What each feature of each table holds.
        refusals: Why the dataset may not be used; empty when it may.
    """

    num_interactions: int
    num_users: int
    num_items: int
    first_event: datetime | None
    last_event: datetime | None
    num_duplicate_rows: int
    num_duplicate_pairs: int
    unknown_user_share: float | None
    unknown_item_share: float | None
    num_rows: dict[str, int]
    nulls: dict[str, dict[str, int]]
    features: dict[str, dict[str, FeatureSummary]]
    refusals: tuple[DataError, ...]

    def raise_if_refused(self) -> None:
        """Raise the first refusal, if there is one."""
        if self.refusals:
            raise self.refusals[0]

    def to_dict(self) -> dict[str, object]:
        """The report as JSON values: times in ISO 8601, refusals as their messages."""
        values = config_to_dict(replace(self, refusals=()))
        return {**values, "refusals": [str(refusal) for refusal in self.refusals]}


def validate_dataset(
    dataset: Dataset,
    *,
    as_of: datetime | None = None,
    limits: ValidationConfig | None = None,
    needs_time: bool = False,
) -> ValidationReport:
    """Describe a dataset and collect the reasons to refuse it.

    Args:
        dataset: Tables as `load_dataset` returns them.
        as_of: The date of the run, with a time zone; later events are faults. Not looked at when
            None.
        limits: What is still acceptable.
        needs_time: Whether what follows needs the time of every event.
    """
    limits = limits or ValidationConfig()
    tables = _tables(dataset)
    log = dataset.interactions
    times = first_and_last(log[EVENT_TIME]) if EVENT_TIME in log.column_names else {}
    return ValidationReport(
        num_interactions=log.num_rows,
        num_users=pc.count_distinct(log[USER_ID]).as_py(),
        num_items=pc.count_distinct(log[ITEM_ID]).as_py(),
        first_event=times.get("min"),
        last_event=times.get("max"),
        num_duplicate_rows=_num_duplicates(log, log.column_names),
        num_duplicate_pairs=_num_duplicates(log, [USER_ID, ITEM_ID]),
        unknown_user_share=_unknown_share(log, dataset.users, USER_ID),
        unknown_item_share=_unknown_share(log, dataset.items, ITEM_ID),
        num_rows={name: table.num_rows for name, table in tables.items()},
        nulls={name: _nulls(table) for name, table in tables.items()},
        features={name: _summaries(dataset, name, table) for name, table in tables.items()},
        refusals=tuple(_refusals(dataset, as_of, limits, needs_time)),
    )


def _tables(dataset: Dataset) -> dict[TableName, pa.Table]:
    tables: dict[TableName, pa.Table] = {"interactions": dataset.interactions}
    if dataset.users is not None:
        tables["users"] = dataset.users
    if dataset.items is not None:
        tables["items"] = dataset.items
    return tables


def _features(dataset: Dataset, table: TableName) -> dict[str, FeatureConfig]:
    if table == "interactions":
        return {}
    return dataset.features.users if table == "users" else dataset.features.items


def _num_duplicates(table: pa.Table, columns: list[str]) -> int:
    return int(table.num_rows - table.group_by(columns).aggregate([]).num_rows)


def _unknown_share(log: pa.Table, side: pa.Table | None, key: str) -> float | None:
    """Share of interactions with an id that `side` lacks; null ids are not counted as unknown."""
    if side is None:
        return None
    num_unknown = len(_unknown(log, side, key))
    return num_unknown / max(int(log.num_rows), 1)


def _unknown(log: pa.Table, side: pa.Table, key: str) -> pa.ChunkedArray:
    """Ids of interactions, repeated as they occur, that `side` lacks."""
    ids = log[key].drop_null()
    if not len(ids) or not side.num_rows:  # the type of a column without rows says nothing
        return ids
    return ids.filter(pc.invert(pc.is_in(ids, side[key])))


def _nulls(table: pa.Table) -> dict[str, int]:
    return {name: table[name].null_count for name in table.column_names}


def _summaries(dataset: Dataset, name: TableName, table: pa.Table) -> dict[str, FeatureSummary]:
    return {
        feature: FeatureSummary(
            kind=config.kind,
            num_terms=_num_terms(table[feature], config),
            null_share=table[feature].null_count / max(table.num_rows, 1),
        )
        for feature, config in _features(dataset, name).items()
    }


def _num_terms(column: pa.ChunkedArray, config: FeatureConfig) -> int | None:
    if config.kind == "dense":
        return int(column.type.list_size)
    if config.kind == "numeric":
        return None
    terms = pc.list_flatten(column) if config.kind == "multi_hot" else column
    return int(pc.count_distinct(terms).as_py())


def _refusals(
    dataset: Dataset, as_of: datetime | None, limits: ValidationConfig, needs_time: bool
) -> Iterator[DataError]:
    """Every reason to refuse, the most basic first."""
    for name, table in _tables(dataset).items():
        if table.num_rows == 0:
            yield dataset.origin(name).refusal(
                expected="at least one row",
                got="an empty table",
                remedy="check the export that wrote it",
            )
    for key in (USER_ID, ITEM_ID):
        yield from _null_refusals(dataset.interactions[key], dataset.origin("interactions", key))
    yield from _time_refusals(dataset, as_of, limits, needs_time)
    yield from _value_refusals(dataset)
    users, items = dataset.users, dataset.items
    yield from _unknown_refusals(dataset, "users", users, USER_ID, limits.max_unknown_user_share)
    yield from _unknown_refusals(dataset, "items", items, ITEM_ID, limits.max_unknown_item_share)


def _null_refusals(column: pa.ChunkedArray, origin: Origin) -> Iterator[DataError]:
    if column.null_count:
        yield origin.refusal(
            expected="a value in every row",
            got=f"{column.null_count} nulls in {len(column)} rows",
            remedy="fill them in or remove the rows",
        )


def _time_refusals(
    dataset: Dataset, as_of: datetime | None, limits: ValidationConfig, needs_time: bool
) -> Iterator[DataError]:
    log, origin = dataset.interactions, dataset.origin("interactions", EVENT_TIME)
    if EVENT_TIME not in log.column_names:
        if needs_time:
            yield origin.refusal(
                expected="the time of every event, which this job needs",
                got="no such column",
                remedy="name it in [columns] event_time, or choose a split without time",
            )
        return
    yield from _null_refusals(log[EVENT_TIME], origin)
    yield from absurd_refusals(log[EVENT_TIME], origin)
    if as_of is None:
        return
    moment = as_of + timedelta(seconds=limits.max_future_s)
    limit = pa.scalar(moment, EVENT_TIME_TYPE)
    future = log[EVENT_TIME].filter(pc.greater(log[EVENT_TIME], limit))
    if len(future):
        yield origin.refusal(
            expected=f"no event more than {limits.max_future_s} s after {as_of.isoformat()}",
            got=f"{len(future)} such events, {first_row(pc.greater(log[EVENT_TIME], limit))}",
            remedy="check the clock, zone and unit of the times, or the date of the run",
        )


def _value_refusals(dataset: Dataset) -> Iterator[DataError]:
    """Numbers that are not finite, vectors with gaps and weights that are null or negative."""
    if WEIGHT in dataset.interactions.column_names:
        weights, origin = dataset.interactions[WEIGHT], dataset.origin("interactions", WEIGHT)
        yield from _null_refusals(weights, origin)
        yield from _not_finite_refusals(weights, origin)
        num_negative = pc.sum(pc.less(weights, 0)).as_py() or 0
        if num_negative:
            yield origin.refusal(
                expected="weights of 0 or more",
                got=f"{num_negative} negative ones, {first_row(pc.less(weights, 0))}",
                remedy="shift or clip the weights, or map no weight",
            )
    for name, table in _tables(dataset).items():
        for feature, config in _features(dataset, name).items():
            origin = dataset.origin(name, feature)
            if config.kind == "numeric":
                yield from _not_finite_refusals(table[feature], origin)
            if config.kind == "dense":
                values = pc.list_flatten(table[feature])
                yield from _null_refusals(values, origin)
                yield from _not_finite_refusals(values, origin)


def _not_finite_refusals(numbers: pa.ChunkedArray, origin: Origin) -> Iterator[DataError]:
    num_wrong = pc.sum(pc.invert(pc.is_finite(numbers))).as_py() or 0
    if num_wrong:
        num_nan = pc.sum(pc.is_nan(numbers)).as_py()
        yield origin.refusal(
            expected="finite numbers that fit in 32-bit floats",
            got=f"{num_nan} NaN and {num_wrong - num_nan} infinite values among {len(numbers)}",
            remedy="write null where a value is missing and correct the others",
        )


def _unknown_refusals(
    dataset: Dataset, side: TableName, table: pa.Table | None, key: str, limit: float
) -> Iterator[DataError]:
    share = _unknown_share(dataset.interactions, table, key)
    if table is None or share is None or share <= limit:
        return
    unknown = _unknown(dataset.interactions, table, key)
    yield dataset.origin("interactions", key).refusal(
        expected=f"at most {limit:.2%} of interactions with ids absent from "
        f"{dataset.origin(side).file}",
        got=f"{share:.2%}: {pc.count_distinct(unknown)} ids, "
        f"{first_row(pc.is_in(dataset.interactions[key], pc.unique(unknown)))}",
        remedy=f"add them to the {side} table or raise [validation] max_unknown_{side[:-1]}_share",
    )
