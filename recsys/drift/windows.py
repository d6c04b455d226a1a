"""Which rows are compared: the last days with those before, week by week.

Shapes: N rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from recsys.arrays import Int64Array
from recsys.datasets.origin import Origin
from recsys.drift.config import DriftConfig

CURRENT, OUTSIDE = 0, -1
"""Block of the current days, and of days that are not compared."""

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, kw_only=True)
class Windows:
    """The current window ends with a day; the reference is cut into weeks that end where it starts.

    Block 0 is the current window, block 1 the week before, and so on. If the reference is not a
    multiple of the window, the rest belongs to its oldest week.
    """

    last_day: date
    """The last day of the current window."""
    window_days: int
    """Length of the current window, and of the weeks."""
    reference_days: int
    """Length of the reference."""

    @classmethod
    def of(cls, config: DriftConfig, last_day: date) -> Windows:
        """The windows of a day."""
        return cls(
            last_day=last_day,
            window_days=config.window_days,
            reference_days=config.reference_days,
        )

    @property
    def num_blocks(self) -> int:
        """Blocks, the current one included."""
        return 1 + self.reference_days // self.window_days

    @property
    def first_current(self) -> date:
        """First day of the current window."""
        return self.last_day - timedelta(days=self.window_days - 1)

    @property
    def last_reference(self) -> date:
        """Last day of the reference."""
        return self.first_current - timedelta(days=1)

    @property
    def first_reference(self) -> date:
        """First day of the reference."""
        return self.first_current - timedelta(days=self.reference_days)

    def blocks(self, days_N: Int64Array) -> Int64Array:
        """Block of each row, `OUTSIDE` for days before and after. Shape (N,).

        Args:
            days_N: Day of each row since 1970.
        """
        age_N = (self.last_day - _EPOCH).days - days_N
        blocks_N = np.minimum(age_N // self.window_days, self.num_blocks - 1)
        inside_N = (age_N >= 0) & (age_N < self.window_days + self.reference_days)
        return np.where(inside_N, blocks_N, OUTSIDE).astype(np.int64)

    def require_rows(self, blocks_N: Int64Array, origin: Origin) -> None:
        """Refuse a log without an event in one of the windows.

        Args:
            blocks_N: Block of each row of the log.
            origin: Where the times came from.

        Raises:
            DataError: There is none.
        """
        spans = {
            f"{self.first_current} to {self.last_day}": blocks_N == CURRENT,
            f"{self.first_reference} to {self.last_reference}": blocks_N > CURRENT,
        }
        for span, is_inside_N in spans.items():
            if not is_inside_N.any():
                raise origin.refusal(
                    expected=f"events from {span} to compare",
                    got=f"none among {len(blocks_N):,}",
                    remedy="check for a day with --as-of that the log and the weeks before it have",
                )


def sample_rows(blocks_N: Int64Array, *, limit: int, seed: int) -> Int64Array:
    """Rows of the current sample and of the reference, at most `limit` of each, in their order.

    Args:
        blocks_N: Block of each row. Shape (N,).
        limit: Rows of either at most.
        seed: Seed of the draw.
    """
    rng = np.random.default_rng(seed)
    parts = []
    for is_wanted_N in (blocks_N == CURRENT, blocks_N > CURRENT):
        rows = np.flatnonzero(is_wanted_N)
        parts.append(rng.choice(rows, limit, replace=False) if len(rows) > limit else rows)
    return np.sort(np.concatenate(parts)).astype(np.int64)
