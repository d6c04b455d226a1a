"""Which column of a frame is what: as given, else guessed from names and types, with a message."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from recsys.datasets.column_names import nearest_name, shown_names
from recsys.datasets.columns.epochs import TimeUnit
from recsys.datasets.columns.feature_columns import FeatureKind
from recsys.datasets.dataset import FeatureConfig
from recsys.datasets.frames.frames import NamedFrame
from recsys.datasets.frames.guessing import guess_column, guess_features, guess_time_unit
from recsys.datasets.origin import listing
from recsys.errors import ConfigError, DataError
from recsys.schema import (
    ACCOUNT_ID,
    AMOUNT,
    COUNTERPARTY_ID,
    CURRENCY,
    EVENT_TIME,
    IS_FRAUD,
    ITEM_ID,
    TRANSACTION_ID,
    USER_ID,
)

LOG = logging.getLogger("recsys")
"""The one channel of the Python interface: guesses and what was left out as warnings, progress as
information, which `logging.basicConfig(level="INFO")` shows."""

_TRANSACTION_NAMES: Mapping[str, Sequence[str]] = {
    TRANSACTION_ID: ("transaction_id", "transactionid", "trans_num", "trans_id", "tx_id",
                     "payment_id", "txn_id", "id"),
    ACCOUNT_ID: ("account_id", "accountid", "account", "card_id", "card", "card_number", "cc_num",
                 "customer_id", "customer", "client_id", "user_id", "iban"),
    COUNTERPARTY_ID: ("counterparty_id", "counterparty", "merchant_id", "merchant", "terminal_id",
                      "beneficiary_id", "beneficiary", "payee_id", "payee"),
    EVENT_TIME: ("event_time", "tx_datetime", "transaction_time", "trans_date_trans_time",
                 "paid_at", "booked_at"),
    AMOUNT: ("amount", "amt", "tx_amount", "transaction_amount", "value"),
    CURRENCY: ("currency", "currency_code"),
    IS_FRAUD: ("is_fraud", "isfraud", "fraud", "tx_fraud", "is_fraudulent", "label", "class"),
}  # fmt: skip
_INTERACTION_NAMES: Mapping[str, Sequence[str]] = {
    USER_ID: ("customerid", "member", "reader_id", "viewer_id", "person_id"),
    ITEM_ID: ("article", "productid", "movie", "film", "book", "song_id", "stockcode"),
    EVENT_TIME: ("when", "bought_at", "event_at", "viewed_at", "rated_at", "datetime_utc"),
}
_FIRST_LIKELY_S = 631_152_000  # 1990, in the coarsest unit
_MAX_NULLS = 0.5  # share of a column; one that is mostly empty may say what became of few rows
_LIKE_LABELS = ("fraud", "label", "chargeback", "target", "class", "score", "alert")


@dataclass(eq=False)
class Guesses:
    """What was guessed about one frame, to be said in one line."""

    frame: NamedFrame
    said: list[str] = field(default_factory=list)
    keywords: list[str] = field(default_factory=list)

    def note(self, text: str, keyword: str) -> None:
        """Remember a guess, and the keyword that settles it."""
        self.said.append(text)
        self.keywords.append(keyword)

    def tell(self) -> None:
        """Log what was guessed, if anything."""
        if self.said:
            LOG.warning(
                "%s: %s; to be sure, pass %s",
                self.frame.name, ", ".join(self.said), ", ".join(self.keywords),
            )  # fmt: skip


def find_columns(
    guesses: Guesses,
    given: Mapping[str, str | None],
    *,
    required: Sequence[str],
    optional: Sequence[str] = (),
) -> dict[str, str]:
    """The frame's name of each standard column that it has.

    Args:
        guesses: The frame, and where guesses are noted.
        given: The names that the caller gave; None where it gave none.
        required: Standard names that have to be found.
        optional: Standard names that may be missing.

    Raises:
        DataError: A name that was given is not there, or a required column cannot be told.
    """
    frame = guesses.frame
    found: dict[str, str] = {}
    for standard in (*required, *optional):
        asked = given.get(standard)
        if asked is not None:
            _check_given(frame, standard, asked)
            _check_not_taken(found, standard, asked)
            found[standard] = asked
    for standard in (*required, *optional):
        if given.get(standard) is not None:
            continue
        free = [name for name in frame.names if name not in found.values()]
        guess = _guess(frame, free, standard)
        if guess is None and standard in required:
            raise _not_told(frame, standard)
        if guess is not None:
            found[standard] = guess
            if guess != standard:
                guesses.note(f"{standard} is read from {guess!r}", f'{standard}="{guess}"')
    return found


def time_settings(
    guesses: Guesses, column: str | None, zone: str | None, unit: TimeUnit | None
) -> tuple[str | None, TimeUnit | None]:
    """Zone and unit of times that do not contain them: as given, else guessed."""
    if column is None:
        return zone, unit
    values = guesses.frame.column(column)
    if unit is None:
        unit = guess_time_unit(values)
        if unit is not None:
            _check_plausible(guesses.frame, column, values)
            guesses.note(f"integers in {column!r} count {unit} since 1970",
                         f'event_time_unit="{unit}"')  # fmt: skip
    kind = values.type.value_type if pt.is_dictionary(values.type) else values.type
    is_naive = pt.is_date(kind) or (pt.is_timestamp(kind) and kind.tz is None)
    if zone is None and (is_naive or _is_naive_text(guesses.frame, column)):
        zone = "UTC"
        guesses.note(f"times in {column!r} name no zone and are taken as UTC",
                     'event_time_zone="UTC"')  # fmt: skip
    return zone, unit


def _check_plausible(frame: NamedFrame, column: str, values: pa.ChunkedArray) -> None:
    """Refuse to guess a unit of integers that count something else, such as rows or days."""
    largest = pc.max(values).as_py()
    if largest < _FIRST_LIKELY_S:
        raise frame.origin(column).refusal(
            expected="times, or integers since 1970 of which the last is later than 1990",
            got=f"integers up to {largest:,}",
            remedy="convert the column, or pass event_time_unit if they count from 1970",
        )


def find_features(
    guesses: Guesses,
    *,
    besides: Iterable[str],
    kinds: Sequence[FeatureKind] | None = None,
    hint: str = "",
) -> dict[str, FeatureConfig]:
    """Columns that look like features; never one that looks like a label.

    Args:
        guesses: The frame, and where guesses are noted.
        besides: Columns that are something else.
        kinds: Kinds that the table may have; all by default.
        hint: What a person should know about them.
    """
    frame = guesses.frame
    taken = {*besides, *(name for name in frame.names if _is_like_label(name))}
    names = [name for name in frame.names if name not in taken]
    columns = {name: column for name in names if (column := _readable(frame, name)) is not None}
    table = {
        name: column
        for name, column in columns.items()
        if column.null_count <= _MAX_NULLS * len(column)
    }
    found = guess_features(pa.table(table), besides=())
    features = {
        name: FeatureConfig(kind=kind)
        for name, kind in found.items()
        if kinds is None or kind in kinds
    }
    if features:
        shown = listing([f"{name} ({one.kind})" for name, one in features.items()])
        guesses.note(f"features are {shown}{hint}", "features={...}")
    return features


def _check_given(frame: NamedFrame, standard: str, asked: str) -> None:
    if not isinstance(asked, str):
        raise ConfigError(
            f"{standard}: expected the name of a column as text, got {asked!r}; name one of "
            f"{listing(list(frame.names))}"
        )
    if asked not in frame.names:
        nearest = nearest_name(asked, frame.names, [asked])
        hint = f"did you mean {nearest!r}? " if nearest else ""
        raise frame.origin(asked).refusal(
            expected="one column of that name",
            got=f"none among {shown_names(frame.names, [asked])}",
            remedy=f"{hint}correct {standard}=...",
        )


def _check_not_taken(found: Mapping[str, str], standard: str, asked: str) -> None:
    """Refuse one column for two things."""
    for other, column in found.items():
        if column == asked:
            raise ConfigError(
                f"{standard}: expected another column than that of {other}, got {asked!r} for both"
            )


def _guess(frame: NamedFrame, free: Sequence[str], standard: str) -> str | None:
    lowered = {name.strip().lower(): name for name in reversed(free)}
    of_transactions = frame.name in ("transactions", "labels")
    if standard in lowered:
        return lowered[standard]
    if not of_transactions and (known := guess_column(free, standard)) is not None:
        return known
    names = (_TRANSACTION_NAMES if of_transactions else _INTERACTION_NAMES).get(standard, ())
    found = [lowered[known] for known in names if known in lowered]
    if found:
        return found[0]
    if standard != EVENT_TIME:
        return None
    known = guess_column(free, standard)
    times = [name for name in free if (one := _readable(frame, name)) is not None
             and pt.is_timestamp(one.type)]  # fmt: skip
    return known or (times[0] if len(times) == 1 else None)


def _not_told(frame: NamedFrame, standard: str) -> DataError:
    return frame.origin().refusal(
        expected=f"a column whose name tells that it holds {standard}",
        got=shown_names(frame.names, ()),
        remedy=f'name it, {standard}="..."'
        + (" (frame[\"transaction_id\"] = range(len(frame)) makes one)"
           if standard == TRANSACTION_ID else ""),
    )  # fmt: skip


def _is_like_label(name: str) -> bool:
    return any(word in name.lower() for word in _LIKE_LABELS)


def _is_naive_text(frame: NamedFrame, column: str) -> bool:
    """Whether a column holds ISO 8601 text without a zone, going by its first value."""
    values = frame.column(column).drop_null()
    if not (pt.is_string(values.type) or pt.is_large_string(values.type) or
            pt.is_string_view(values.type)) or not len(values):  # fmt: skip
        return False
    first = str(values[0].as_py()).strip()
    time = first[10:]
    return not (time.endswith(("Z", "z")) or "+" in time or "-" in time)


def _readable(frame: NamedFrame, name: str) -> pa.ChunkedArray | None:
    """A column, or None where it cannot be read."""
    try:
        return frame.column(name)
    except DataError:
        return None
