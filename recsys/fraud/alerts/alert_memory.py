"""Memory of earlier nights, so that the alerts of a month keep their false discovery rate.

Shapes: A accounts of a day.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.arrays import BoolArray, Float64Array, Int64Array
from recsys.fraud.alerts.selection import AlertConfig, EarlierNights

FAMILY_DAYS = 30
"""Nights, the present one included, whose accounts are tested together."""

_LOW = 0.01  # larger p-values are only counted, since the limit is hardly ever above this
_SCHEMA = pa.schema(
    {
        "day": pa.int64(),
        "account": pa.int64(),
        "p_value": pa.float64(),
        "num_tested": pa.int64(),
        "alert": pa.bool_(),
    }
)
COLUMNS = tuple(_SCHEMA.names)
"""Columns that are kept of a night, see `AlertMemory.table`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AlertMemory:
    """Accounts that were tested on the nights before."""

    table: pa.Table
    """day; account, its place in the state; p_value; num_tested, how many accounts the row stands
    for; alert. Accounts that neither were flagged nor had a low p-value share a row a day, with
    account -1 and p_value 1. An account that was flagged but not tested has num_tested 0."""

    @classmethod
    def of(cls, table: pa.Table | None) -> AlertMemory:
        """The memory in a state; None before the first night."""
        return cls(table=_SCHEMA.empty_table() if table is None else table)

    def earlier(self, day: int, account_A: Int64Array, config: AlertConfig) -> EarlierNights:
        """The earlier tests that belong to one family with those of a day.

        Args:
            day: Days since 1970.
            account_A: Places of its accounts in the state.
            config: How alerts are chosen.
        """
        family = self._between(day - FAMILY_DAYS + 1, day)
        p_values, counts = np.asarray(family["p_value"]), np.asarray(family["num_tested"])
        late = self._between(day - config.repeat_days, day)
        flagged = np.asarray(late["account"])[np.asarray(late["alert"], dtype=np.bool_)]
        return EarlierNights(
            low_p_values=p_values[(p_values <= _LOW) & (counts == 1)],
            num_tested=int(counts.sum()),
            flagged_lately=np.isin(account_A, flagged),
        )

    def followed_by(
        self,
        day: int,
        account_A: Int64Array,
        p_value_A: Float64Array,
        alert_A: BoolArray,
        *,
        tested_A: BoolArray,
        config: AlertConfig,
    ) -> AlertMemory:
        """The memory with one more day, without nights that are no longer needed.

        Args:
            day: Days since 1970.
            account_A: Places of its accounts in the state.
            p_value_A: Their p-values.
            alert_A: Which are flagged.
            tested_A: Which were not flagged a short while ago.
            config: How alerts were chosen.
        """
        named_A = alert_A | (tested_A & (p_value_A <= _LOW))
        num_named, others = int(named_A.sum()), int((tested_A & ~named_A).sum())
        rows = {
            "day": np.full(num_named + 1, day),
            "account": np.append(account_A[named_A], -1),
            "p_value": np.append(p_value_A[named_A], 1.0),
            "num_tested": np.append(tested_A[named_A].astype(np.int64), others),
            "alert": np.append(alert_A[named_A], False),
        }
        kept = self._between(day - max(FAMILY_DAYS, config.repeat_days), day)
        return AlertMemory(table=pa.concat_tables([kept, pa.table(rows, schema=_SCHEMA)]))

    def _between(self, first: int, end: int) -> pa.Table:
        """Rows of the days from the first to the one before the end."""
        day = self.table["day"]
        return self.table.filter(pc.and_(pc.greater_equal(day, first), pc.less(day, end)))
