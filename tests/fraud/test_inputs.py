"""From tables to numbers: what is chosen from the data, and what is never seen in it.

Shapes: N transactions.
"""

from __future__ import annotations

import functools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_transactions import FEATURES, log_of, with_column

from recsys.datasets.dataset import FeatureConfig
from recsys.errors import ConfigError
from recsys.fraud.embedding.autoencoder import InputColumns
from recsys.fraud.embedding.contexts import best_context, context_terms, share_of_one_value
from recsys.fraud.embedding.inputs import (
    SKETCH_BITS,
    TransactionInputs,
    amounts_of_logs,
    log_amounts,
)

AMOUNTS = st.floats(-1e12, 1e12)
LEVELS = {"EUR": 3.0, "JPY": 8.0, "USD": 3.2}


@functools.cache
def log() -> pa.Table:
    """A generated log."""
    return log_of(num_days=30)


@functools.cache
def fitted() -> TransactionInputs:
    """What is learnt of it."""
    return TransactionInputs.fit(log(), FEATURES)


def money(amounts: list[float], currency: str | None) -> pa.Table:
    """Transactions of one currency."""
    return pa.table(
        {
            "amount": pa.array(amounts, pa.float64()),
            "currency": pa.array([currency] * len(amounts), pa.string()),
        }
    )


@pytest.mark.parametrize("chosen", ["left", "right"])
def test_the_context_is_the_column_that_sets_amounts(chosen: str) -> None:
    """Of two columns the one that amounts are drawn by is found, and none where none does."""
    rng = np.random.default_rng(0)
    codes = {name: rng.integers(0, 5, 2000) for name in ("left", "right")}
    table = pa.table({name: pa.array(code.astype(str)) for name, code in codes.items()})
    noise = rng.normal(size=2000)
    amounts = (codes[chosen] + noise).astype(np.float32)
    assert best_context(table, ["left", "right"], amounts) == chosen
    assert best_context(table, ["left", "right"], noise.astype(np.float32)) == ""
    assert best_context(table, [], amounts) == ""


def test_many_terms_explain_nothing_by_chance() -> None:
    """A column with as many terms as rows does not win over one that means something."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, 200)
    table = pa.table({"kind": kind.astype(str), "noise": np.arange(200).astype(str)})
    amounts = (0.6 * kind + rng.normal(size=200)).astype(np.float32)
    assert best_context(table, ["noise", "kind"], amounts) == "kind"


def test_the_context_of_a_generated_log() -> None:
    """Amounts are drawn by category, and the age is that of the account."""
    assert fitted().context == "category"
    assert fitted().account_features == ("age",)
    assert "age" not in fitted().targets


@given(column=st.lists(st.sampled_from("abcdefgh") | st.none(), min_size=1, max_size=60))
def test_terms_of_a_context_are_the_most_frequent(column: list[str | None]) -> None:
    """No term is left out while a rarer one is kept; nulls are no term."""
    terms = context_terms(pa.chunked_array([pa.array(column, pa.string())])).terms.to_pylist()
    assert set(terms) == set(column) - {None}
    long = [str(term) for term in range(60) for _ in range(term + 1)]
    kept = context_terms(pa.chunked_array([long])).terms.to_pylist()
    assert sorted(map(int, kept)) == list(range(29, 60))


@given(rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2) | st.none()), min_size=1))
def test_share_of_one_value(rows: list[tuple[int, int | None]]) -> None:
    """The share is that of rows that have their account's most frequent value."""
    accounts, values = zip(*rows, strict=True)
    most = sum(
        max(
            sum(row == (account, value) for row in rows)
            for value in {value for other, value in rows if other == account}
        )
        for account in set(accounts)
    )
    found = share_of_one_value(
        pa.chunked_array([pa.array(accounts)]), pa.chunked_array([pa.array(values, pa.int64())])
    )
    assert found == pytest.approx(most / len(rows))


@given(amounts=st.lists(AMOUNTS, min_size=1), currency=st.sampled_from([*LEVELS, "XXX", None]))
def test_amounts_come_back_from_their_logs(amounts: list[float], currency: str | None) -> None:
    """Logs rise with amounts in one currency, known or not, and give them back."""
    table = money(sorted(amounts), currency)
    logs = log_amounts(table, LEVELS)
    assert (np.diff(logs) >= 0).all()
    np.testing.assert_allclose(
        amounts_of_logs(logs, table, LEVELS), sorted(amounts), rtol=1e-3, atol=1e-2
    )


def test_equal_amounts_have_equal_logs_at_the_level_of_their_currency() -> None:
    """Usual payments in yen and in euros become about the same number."""
    rng = np.random.default_rng(0)
    base = log().slice(0, 2000)
    amounts = rng.lognormal(3, 0.5, 2000)
    yen = np.arange(2000) % 2 == 0
    table = with_column(base, "amount", pa.array(np.where(yen, amounts * 160, amounts)))
    table = with_column(table, "currency", pa.array(np.where(yen, "JPY", "EUR")))
    logs = TransactionInputs.fit(table, FEATURES).encode(table).amount
    assert logs[yen].mean() == pytest.approx(logs[~yen].mean(), abs=0.1)


