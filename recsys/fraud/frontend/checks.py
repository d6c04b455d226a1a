"""Whether a frame can be scored by a fitted scorer: its columns, their types, its times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.datasets.transactions.days import day_of
from recsys.errors import DataError
from recsys.fraud.frontend.tables_in import FrameTransactions
from recsys.fraud.serving import FraudScorer
from recsys.schema import EVENT_TIME, TRANSACTION_ID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def check_frame(served: FraudScorer, found: FrameTransactions) -> None:
    """Refuse a frame that the scorer cannot use.

    Raises:
        DataError: A column is missing or of another type than at the fit, or a transaction is
            older than the state.
    """
    table = found.table
    for field in served.schema(table.schema.field(TRANSACTION_ID).type):
        origin = found.log.origin(field.name)
        if field.name not in table.column_names:
            raise origin.refusal(
                expected=f"the column, which the scorer was fitted on as {field.name}",
                got="none",
                remedy=f'name it, {field.name}="...", or fit without it',
            )
        if table.schema.field(field.name).type != field.type:
            raise origin.refusal(
                expected=f"{field.type}, as the scorer was fitted on",
                got=str(table.schema.field(field.name).type),
                remedy="convert the column, or fit again",
            )
    num_late = int(np.count_nonzero(day_of(table) < served.state.until))
    if num_late:
        until = _EPOCH + timedelta(days=served.state.until)
        raise _too_late(found, until, num_late)


def merged_labels(known: pa.Table | None, new: pa.Table | None) -> pa.Table | None:
    """Labels of both, the new ones where they differ; each transaction once."""
    if known is None or new is None:
        return new if known is None else known
    is_old = pc.is_in(known[TRANSACTION_ID], value_set=new[TRANSACTION_ID].combine_chunks())
    return pa.concat_tables([known.filter(pc.invert(is_old)), new]).sort_by(TRANSACTION_ID)


def _too_late(found: FrameTransactions, until: datetime, num_late: int) -> DataError:
    return found.log.origin(EVENT_TIME).refusal(
        expected=f"transactions from {until:%Y-%m-%d %H:%M:%S} UTC on, up to which the scorer has "
        "learnt",
        got=f"{num_late:,} earlier ones of {found.table.num_rows:,}",
        remedy="give later ones alone; to score these, fit on what came before them",
    )
