"""Training: repeatable, blind to labels, and fit for tables that lack almost everything."""

from __future__ import annotations

import functools

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from small_transactions import (
    FEATURES,
    QUICK,
    arrays_of,
    cut,
    log_of,
    small_fit,
    small_log,
    times_of,
    with_column,
)

from recsys.datasets.dataset import FeatureConfig
from recsys.errors import ConfigError, DataError
from recsys.fraud.config import AutoencoderConfig, FraudConfig, ScoringConfig
from recsys.fraud.fitting.train import FitCallbacks, FittedFraud, fit_fraud_model
from recsys.fraud.scoring.scores import Scores

BRIEF = FraudConfig(autoencoder=AutoencoderConfig(num_steps=15))
BARE = ["transaction_id", "account_id", "event_time", "amount"]


def fit(table: pa.Table, config: FraudConfig = QUICK) -> FittedFraud:
    """Fit on those of the usual features that the table has."""
    features = {name: kind for name, kind in FEATURES.items() if name in table.column_names}
    return fit_fraud_model(table, features, config, num_threads=1)


def later_scores(fitted: FittedFraud) -> Scores:
    """Scores of the days after training."""
    return fitted.model.score(small_log()[1], fitted.state, num_threads=1)[0]


def assert_same_scores(one: FittedFraud, other: FittedFraud) -> None:
    """Two scorers say the same of the later days, to the bit."""
    expected = arrays_of(later_scores(one))
    for name, array in arrays_of(later_scores(other)).items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


def test_the_same_seed_gives_the_same_scores() -> None:
    """Fitting twice gives the same scores to the bit, with any number of threads of the trees."""
    again = fit_fraud_model(small_log()[0], FEATURES, QUICK, num_threads=2)
    assert_same_scores(small_fit(), again)


def test_another_seed_gives_another_network() -> None:
    """The seed is used: with another one, the scores are others."""
    other = fit(small_log()[0], FraudConfig(autoencoder=QUICK.autoencoder, seed=1))
    assert (later_scores(other).evidence != later_scores(small_fit()).evidence).any()


def test_columns_that_are_no_features_are_never_read() -> None:
    """A label in the table, right or wrong, and other columns without a role change nothing."""
    table = small_log()[0]
    large = pc.greater(table["amount"], 100)
    marked = with_column(table, "is_fraud", large)
    marked = with_column(marked, "plant", pc.if_else(large, "takeover", "none"))
    marked = with_column(marked, "noise", pa.array(np.arange(table.num_rows) / 7))
    assert_same_scores(small_fit(), fit(marked))


def test_the_order_of_columns_does_not_matter() -> None:
    """Columns are found by name, also where the features are named in another order of columns."""
    table = small_log()[0]
    assert_same_scores(small_fit(), fit(table.select(table.column_names[::-1])))


def test_a_fitted_state_knows_up_to_the_last_row() -> None:
    """The state ends with the last training row, and knows every account and counterparty."""
    fitted, table = small_fit(), small_log()[0]
    assert fitted.state.until == times_of(table)[-1] / 86_400e6
    assert set(fitted.state.account_ids.terms.to_pylist()) == set(table["account_id"].to_pylist())
    known = set(fitted.state.counterparty_ids.terms.to_pylist())
    assert known == set(table["counterparty_id"].to_pylist())
    assert fitted.state.accounts.day.max() == fitted.state.until
    assert (fitted.state.cumulative_score >= 0).all()
    assert fitted.state.cumulative_score.max() > 0


def test_the_report_tells_what_was_found() -> None:
    """Rows, accounts, the context of amounts, and which features describe accounts."""
    report, table = small_fit().report, small_log()[0]
    assert report.num_rows == table.num_rows
    assert report.num_accounts == len(pc.unique(table["account_id"]))
    assert (report.context, report.account_features) == ("category", ("age",))
    assert {"profile", "trust_weights", "trust_trees"} <= set(report.to_dict())
    assert tuple(report.episode_shares) == small_fit().model.evidence_names
    last_fifth = times_of(table) >= np.quantile([times_of(table)[0], times_of(table)[-1]], 0.8)
    assert report.num_calibration_rows == last_fifth.sum()


def test_stages_are_told_in_order() -> None:
    """The callback hears each stage once, and the report has a duration for each."""
    reported: list[str] = []
    fitted = fit_fraud_model(
        small_log()[0],
        FEATURES,
        BRIEF,
        num_threads=1,
        callbacks=FitCallbacks(on_stage=reported.append),
    )
    assert reported == list(fitted.report.durations_s)
    assert len(reported) == len(set(reported)) > 3


@pytest.mark.parametrize("num_rows", [0, 1, 400, 900])
def test_too_few_rows_are_refused(num_rows: int) -> None:
    """A short log is refused with the numbers of rows before and in the calibration part."""
    with pytest.raises(DataError, match="at least 500 transactions to fit on"):
        fit(small_log()[0].slice(0, num_rows))


