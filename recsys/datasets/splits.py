"""Splits of interactions into train, valid and test: all leak rules are in this file.

    global_time      everything at or after a cut is test, as for a scheduled job leave_last_out
    each user's last interaction is test, the one before it valid random           a share of each
    user's interactions, for logs without time brought          the data says, in its column `split`

Rows keep their order within a part, and every row is in exactly one.

Shapes: N interactions, T distinct times, U users.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from recsys.arrays import Int8Array, Int64Array
from recsys.config import config_class
from recsys.datasets.columns.text import first_row
from recsys.datasets.origin import Origin, listing
from recsys.errors import DataError
from recsys.schema import EVENT_TIME, EVENT_TIME_TYPE, SPLIT, USER_ID

SplitKind = Literal["global_time", "leave_last_out", "random", "brought"]


_TRAIN, _VALID, _TEST = 0, 1, 2
_NAMES = ["train", "valid", "test"]


@config_class
class SplitConfig:
    """How interactions are divided."""

    kind: SplitKind = "global_time"
    """Which rule divides them."""
    test_share: float = Field(default=0.1, ge=0, lt=1)
    """Share of interactions to test on; 0 for no test part. Leave-last-out asks only if above 0."""
    valid_share: float = Field(default=0.1, ge=0, lt=1)
    """Share of interactions to select on, from before the test part; 0 for no such part."""

    @model_validator(mode="after")
    def _leaves_a_train_part(self) -> Self:
        if self.test_share + self.valid_share >= 1:
            raise ValueError(
                "expected test_share + valid_share below 1, got nothing left to train on"
            )
        return self

    @property
    def needs_time(self) -> bool:
        """Whether the rule needs the time of every event."""
        return self.kind in ("global_time", "leave_last_out")


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Parts of the interactions, with the columns of the whole.

    Args:
        train: What models are fitted on; never empty.
        valid: What settings are selected on; None when not asked for.
        test: What quality is reported on; None when not asked for.
        valid_from: The cut before `valid`, of a global time split: train is strictly before it.
        test_from: The cut before `test`: train and valid are strictly before it.
    """

    train: pa.Table
    valid: pa.Table | None
    test: pa.Table | None
    valid_from: datetime | None = None
    test_from: datetime | None = None


def split_interactions(interactions: pa.Table, config: SplitConfig, *, seed: int) -> Split:
    """Divide interactions by the rule that `config` names.

    Args:
        interactions: A table with standard columns.
        config: The rule and its shares.
        seed: Seed of the random rule; the others do not use it.

    Raises:
        DataError: A column that the rule needs is missing or has nulls, or a part that is asked
            for would be empty.
    """
    match config.kind:
        case "global_time":
            return _by_time(interactions, config)
        case "leave_last_out":
            parts = _last_per_user(interactions, config)
        case "random":
            parts = _random_per_user(interactions, config, np.random.default_rng(seed))
        case "brought":
            parts = _brought(interactions)
            return _split(interactions, parts, asked={_TRAIN, *np.unique(parts).tolist()})
    return _split(interactions, parts, asked=_asked(config))


def _by_time(interactions: pa.Table, config: SplitConfig) -> Split:
    """Cut at the times nearest to the shares; all rows at a cut come after it."""
    times_N = _column(interactions, EVENT_TIME).cast(pa.int64()).to_numpy()
    distinct_T, counts_T = np.unique(times_N, return_counts=True)
    before_T = np.cumsum(counts_T) - counts_T  # rows strictly before each distinct time
    asked = _asked(config)
    if len(distinct_T) < len(asked):
        raise _refusal(
            EVENT_TIME,
            expected=f"at least {len(asked)} distinct times, one a part",
            got=f"{len(distinct_T)} in {len(times_N)} rows",
            remedy="bring more days or finer times, or choose another split",
        )
    parts, cuts = np.full(len(times_N), _TRAIN, dtype=np.int8), {}
    share, last = 0.0, len(distinct_T)
    for part, part_share in ((_TEST, config.test_share), (_VALID, config.valid_share)):
        if part not in asked:
            continue
        share += part_share
        first = 2 if part == _TEST and _VALID in asked else 1  # leaves a time for each part before
        cut = first + int(np.argmin(np.abs(before_T[first:last] - (1 - share) * len(times_N))))
        inside = (times_N >= distinct_T[cut]) & (parts == _TRAIN)
        parts[inside] = part
        cuts[part] = pa.scalar(int(distinct_T[cut]), EVENT_TIME_TYPE).as_py()
        last = cut
    split = _split(interactions, parts, asked=asked)
    return replace(split, valid_from=cuts.get(_VALID), test_from=cuts.get(_TEST))


