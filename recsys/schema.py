"""Names and Arrow types of the standard columns, and the schemas of the tables that go out.

Readers rename the user's columns to these names once; nothing below them knows other names.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

USER_ID = "user_id"
"""External key of a user: int64 or string, exact."""
ITEM_ID = "item_id"
"""External key of an item: int64 or string, exact."""
EVENT_TIME = "event_time"
"""When an interaction happened: timestamp in microseconds, UTC."""
WEIGHT = "weight"
"""Strength of an interaction: float32, finite, not negative."""
EVENT_TYPE = "event_type"
"""What an interaction was (view, purchase, ...): string."""
SPLIT = "split"
"""Part of an interaction in a split that the data brings: train, valid or test."""
TITLE = "title"
"""Title of an item, for people to read: string."""
RANK = "rank"
"""Place in a list, from 1."""
SCORE = "score"
"""Score of a recommendation: finite, not increasing with the rank."""
SOURCE = "source"
"""What a recommendation was made from."""
TRANSACTION_ID = "transaction_id"
"""External key of a transaction: int64 or string, exact."""
ACCOUNT_ID = "account_id"
"""External key of the account that pays or is paid: int64 or string, exact."""
COUNTERPARTY_ID = "counterparty_id"
"""External key of the other side, a merchant or a terminal: int64 or string, exact."""
AMOUNT = "amount"
"""Amount of a transaction, refunds negative: float64."""
CURRENCY = "currency"
"""Currency of the amount: string."""
IS_FRAUD = "is_fraud"
"""Confirmed label of a transaction: boolean."""

ANOMALY_SCORE = "anomaly_score"
"""How unusual a transaction is, 0 to 1: the share of normal ones that are less so."""
ACCOUNT_SCORE = "account_score"
"""The same for an account on a day."""
DAY = "day"
"""A day in UTC."""
ALERT = "alert"
"""Whether an account is to be looked into."""
REASONS = "reasons"
"""Why, in a line; empty without an alert."""
COLD = "cold"
"""Whether an account had too little history to be compared with."""
FLAGGED_BEFORE = "flagged_before"
"""Earlier days on which an account was flagged, of all that were published."""
NUM_TRANSACTIONS = "num_transactions"
"""Transactions of an account on a day."""
P_VALUE = "p_value"
"""Probability of a score as high under normal behaviour."""
BUNDLE_ID = "bundle_id"
"""Fingerprint of the model that scored."""
VECTOR = "vector"
"""What an account is like, for other models to use."""
LAST_DAY = "last_day"
"""The day of an account's last transaction, in UTC."""

EVENT_TIME_TYPE = pa.timestamp("us", tz="UTC")
"""The one type of `EVENT_TIME` in memory."""
WEIGHT_TYPE = pa.float32()
"""The one type of `WEIGHT` in memory."""
AMOUNT_TYPE = pa.float64()
"""The one type of `AMOUNT` in memory."""
ID_TYPES = (pa.int64(), pa.string())
"""The two types that an id column may have in memory."""


def recommendations_schema(user_id_type: pa.DataType, item_id_type: pa.DataType) -> pa.Schema:
    """Schema of recommendations, one row a user and rank; no column is nullable.

    Args:
        user_id_type: Type of the user ids, one of `ID_TYPES`.
        item_id_type: Type of the item ids, one of `ID_TYPES`.

    Examples:
        >>> recommendations_schema(pa.string(), pa.int64()).names
        ['user_id', 'item_id', 'rank', 'score', 'source']
    """
    return pa.schema(
        [
            pa.field(USER_ID, user_id_type, nullable=False),
            pa.field(ITEM_ID, item_id_type, nullable=False),
            pa.field(RANK, pa.int32(), nullable=False),
            pa.field(SCORE, pa.float32(), nullable=False),
            pa.field(SOURCE, pa.string(), nullable=False),
        ]
    )


def transaction_scores_schema(
    transaction_id_type: pa.DataType, account_id_type: pa.DataType, kinds: Sequence[str]
) -> pa.Schema:
    """Schema of scored transactions, one row each; no column is nullable.

    Args:
        transaction_id_type: Type of the transaction ids, one of `ID_TYPES`.
        account_id_type: Type of the account ids, one of `ID_TYPES`.
        kinds: Names of the evidence; each has a column `surprise_KIND`.
    """
    return pa.schema(
        [
            pa.field(TRANSACTION_ID, transaction_id_type, nullable=False),
            pa.field(ACCOUNT_ID, account_id_type, nullable=False),
            pa.field(EVENT_TIME, EVENT_TIME_TYPE, nullable=False),
            pa.field(ANOMALY_SCORE, pa.float64(), nullable=False),
            *(pa.field(f"surprise_{kind}", pa.float32(), nullable=False) for kind in kinds),
        ]
    )


def account_scores_schema(account_id_type: pa.DataType) -> pa.Schema:
    """Schema of scored accounts, one row an account and day; no column is nullable.

    Args:
        account_id_type: Type of the account ids, one of `ID_TYPES`.
    """
    return pa.schema(
        [
            pa.field(ACCOUNT_ID, account_id_type, nullable=False),
            pa.field(DAY, pa.date32(), nullable=False),
            pa.field(ACCOUNT_SCORE, pa.float64(), nullable=False),
            pa.field(RANK, pa.int32(), nullable=False),
            pa.field(ALERT, pa.bool_(), nullable=False),
            pa.field(REASONS, pa.string(), nullable=False),
            pa.field(COLD, pa.bool_(), nullable=False),
            pa.field(NUM_TRANSACTIONS, pa.int32(), nullable=False),
            pa.field(P_VALUE, pa.float64(), nullable=False),
            pa.field(BUNDLE_ID, pa.string(), nullable=False),
            pa.field(FLAGGED_BEFORE, pa.int32(), nullable=False),
        ]
    )


def account_vectors_schema(account_id_type: pa.DataType, width: int) -> pa.Schema:
    """Schema of account vectors, one row an account; no column is nullable.

    Args:
        account_id_type: Type of the account ids, one of `ID_TYPES`.
        width: Numbers in a vector.
    """
    return pa.schema(
        [
            pa.field(ACCOUNT_ID, account_id_type, nullable=False),
            pa.field(VECTOR, pa.list_(pa.field("element", pa.float32()), width), nullable=False),
            pa.field(NUM_TRANSACTIONS, pa.int32(), nullable=False),
            pa.field(LAST_DAY, pa.date32(), nullable=False),
            pa.field(BUNDLE_ID, pa.string(), nullable=False),
        ]
    )