def test_a_log_at_one_time_is_refused() -> None:
    """Without a span of time there is no end to calibrate on."""
    table = small_log()[0]
    at_once = pa.repeat(table["event_time"][0], table.num_rows)
    with pytest.raises(DataError, match=r"over 0\.0 days"):
        fit(with_column(table, "event_time", at_once))


def test_a_list_feature_is_refused() -> None:
    """A kind of feature that cannot be used is named in one line."""
    table = small_log()[0]
    tags = with_column(table, "tags", pa.array([["a", "b"]] * table.num_rows))
    features = {**FEATURES, "tags": FeatureConfig(kind="multi_hot")}
    with pytest.raises(ConfigError, match="tags"):
        fit_fraud_model(tags, features, BRIEF, num_threads=1)


@functools.cache
def base() -> pa.Table:
    """A log to take things from."""
    return log_of(num_accounts=60, num_days=40, seed=2)


def constant(name: str, value: object, kind: pa.DataType) -> pa.Table:
    """The log with one value in a column."""
    return with_column(base(), name, pa.array([value] * base().num_rows, kind))


def without_values() -> pa.Table:
    """The log with all features null."""
    table = constant("age", None, pa.float32())
    for name in ("category", "channel", "country"):
        table = with_column(table, name, pa.nulls(base().num_rows, pa.string()))
    return table


def in_a_minute() -> pa.Table:
    """Equal payments within a minute: nothing differs but the account."""
    times = 10**15 + np.arange(base().num_rows) * 10_000
    table = constant("amount", 5.0, pa.float64()).select(BARE)
    return with_column(table, "event_time", pa.array(times, pa.timestamp("us", tz="UTC")))


def with_amounts_beyond_float32() -> pa.Table:
    """Some amounts that float32 cannot hold, in training and later."""
    amounts = np.where(np.arange(base().num_rows) % 400 == 7, 1e300, np.asarray(base()["amount"]))
    return with_column(base(), "amount", pa.array(amounts))


def with_currencies() -> pa.Table:
    """Two currencies and nulls, and a third currency at the end."""
    places = np.arange(base().num_rows)
    names = np.where(places % 3 == 0, "JPY", np.where(places > 3500, "USD", "EUR"))
    return with_column(base(), "currency", pa.array(names, mask=places % 5 == 0))


def with_number_ids() -> pa.Table:
    """Ids that are numbers."""
    table = base()
    for name in ("account_id", "counterparty_id"):
        codes = np.unique(np.asarray(table[name]), return_inverse=True)[1]
        table = with_column(table, name, pa.array(codes.astype(np.int64) * 1_000_003))
    return table


SCANTY = {
    "features without a value": without_values,
    "one account": lambda: constant("account_id", "a", pa.string()),
    "an account a transaction": lambda: with_column(
        base(), "account_id", pa.array([f"a{row}" for row in range(base().num_rows)])
    ),
    "no counterparty column": lambda: base().drop_columns(["counterparty_id"]),
    "counterparties unknown": lambda: constant("counterparty_id", None, pa.string()),
    "no features": lambda: base().select([*BARE, "counterparty_id"]),
    "nothing but amounts": lambda: base().select(BARE),
    "constant amounts": lambda: constant("amount", 5.0, pa.float64()),
    "amounts of zero": lambda: constant("amount", 0.0, pa.float64()),
    "refunds alone": lambda: constant("amount", -20.0, pa.float64()),
    "equal payments in a minute": in_a_minute,
    "amounts beyond float32": with_amounts_beyond_float32,
    "currencies": with_currencies,
    "ids that are numbers": with_number_ids,
}


@pytest.mark.parametrize("case", SCANTY)
def test_scanty_tables_are_fitted_and_scored(case: str) -> None:
    """Whatever is missing or constant, scores are finite numbers in [0, 1) and so is the state."""
    table = SCANTY[case]()
    place = int(0.75 * table.num_rows)
    fitted = fit(table.slice(0, place), BRIEF)
    scores, state = fitted.model.score(table.slice(place), fitted.state, num_threads=1)
    anomaly = scores.calibrated.anomaly_score
    assert np.isfinite(scores.evidence).all()
    assert np.isfinite(scores.calibrated.combined).all()
    assert anomaly.min() >= 0
    assert anomaly.max() < 1
    for name, array in state.arrays().items():
        if not name.endswith("day"):
            assert np.isfinite(array).all()


def test_calibration_can_be_shorter() -> None:
    """The settings of the calibration part decide which rows it has."""
    config = FraudConfig(
        autoencoder=BRIEF.autoencoder, scoring=ScoringConfig(max_calibration_days=7.0)
    )
    report = fit(small_log()[0], config).report
    first = times_of(small_log()[0])[-1] - 7 * 86_400_000_000
    assert report.num_calibration_rows == (times_of(small_log()[0]) >= first).sum()


def test_the_later_days_are_later() -> None:
    """The days to score are none of the training days."""
    training, later = cut(pa.concat_tables(small_log()), 40)
    assert training.num_rows == small_log()[0].num_rows
    assert times_of(later)[0] >= times_of(training)[-1]