def _last_per_user(interactions: pa.Table, config: SplitConfig) -> Int8Array:
    """The last rows of each user with enough of them; of equal times the later row is the later."""
    times_N = _column(interactions, EVENT_TIME).cast(pa.int64()).to_numpy()
    users_N = _user_codes(interactions)
    ages_N, totals_N = _rank_in_user(users_N, -times_N, -np.arange(len(times_N)))
    parts = np.full(len(times_N), _TRAIN, dtype=np.int8)
    held_out = sorted(_asked(config) - {_TRAIN}, reverse=True)
    for age, part in enumerate(held_out):
        parts[(ages_N == age) & (totals_N > len(held_out))] = part
    return parts


def _random_per_user(
    interactions: pa.Table, config: SplitConfig, rng: np.random.Generator
) -> Int8Array:
    """A share of each user's rows, rounded up or down at random, at least one left to train on."""
    users_N = _user_codes(interactions)
    ranks_N, totals_N = _rank_in_user(users_N, rng.random(len(users_N)))
    luck_N = rng.random(users_N.max(initial=0) + 1)[users_N]  # one draw a user
    parts = np.full(len(users_N), _TRAIN, dtype=np.int8)
    held_out_N = (config.test_share + config.valid_share) * totals_N + luck_N
    parts[ranks_N < np.minimum(held_out_N // 1, totals_N - 1)] = _VALID
    num_test_N = config.test_share * totals_N + luck_N
    parts[ranks_N < np.minimum(num_test_N // 1, totals_N - 1)] = _TEST
    return parts


def _brought(interactions: pa.Table) -> Int8Array:
    """The parts that the column `split` names."""
    names = _column(interactions, SPLIT)
    parts = pc.index_in(names, value_set=pa.array(_NAMES))
    if parts.null_count:
        raise _refusal(
            SPLIT,
            expected=f"{', '.join(_NAMES)} in every row",
            got=f"other text in {parts.null_count:,} rows, {first_row(pc.is_null(parts))}",
            remedy="rename the parts or remove the rows",
        )
    return np.asarray(parts, dtype=np.int8)


def _asked(config: SplitConfig) -> set[int]:
    shares = {_VALID: config.valid_share, _TEST: config.test_share}
    return {_TRAIN} | {part for part, share in shares.items() if share > 0}


def _split(interactions: pa.Table, parts_N: Int8Array, *, asked: set[int]) -> Split:
    """The parts as tables; none that is asked for may be empty."""
    tables = {part: interactions.filter(pa.array(parts_N == part)) for part in sorted(asked)}
    for part, table in tables.items():
        if table.num_rows == 0:
            raise _refusal(
                "",
                expected=f"at least one row for the {_NAMES[part]} part",
                got=f"none of {interactions.num_rows}",
                remedy="bring more interactions a user, or change [split] kind or shares",
            )
    return Split(train=tables[_TRAIN], valid=tables.get(_VALID), test=tables.get(_TEST))


def _user_codes(interactions: pa.Table) -> Int64Array:
    """A number for each user, in the order of first appearance. Shape (N,)."""
    users = _column(interactions, USER_ID)
    return np.asarray(pc.index_in(users, value_set=pc.unique(users)), dtype=np.int64)


def _rank_in_user(
    users_N: Int64Array, *keys_N: npt.NDArray[np.generic]
) -> tuple[Int64Array, Int64Array]:
    """Place of each row among its user's rows by the keys, from 0, and the number of these rows."""
    totals_U = np.bincount(users_N)
    starts_U = np.cumsum(totals_U) - totals_U
    order_N = np.lexsort((*reversed(keys_N), users_N))
    ranks_N = np.empty_like(users_N)
    ranks_N[order_N] = np.arange(len(users_N)) - starts_U[users_N[order_N]]
    return ranks_N, totals_U[users_N]


def _column(interactions: pa.Table, name: str) -> pa.ChunkedArray:
    """A column without nulls."""
    if name not in interactions.column_names:
        raise _refusal(
            name,
            expected="the column, which this split needs",
            got=f"columns {listing(interactions.column_names)}",
            remedy="name the column under [columns], or choose another [split] kind",
        )
    column = interactions[name]
    if column.null_count:
        raise _refusal(
            name,
            expected="a value in every row",
            got=f"{column.null_count} nulls in {len(column)} rows",
            remedy="fill them in or remove the rows",
        )
    return column


def _refusal(column: str, *, expected: str, got: str, remedy: str) -> DataError:
    origin = Origin(file="interactions", column=column)
    return origin.refusal(expected=expected, got=got, remedy=remedy)
