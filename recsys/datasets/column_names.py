"""Usual names of columns, and which names a message may show.

A CSV file without a header has its first row where the names should be, and that row may hold a
card number. So names of columns stand in a message only where some of them is a known one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

from recsys.datasets.origin import listing
from recsys.schema import (
    ACCOUNT_ID,
    AMOUNT,
    COUNTERPARTY_ID,
    CURRENCY,
    EVENT_TIME,
    EVENT_TYPE,
    IS_FRAUD,
    ITEM_ID,
    TITLE,
    TRANSACTION_ID,
    USER_ID,
    WEIGHT,
)

KNOWN_NAMES: Mapping[str, Sequence[str]] = {
    USER_ID: ("user_id", "userid", "user", "customer_id", "customerid", "customer", "visitor_id",
              "visitorid", "member_id", "memberid", "member_number", "account_id", "client_id",
              "clientid", "uid"),
    ITEM_ID: ("item_id", "itemid", "item", "product_id", "productid", "product", "movie_id",
              "movieid", "article_id", "articleid", "stock_code", "stockcode", "sku", "asin",
              "track_id", "book_id", "business_id", "item_description", "itemdescription"),
    EVENT_TIME: ("event_time", "timestamp", "time", "datetime", "created_at", "event_timestamp",
                 "ts", "date", "t_dat", "order_date", "invoice_date", "invoicedate"),
}  # fmt: skip
"""Names in lower case, the likeliest first, by the standard name that they stand for."""

_ALSO_KNOWN = frozenset(
    [ACCOUNT_ID, AMOUNT, COUNTERPARTY_ID, CURRENCY, EVENT_TYPE, IS_FRAUD, TITLE, TRANSACTION_ID,
     WEIGHT, *(name for names in KNOWN_NAMES.values() for name in names)]
)  # fmt: skip
_LIKE_DATA = re.compile(r"\d{4}|@")
"""What a name of a column does not have, and a row's value may."""


def folded(name: str) -> str:
    """A name without what writers change: case, and white space at its ends."""
    return name.strip().casefold()


def find_name(asked: str, names: Sequence[str]) -> str | None:
    """The column of that name: exactly, else the only one that differs in case alone."""
    if asked in names:
        return asked if names.count(asked) == 1 else None
    alike = [name for name in names if folded(name) == folded(asked)]
    return alike[0] if len(alike) == 1 else None


def has_known_name(names: Iterable[str], expected: Iterable[str]) -> bool:
    """Whether some column has a name that such a table is expected to have."""
    known = _ALSO_KNOWN | {folded(name) for name in expected}
    return any(folded(name) in known for name in names)


def shown_names(names: Sequence[str], expected: Iterable[str]) -> str:
    """Names for a message, or how many there are where they may be a row of data."""
    if not has_known_name(names, expected):
        return f"{len(names)} columns, none of a known name"
    return listing(["(hidden)" if _LIKE_DATA.search(name) else name for name in names])


def nearest_name(asked: str, names: Sequence[str], expected: Iterable[str]) -> str | None:
    """The most similar name, if it may be shown."""
    if not has_known_name(names, expected):
        return None
    others = [name for name in names if name != asked and not _LIKE_DATA.search(name)]
    return next(iter(difflib.get_close_matches(asked, others, n=1)), None)
