"""Whether a night's lists are like those of the night before: a broken model shows in its output.

Shapes: U users of both nights, K list length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.errors import GateError
from recsys.recommender.nightly_config import GuardsConfig
from recsys.schema import ITEM_ID, RANK, SCORE, USER_ID

_MIN_USERS = 50


@dataclass(frozen=True, kw_only=True)
class ListFigures:
    """What a file of lists looks like.

    Args:
        num_users: Users with a list.
        num_items: Distinct items in the lists.
        short_share: Share of lists that are shorter than the longest.
        constant_share: Share of lists of two items or more whose scores are all the same.
    """

    num_users: int
    num_items: int
    short_share: float
    constant_share: float


def check_lists(
    new: Path, live: Path | None, config: GuardsConfig, *, same_rules: bool = True
) -> list[GateError]:
    """Reasons not to let lists become live.

    Args:
        new: The file of the night.
        live: The file that is live; None when there is none.
        config: Limits.
        same_rules: Whether both were made with the same settings and filters; if not, only the
            number of users is compared.
    """
    if not config.enabled:
        return []
    table = _read(new)
    figures = _figures(table)
    faults = []
    if figures.num_users and figures.constant_share > 0.5:
        faults.append(_fault(
            "score spread", new, f"{figures.constant_share:.0%} of lists with one score for all",
            "scores that tell the items of a list apart in at least half of the lists",
        ))  # fmt: skip
    if live is not None:
        before = _read(live)
        faults += _against_live(new, table, figures, before, config, same_rules=same_rules)
    return faults


def _against_live(
    place: Path, table: pa.Table, figures: ListFigures, before: pa.Table, config: GuardsConfig,
    *, same_rules: bool,
) -> Iterator[GateError]:  # fmt: skip
    earlier = _figures(before)
    if earlier.num_users < _MIN_USERS:
        return
    compared = [("users", figures.num_users, earlier.num_users, config.min_users)]
    if same_rules:
        compared.append(("coverage", figures.num_items, earlier.num_items, config.min_coverage))
    for rule, mine, theirs, share in compared:
        if mine < share * theirs:
            what = "users with a list" if rule == "users" else "distinct items"
            yield _fault(
                rule, place, f"{mine:,} {what}", f"at least {share:.0%} of the live {theirs:,}"
            )
    if not same_rules:
        return
    if figures.short_share > earlier.short_share + config.max_short_share:
        yield _fault(
            "short lists", place, f"{figures.short_share:.1%} of lists",
            f"at most {earlier.short_share + config.max_short_share:.1%}",
        )  # fmt: skip
    overlap, num_users = _overlap(table, before)
    if num_users >= _MIN_USERS and overlap < config.min_overlap:
        yield _fault(
            "overlap", place, f"{overlap:.1%} of the live lists of {num_users:,} users kept",
            f"at least {config.min_overlap:.0%}",
        )  # fmt: skip
    item, gain = _largest_gain(table, before)
    if gain > config.max_exposure:
        yield _fault(
            "exposure", place, f"item {item!r} in {gain:.0%} more of all lists than live",
            f"a gain of at most {config.max_exposure:.0%}",
        )  # fmt: skip


def _read(path: Path) -> pa.Table:
    columns = [USER_ID, ITEM_ID, RANK, SCORE]
    return pq.read_table(path, columns=columns, page_checksum_verification=True)


def _figures(table: pa.Table) -> ListFigures:
    starts = np.flatnonzero(table[RANK].to_numpy() == 1)
    lengths = np.diff(np.append(starts, table.num_rows))
    scores = table[SCORE].to_numpy()
    spread = np.zeros(len(starts))
    if len(starts):
        spread = np.maximum.reduceat(scores, starts) - np.minimum.reduceat(scores, starts)
    longer = lengths > 1
    return ListFigures(
        num_users=len(starts),
        num_items=int(pc.count_distinct(table[ITEM_ID]).as_py()),
        short_share=float(np.mean(lengths < lengths.max())) if len(lengths) else 0.0,
        constant_share=float(np.mean(spread[longer] <= 0)) if longer.any() else 0.0,
    )


def _overlap(table: pa.Table, before: pa.Table) -> tuple[float, int]:
    """Mean share of each user's earlier list that is in the new one, and how many have both."""
    users = pc.unique(before[USER_ID])
    items = pc.unique(before[ITEM_ID])
    known = pc.and_(pc.is_in(table[USER_ID], users), pc.is_in(table[ITEM_ID], items))
    new = _pairs(table.filter(known), users, items)
    old = _pairs(before, users, items)
    both = np.intersect1d(new, old, assume_unique=True)
    in_new = pc.is_in(users, pc.unique(table[USER_ID]))
    has_both = np.asarray(in_new)
    owner_old, owner_both = old // len(items), both // len(items)
    lengths = np.bincount(owner_old, minlength=len(users))
    kept = np.bincount(owner_both, minlength=len(users))
    shares = kept[has_both] / np.maximum(lengths[has_both], 1)
    return (float(shares.mean()) if len(shares) else 1.0), int(has_both.sum())


def _pairs(table: pa.Table, users: pa.Array, items: pa.Array) -> npt.NDArray[np.int64]:
    user = np.asarray(pc.index_in(table[USER_ID].combine_chunks(), users)).astype(np.int64)
    item = np.asarray(pc.index_in(table[ITEM_ID].combine_chunks(), items)).astype(np.int64)
    return np.asarray(np.unique(user * len(items) + item))


def _largest_gain(table: pa.Table, before: pa.Table) -> tuple[object, float]:
    """The item whose share of lists grew most, and by how much."""
    shares = []
    for one in (table, before):
        counts = pc.value_counts(one[ITEM_ID])
        lists = max(int(np.count_nonzero(one[RANK].to_numpy() == 1)), 1)
        names = counts.field("values").to_pylist()
        values = counts.field("counts").to_numpy()
        shares.append({name: count / lists for name, count in zip(names, values, strict=True)})
    mine, theirs = shares
    gains = {item: share - theirs.get(item, 0.0) for item, share in mine.items()}
    item = max(gains, key=lambda one: gains[one], default=None)
    return item, 0.0 if item is None else gains[item]


def _fault(rule: str, place: Path, observed: str, limit: str) -> GateError:
    return GateError(
        rule=rule, place=str(place), observed=observed, limit=limit,
        remedy="look at the model and the data of the night, or change [guards]",
    )  # fmt: skip
