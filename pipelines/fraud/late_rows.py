"""Late transactions: rows that arrive for days that were already scored.

Each night records how many transactions each of the last two weeks' days had. The next night
compares: days that have more now got late ones. If such a day is recent, the night starts from the
evening before it and learns that day again; older late rows are counted and left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from pipelines.fraud.config import FraudJobConfig
from pipelines.fraud.night_states import Evening, LiveModel, evening_to_learn
from pipelines.jobs.console import Reporter
from recsys.datasets.checks.daily import day_numbers
from recsys.datasets.origin import Origin
from recsys.datasets.transactions.days import day_number
from recsys.errors import CheckError

DAY_ROWS = "day_rows"
"""Key of the counts in a run's record."""

_KEPT_DAYS = 14
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Start:
    """Where a night starts, and how many late transactions there are.

    Args:
        evening: The stored state to start from.
        num_late: Late transactions that are not learnt.
        num_relearnt: Late transactions whose days are learnt again.
    """

    evening: Evening
    num_late: int
    num_relearnt: int


def day_rows(table: pa.Table, day: date) -> dict[str, int]:
    """Rows of each of the last 14 days up to a day, by date, days without any left out."""
    last = day_number(day)
    days_N = day_numbers(table)
    within_N = days_N[(days_N <= last) & (days_N > last - _KEPT_DAYS)]
    days, counts = np.unique(within_N, return_counts=True)
    return {
        str(_EPOCH + timedelta(days=int(one))): int(count)
        for one, count in zip(days, counts, strict=True)
    }


def late_rows(evening: Evening, table: pa.Table) -> dict[date, int]:
    """How many more rows each day has now than when an evening counted them.

    Days before the first that it counted, and evenings without counts, cannot be compared.
    """
    found = evening.record.get(DAY_ROWS)
    counted = {str(one): int(n) for one, n in found.items()} if isinstance(found, dict) else {}
    if not counted:
        return {}
    last = date.fromisoformat(max(counted)) if evening.day is None else evening.day
    late = {
        date.fromisoformat(one): count - counted.get(one, 0)
        for one, count in day_rows(table, last).items()
    }
    return {one: more for one, more in late.items() if more > 0}


def find_start(
    config: FraudJobConfig, live: LiveModel, table: pa.Table, day: date, latest: Evening
) -> Start:
    """Where the night of a day starts: early enough for late rows of recent days.

    Args:
        config: Settings.
        live: The model that scores.
        table: Usable transactions up to the end of the day.
        day: The day to be scored.
        latest: The latest evening before the day.
    """
    late = late_rows(latest, table)
    since = day - timedelta(days=config.input_checks.lookback_days)
    evening, relearnt = latest, 0
    for one in sorted(one for one in late if one >= since):
        found = evening_to_learn(config, live, one)
        if found is not None:  # every later day is learnt again with it
            evening, relearnt = found, sum(n for at, n in late.items() if at >= one)
            break
    return Start(
        evening=evening, num_late=sum(late.values()) - relearnt, num_relearnt=relearnt
    )  # fmt: skip


def check_late(config: FraudJobConfig, start: Start, *, num_rows: int, origin: Origin) -> None:
    """Refuse a night if too many transactions came too late to be learnt.

    Args:
        config: Settings.
        start: What was found.
        num_rows: Transactions of the day.
        origin: File and column of the times.

    Raises:
        CheckError: They are more than a share of those of the day.
    """
    limit = config.input_checks.max_late_share
    if config.input_checks.enabled and start.num_late > limit * num_rows:
        raise CheckError(
            rule="late", place=origin.file, column=origin.column,
            observed=f"{start.num_late:,} transactions of days that were scored already",
            limit=f"at most {limit:.1%} of the {num_rows:,} of the day that come too late to learn",
            remedy="train again, which learns them, or raise [input_checks] lookback_days or "
            "max_late_share",
        )  # fmt: skip


def report_late(start: Start, reporter: Reporter) -> None:
    """Report late transactions, whose days were scored without them."""
    if start.num_relearnt:
        reporter.warn(
            f"late: {start.num_relearnt:,} transactions of days that were scored already; the days "
            "are learnt anew, what was published for them stays"
        )
    if start.num_late:
        reporter.warn(
            f"late: {start.num_late:,} transactions came too late to be learnt; training again "
            "learns them"
        )
