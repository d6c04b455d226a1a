"""The fraud scorer in Python: frames as strangers have them, and what it says of wrong ones."""

from __future__ import annotations

import functools
import logging

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from recsys import FraudScorer, RecsysError, compare
from recsys.datasets.frames.frames import Frame
from recsys.datasets.synthetic.transactions import Plant, synthetic_transactions
from recsys.errors import ConfigError, DataError

QUICK = {"autoencoder": {"num_steps": 5, "max_rows": 1000, "hidden_dims": [16]}}
NUM_DAYS, FIRST_NIGHT = 30, pd.Timestamp("2024-01-26", tz="UTC")


@functools.cache
def log() -> pa.Table:
    """A month of eighty accounts with a takeover in its last days."""
    return synthetic_transactions(
        num_accounts=80, num_days=NUM_DAYS, seed=1, num_merchants=20,
        planted=[Plant(kind="takeover", day=27)],
    ).table.drop_columns(["plant"])  # fmt: skip


def strange() -> pd.DataFrame:
    """The log with names, types and an index of a stranger's own."""
    frame = log().to_pandas()
    frame["event_time"] = frame["event_time"].dt.tz_convert(None).astype("datetime64[ns]")
    frame["category"] = frame["category"].astype("category")
    frame["age"] = frame["age"].astype("Int64")
    names = {"account_id": "Card", "event_time": "paid_at", "counterparty_id": "merchant"}
    return frame.rename(columns=names).set_index(pd.RangeIndex(len(frame), 0, -1))


@functools.cache
def fitted() -> FraudScorer:
    """A scorer that knows the days before the first night."""
    frame = strange()
    return FraudScorer(**QUICK, alerts={"alert_budget": 2}).fit(
        frame[frame["paid_at"] < FIRST_NIGHT.tz_convert(None)]
    )


def later() -> pd.DataFrame:
    """The transactions after them."""
    frame = strange()
    return frame[frame["paid_at"] >= FIRST_NIGHT.tz_convert(None)]


def refusal(call: functools.partial) -> str:
    """The one line with which a call is refused."""
    with pytest.raises(RecsysError) as error:
        call()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_scores_stand_beside_the_rows_that_they_are_of() -> None:
    """The result has the order and the index of the frame, and the state stays as it is."""
    frame = later()
    shuffled = frame.sample(frac=1, random_state=0)
    scores, again = fitted().score(frame), fitted().score(shuffled)

    assert scores.index.equals(frame.index)
    assert scores["anomaly_score"].between(0, 1).all()
    assert scores["transaction_id"].tolist() == frame["transaction_id"].tolist()
    pd.testing.assert_frame_equal(again, scores.loc[shuffled.index])


def test_fraud_scores_higher() -> None:
    """Higher is more anomalous: planted fraud ranks above nearly all that is normal."""
    frame = later()
    scores = fitted().score(frame)["anomaly_score"]

    assert scores[frame["is_fraud"]].mean() > scores[~frame["is_fraud"]].quantile(0.75)


def test_the_same_seed_gives_the_same_scores() -> None:
    """A second fit, on polars, gives every score anew."""
    frame = pl.from_arrow(log()).with_columns(pl.col("age").cast(pl.Int64))
    is_later = pl.col("event_time") >= FIRST_NIGHT
    scorer = FraudScorer(**QUICK).fit(frame.filter(~is_later))
    found = scorer.score(frame.filter(is_later))

    assert isinstance(found, pl.DataFrame)
    expected = fitted().score(later())["anomaly_score"].tolist()
    assert found["anomaly_score"].to_list() == pytest.approx(expected)


def test_rows_that_cannot_be_used_have_no_score(caplog: pytest.LogCaptureFixture) -> None:
    """A row without an amount is set aside aloud; one that is told twice has its score twice."""
    frame = later()
    frame.iloc[3, frame.columns.get_loc("amount")] = None
    doubled = pd.concat([frame, frame.iloc[[0]]])
    scores = fitted().score(doubled)["anomaly_score"]

    assert scores.isna().sum() == 1
    assert pd.isna(scores.iloc[3])
    assert scores.iloc[-1] == scores.iloc[0]
    assert "2 of" in caplog.text
    assert "1 null_amount, 1 duplicate" in caplog.text


def test_guesses_are_said_and_no_label_is_a_feature(caplog: pytest.LogCaptureFixture) -> None:
    """Features are named aloud, and a column that looks like a label is not among them."""
    with caplog.at_level(logging.WARNING):
        scorer = FraudScorer(**QUICK).fit(log().to_pandas())
    (reported,) = [one.getMessage() for one in caplog.records if "features are" in one.getMessage()]

    assert "category (categorical)" in reported
    assert "is_fraud" not in reported
    with pytest.raises(ConfigError, match="no day yet"):
        scorer.alerts("2024-01-30")


