"""Output checks: whether a night's lists are like those of the night before.

Shapes: U users.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.arrays import Int64Array
from recsys.errors import CheckError
from recsys.recommender.lists.list_files import ListsSummary
from recsys.recommender.nightly_config import ListChecksConfig
from recsys.recommender.ranking.ranker import MAX_K
from recsys.recommender.ranking.retraining import RetrainingShift
from recsys.schema import ITEM_ID, RANK, SCORE, USER_ID

_MIN_USERS = 50
"""Fewer users than this are too few to compare shares."""
_SAMPLE_ROWS = 1 << 19
_LEEWAY, _MOST_GAIN = 1.5, 0.8
"""How much more than measured a retraining may shift, and what it may never: an item everywhere."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Lists:
    """Figures of a file of lists."""

    lengths: Int64Array
    """Items of each list. Shape (U,)."""
    constant_share: float
    """Share of lists of two items or more whose scores are all the same."""
    shares: Mapping[object, float]
    """Share of lists that each item is in."""
    sample: pa.Table
    """User and item of some lists."""

    def short_share(self, longest: int) -> float:
        """Share of lists that are shorter than some length."""
        return float(np.mean(self.lengths < longest)) if len(self.lengths) else 0.0


def check_lists(
    new: Path,
    live: Path | None,
    config: ListChecksConfig,
    *,
    same_rules: bool = True,
    retraining: RetrainingShift | None = None,
) -> list[CheckError]:
    """Reasons why lists must not become live.

    Memory holds the lists of some users; of the others ranks, scores and counts.

    Args:
        new: The file of the night.
        live: The file that is live; None when there is none.
        config: Limits.
        same_rules: Whether both were made with the same settings and kinds of filters; if not,
            lists are compared up to the shorter length, with wider limits.
        retraining: How far the lists of the two models were measured to differ, where another
            model made the live ones; they may differ half as much again.
    """
    if not config.enabled:
        return []
    if retraining is not None:
        config = _for_retraining(config, retraining)
    depth = MAX_K
    if live is not None and not same_rules:
        config, depth = _widened(config), min(_longest(new), _longest(live)) or MAX_K
    before = None if live is None else _read(live, users=None, depth=depth)
    users = None if before is None else pc.unique(before.sample[USER_ID])
    night = _read(new, users=users, depth=depth)
    faults = []
    if len(night.lengths) >= _MIN_USERS and night.constant_share > 0.5:
        faults.append(_fault(
            "score spread", new, f"{night.constant_share:.0%} of lists with one score for all",
            "scores that tell the items of a list apart in at least half of the lists",
        ))  # fmt: skip
    if before is not None and len(before.lengths) >= _MIN_USERS:
        faults += _numbers(new, night, before, config)
        if night.sample.schema.equals(before.sample.schema):
            faults += _contents(new, night, before, config)
    elif before is not None and len(night.lengths) < config.min_users / 2 * len(before.lengths):
        faults.append(_fault(
            "users", new, f"{len(night.lengths):,} users with a list",
            f"at least {_percent(config.min_users / 2)} of the live {len(before.lengths):,}",
        ))  # fmt: skip
    return faults


def check_floor(summary: ListsSummary, place: Path, config: ListChecksConfig) -> list[CheckError]:
    """Reasons why lists must not become live, whatever the earlier ones: too many are empty.

    An output without a single row is always held.

    Args:
        summary: What was written.
        place: The file.
        config: Limits.
    """
    most = config.max_empty_share if config.enabled else 1.0
    empty, total = summary.num_empty_lists, summary.num_lists
    if summary.num_rows and empty <= most * total:
        return []
    return [_fault(
        "empty lists", place, f"{empty:,} of {total:,} lists without an item",
        f"at most {most:.0%} of them empty, and not all",
    )]  # fmt: skip


def _widened(config: ListChecksConfig) -> ListChecksConfig:
    """Wider limits for a night after a change of settings, when every list may change."""
    return replace(
        config,
        min_coverage=config.min_coverage / 2,
        min_overlap=0.0,
        max_exposure=min(1.0, config.max_exposure * 4),
        max_short_share=min(1.0, config.max_short_share * 2),
    )


def _for_retraining(config: ListChecksConfig, shift: RetrainingShift) -> ListChecksConfig:
    """Limits for lists of a retrained model, which has its own items a little higher or lower."""
    return replace(
        config,
        max_exposure=max(config.max_exposure, min(_LEEWAY * shift.exposure_gain, _MOST_GAIN)),
        min_coverage=min(config.min_coverage, shift.coverage_kept / _LEEWAY),
    )


def _longest(path: Path) -> int:
    """Length of the longest list of a file."""
    return int(pc.max(pq.read_table(path, columns=[RANK])[RANK]).as_py() or 0)


def _numbers(
    place: Path, night: _Lists, before: _Lists, config: ListChecksConfig
) -> Iterator[CheckError]:
    """Checks of the numbers of users and items, and of short lists."""
    compared = [
        ("users with a list", len(night.lengths), len(before.lengths), config.min_users),
        ("distinct items", len(night.shares), len(before.shares), config.min_coverage),
    ]
    for what, mine, theirs, share in compared:
        if mine < share * theirs:
            yield _fault(
                "users" if what.startswith("users") else "coverage", place,
                f"{mine:,} {what}", f"at least {_percent(share)} of the live {theirs:,}",
            )  # fmt: skip
    longest = int(max(before.lengths.max(), night.lengths.max(initial=0)))
    most = before.short_share(longest) + config.max_short_share
    if night.short_share(longest) > most:
        yield _fault(
            "short lists", place, f"{told_apart(night.short_share(longest), most)} of lists",
            f"at most {told_apart(most, night.short_share(longest))}",
        )  # fmt: skip