@given(seed=st.integers(0, 1000))
def test_what_was_not_seen_is_coded_all_the_same(seed: int) -> None:
    """Unknown terms, nulls, refunds and new counterparties get codes within their ranges."""
    rng = np.random.default_rng(seed)
    table = log().take(rng.integers(0, log().num_rows, 40))
    for name in ("category", "channel", "country", "counterparty_id"):
        values = np.where(rng.random(40) < 0.5, "new", np.asarray(table[name]))
        table = with_column(table, name, pa.array(values, mask=rng.random(40) < 0.3))
    ages = pa.array(rng.normal(size=40) * 1e6, pa.float32(), mask=rng.random(40) < 0.3)
    table = with_column(table, "age", ages)
    table = with_column(table, "amount", pa.array(rng.normal(size=40) * 1e9))
    coded = fitted().encode(table)
    assert coded.context.min() >= 0
    assert coded.context.max() < fitted().num_contexts
    assert coded.bit.min() >= 0
    assert coded.bit.max() < SKETCH_BITS
    assert coded.hour.min() >= 0
    assert coded.hour.max() < 24
    assert np.isfinite(coded.amount).all()
    assert np.isfinite(coded.columns.numeric.numpy()).all()


def test_new_and_missing_currencies_are_taken_at_the_median_level() -> None:
    """A currency that training did not see raises nothing and shifts nothing."""
    table = money([10.0, 20.0], "XXX")
    np.testing.assert_array_equal(log_amounts(table, LEVELS), log_amounts(table, {}) - 0)
    missing = money([10.0, 20.0], None)
    np.testing.assert_array_equal(log_amounts(missing, LEVELS), log_amounts(table, LEVELS))


@pytest.mark.parametrize("ids", [["m1", "m2", None, "m3"], [1, 2, None, 2**40]])
def test_the_bit_of_a_counterparty_depends_on_its_id_alone(ids: list) -> None:
    """A counterparty has the same bit alone, among others, in any order and in chunks."""
    table = log().slice(0, len(ids))
    column = pa.array(ids)
    inputs = TransactionInputs.fit(with_column(table, "counterparty_id", column), FEATURES)
    bits = inputs.encode(with_column(table, "counterparty_id", column)).bit
    back = with_column(table, "counterparty_id", column[::-1])
    np.testing.assert_array_equal(inputs.encode(back).bit[::-1][[0, 1, 3]], bits[[0, 1, 3]])
    parts = pa.chunked_array([column[:1], column[1:]])
    np.testing.assert_array_equal(
        inputs.encode(with_column(table, "counterparty_id", parts)).bit[[0, 1, 3]], bits[[0, 1, 3]]
    )
    alone = inputs.encode(with_column(table, "counterparty_id", column).slice(3, 1)).bit
    assert alone.tolist() == [bits[3]]


def test_bits_spread_over_the_whole_sketch() -> None:
    """Ids in sequence share hardly more bits than numbers drawn at random."""
    for ids in (pa.array(range(200)), pa.array([f"M{number:06}" for number in range(200)])):
        table = with_column(log().slice(0, 200), "counterparty_id", ids)
        bits = TransactionInputs.fit(table, FEATURES).encode(table).bit
        expected = SKETCH_BITS * (1 - (1 - 1 / SKETCH_BITS) ** 200)
        assert len(set(bits.tolist())) > expected - 25


def test_times_are_days_and_hours_in_utc() -> None:
    """The hour and the day of a transaction are those of its time, also before 1970."""
    times = pa.array([0, 3_600_000_000 * 25, -1], pa.timestamp("us", tz="UTC"))
    table = with_column(log().slice(0, 3), "event_time", times)
    coded = fitted().encode(table)
    assert coded.hour.tolist() == [0, 1, 23]
    np.testing.assert_allclose(coded.day, [0, 25 / 24, 0], atol=1e-9)


def test_rows_are_coded_one_by_one() -> None:
    """A row has the same numbers in any part of a table."""
    whole, part = fitted().encode(log()), fitted().encode(log().slice(700, 90))
    for name in ("day", "hour", "amount", "context", "bit"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[700:790])


def test_lists_are_refused_in_one_line() -> None:
    """A feature of a kind that the autoencoder cannot take is named in the refusal."""
    tags = pa.array([["a", "b"]] * log().num_rows)
    features = {**FEATURES, "tags": FeatureConfig(kind="multi_hot")}
    inputs = TransactionInputs.fit(with_column(log(), "tags", tags), features)
    with pytest.raises(ConfigError, match="tags"):
        InputColumns.of(inputs.encoder, inputs.targets)