def test_days_are_gone_through_once() -> None:
    """`advance` has alerts of its days, and refuses transactions of days that are over."""
    frame = log().to_pandas()
    known = frame["event_time"] < FIRST_NIGHT
    scorer = FraudScorer(**QUICK, alerts={"alert_budget": 2}).fit(frame[known])
    day = frame[frame["event_time"].dt.date == FIRST_NIGHT.date()]
    scorer.advance(day)
    alerts = scorer.alerts(FIRST_NIGHT.date())

    assert alerts["rank"].tolist() == [1, 2]
    assert alerts["reasons"].str.len().min() > 0
    assert alerts.equals(scorer.alerts(str(FIRST_NIGHT.date())))
    assert len(scorer.account_scores(FIRST_NIGHT)) == day["account_id"].nunique()
    for again in (scorer.score, scorer.advance):
        message = refusal(functools.partial(again, day))
        assert message.startswith("transactions: column 'event_time': expected transactions from")
        assert "2024-01-27 00:00:00" in message


def renamed(frame: pd.DataFrame, **changes: object) -> pd.DataFrame:
    """A frame with some columns of other content."""
    return frame.assign(**changes)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (lambda frame: frame.drop(columns="merchant"), "column 'merchant': expected one column"),
        (lambda frame: frame.assign(Card=range(len(frame))), "column 'Card': expected string"),
        (lambda frame: frame.assign(merchant=1), "column 'merchant': expected string, as"),
        (lambda frame: frame.assign(category=1), "column 'category': expected string, as"),
        (lambda frame: frame.assign(amount="12 EUR"), "column 'amount': expected amounts"),
        (lambda frame: frame.iloc[:0], "expected at least one transaction, got an empty table"),
        (lambda frame: frame.assign(paid_at=1.5), "column 'paid_at': expected"),
        (lambda frame: frame["amount"], "expected a table of pandas, polars or Arrow"),
    ],
)
def test_wrong_frames_are_refused_in_one_line(wrong: Frame, expected: str) -> None:
    """A frame that cannot be scored is refused by argument and column, and nothing is misread."""
    message = refusal(functools.partial(fitted().score, wrong(later())))

    assert message.startswith("transactions")
    assert expected in message
    assert "[columns]" not in message


def test_wrong_calls_are_refused_in_one_line() -> None:
    """Too little to learn from, what was not fitted, unknown settings and days."""
    frame = log().to_pandas()
    calls = {
        "transactions": functools.partial(FraudScorer(**QUICK).fit, frame.head(20)),
        "score: expected a fitted scorer": functools.partial(FraudScorer().score, frame),
        "FraudScorer: alert": functools.partial(FraudScorer, alert={}),
        "FraudScorer: alerts.alert_budget": functools.partial(
            FraudScorer, alerts={"alert_budget": -1}
        ),
        "day: expected a day such as": functools.partial(fitted().alerts, "soon"),
        "labels: expected": functools.partial(FraudScorer().fit, frame, frame[["amount"]]),
        "transactions: column 'fraud'": functools.partial(FraudScorer().fit, frame, "fraud"),
        "compare: expected labels": functools.partial(compare, transactions=frame),
        "compare: expected interactions or": functools.partial(compare),
    }
    for expected, call in calls.items():
        assert refusal(call).startswith(expected)


def test_labels_may_be_a_column_or_a_frame() -> None:
    """Both are the same; labels of another type of ids are refused."""
    frame = log().to_pandas()
    beside = frame[["transaction_id", "is_fraud"]].rename(columns={"is_fraud": "confirmed"})
    by_column = FraudScorer(**QUICK).fit(frame, "is_fraud")
    by_frame = FraudScorer(**QUICK, is_fraud="confirmed").fit(frame, beside)

    assert by_column._labels.equals(by_frame._labels)
    numbers = beside.assign(transaction_id=range(len(beside)))
    with pytest.raises(DataError, match="labels: column 'transaction_id': expected string ids"):
        FraudScorer(**QUICK, is_fraud="confirmed").fit(frame, numbers)


def test_compare_measures_ours_beside_plain_detectors() -> None:
    """One call gives a table with ours first, in the kind that came in, over the last days."""
    found = compare(transactions=pl.from_arrow(log()), labels="is_fraud", test_share=0.2, **QUICK)

    assert isinstance(found, pl.DataFrame)
    assert found["method"][0] == "fraud scorer"
    assert {"amount alone", "isolation forest"} <= set(found["method"])
    assert found["auc"].is_between(0, 1).all()
    assert found["num_frauds"].unique().to_list()[0] > 0