def _contents(
    place: Path, night: _Lists, before: _Lists, config: ListChecksConfig
) -> Iterator[CheckError]:
    """Checks of overlap and exposure: which items are in whose lists."""
    if not len(night.lengths):
        return
    # The overlap of lists drawn at random from the same items.
    chance = min(float(night.lengths.mean()) / len(night.shares), 1.0)
    least = config.min_overlap and config.min_overlap + (1 - config.min_overlap) * chance
    overlap, num_users = _overlap(night.sample, before.sample)
    if num_users >= _MIN_USERS and overlap < least:
        yield _fault(
            "overlap", place,
            f"{told_apart(overlap, least)} of the live lists of {num_users:,} users kept",
            f"at least {told_apart(least, overlap)}, of which {chance:.1%} come by chance",
        )  # fmt: skip
    gains = {item: share - before.shares.get(item, 0.0) for item, share in night.shares.items()}
    item = max(gains, key=gains.__getitem__)
    if gains[item] > config.max_exposure:
        yield _fault(
            "exposure", place,
            f"item {item!r} in {told_apart(gains[item], config.max_exposure)} more of all lists "
            "than live",
            f"a gain of at most {told_apart(config.max_exposure, gains[item])}",
        )  # fmt: skip


def _read(path: Path, *, users: pa.Array | None, depth: int) -> _Lists:
    """Figures of a file and a sample of it: lists of the users given, or of row groups.

    Items beyond the rank `depth` are ignored.
    """
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        places = _within(file.read([RANK, SCORE]), depth)
        starts = np.flatnonzero(places[RANK].to_numpy() == 1)
        scores = places[SCORE].to_numpy()
        lengths = np.diff(np.append(starts, len(scores)))
        # Scores of a list do not increase: its first is the highest, its last the lowest.
        gap = scores[starts] - scores[starts + lengths - 1]
        shares: Counter[object] = Counter()
        sample = [file.schema_arrow.empty_table().select([USER_ID, ITEM_ID])]
        step = math.ceil(max(len(scores), 1) / _SAMPLE_ROWS)
        for number in range(file.num_row_groups):
            rows = _within(file.read_row_group(number, [USER_ID, ITEM_ID, RANK]), depth)
            rows = rows.drop_columns(RANK)
            for one in pc.value_counts(rows[ITEM_ID]).to_pylist():
                shares[one["values"]] += one["counts"] / len(starts)
            if users is not None:
                if rows.schema.field(USER_ID).type == users.type:
                    sample.append(rows.filter(pc.is_in(rows[USER_ID], users)))
            elif number % step == 0:
                sample.append(rows)
    longer = lengths > 1
    return _Lists(
        lengths=lengths,
        constant_share=float(np.mean(gap[longer] <= 0)) if longer.any() else 0.0,
        shares=shares,
        sample=pa.concat_tables(sample),
    )


def _within(rows: pa.Table, depth: int) -> pa.Table:
    """The rows up to a rank."""
    return rows if depth == MAX_K else rows.filter(pc.less_equal(rows[RANK], depth))


def _overlap(table: pa.Table, before: pa.Table) -> tuple[float, int]:
    """Mean share of each user's earlier list that is in the new one, and how many have both."""
    users = pc.unique(before[USER_ID])
    items = pc.unique(before[ITEM_ID])
    known = table.filter(pc.is_in(table[ITEM_ID], items))
    old = _pairs(before, users, items)
    both = np.intersect1d(_pairs(known, users, items), old, assume_unique=True)
    has_both = np.asarray(pc.is_in(users, pc.unique(table[USER_ID])))
    lengths = np.bincount(old // len(items), minlength=len(users))
    kept = np.bincount(both // len(items), minlength=len(users))
    shares = kept[has_both] / lengths[has_both]
    return (float(shares.mean()) if len(shares) else 1.0), len(shares)


def _pairs(table: pa.Table, users: pa.Array, items: pa.Array) -> Int64Array:
    """Numbers of the pairs of user and item in a table of such users and items, ascending."""
    user = np.asarray(pc.index_in(table[USER_ID], users)).astype(np.int64)
    item = np.asarray(pc.index_in(table[ITEM_ID], items)).astype(np.int64)
    return np.sort(user * len(items) + item)


def _fault(rule: str, place: Path, observed: str, limit: str) -> CheckError:
    return CheckError(
        rule=rule, place=str(place), observed=observed, limit=limit,
        remedy="look at the model and the data of the night, or change [output_checks]",
    )  # fmt: skip


def told_apart(value: float, other: float) -> str:
    """A share in percent with as many places as tell it from the other, at least one."""
    for places in range(1, 6):
        text = f"{value:.{places}%}"
        if text != f"{other:.{places}%}":
            return text
    return f"{value:.6%}"


def _percent(share: float) -> str:
    return f"{share * 100:.4g}%"
