"""Python and the jobs are one: the same numbers, and each opens what the other saves."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bank import (
    BUDGET,
    DELAY_DAYS,
    LABELS,
    SMALL_SCORER,
    TRAINED,
    days_of,
    labels,
    night,
    of_day,
    score,
    train,
    transactions,
    write_bank,
)
from bank import START as FIRST_DAY
from shop import SMALL_MODEL, UNTRACKED, USER_FEATURES, run_main, shop_dataset, write_shop

from recsys import FraudScorer, Recommender
from recsys.datasets.dataset import Dataset
from recsys.errors import ArtifactError
from recsys.publishing import current_run

SMALL = {
    "model": {"embedding_dim": 16, "prefix_dims": [8], "hidden_dims": [16]},
    "training": {"num_epochs": 2},
    "split": {"test_share": 0.15, "valid_share": 0.15},
    "features": {"users": {"segment": "categorical", "age": "numeric"}},
}
"""What `SMALL_MODEL` and `USER_FEATURES` say in TOML."""
SCORER = {
    "features": {"category": "categorical", "channel": "categorical", "age": "numeric"},
    "autoencoder": {"num_steps": 20, "max_rows": 3000, "hidden_dims": [16]},
    "alerts": {"alert_budget": BUDGET},
    "labels": {"delay_days": DELAY_DAYS, "stacker": {"num_rounds": 40}},
}
"""What `SMALL_SCORER` and `LABELS` say in TOML."""
K = 5


def lists_of(config: Path) -> pd.DataFrame:
    """The lists that are live."""
    run = current_run(config.parent / "runs" / "recommendations")
    return pq.read_table(run / "recommendations.parquet").to_pandas()


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Both hold the same rows, scores to the last digits but one."""
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-5)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset]:
    """A shop whose model and lists the jobs have published."""
    folder, dataset = tmp_path_factory.mktemp("shop"), shop_dataset("string")
    sections = f"[lists]\nk = {K}\n", SMALL_MODEL, USER_FEATURES, UNTRACKED
    config = write_shop(folder, dataset, "parquet", *sections)
    assert run_main("train-recommender", config, "--set", "promotion.enabled=false") == 0
    assert run_main("write-recommendations", config) == 0
    return config, dataset


def frames_of(dataset: Dataset) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Interactions and users as pandas has them, in the order of the tables."""
    assert dataset.users is not None
    return dataset.interactions.to_pandas(), dataset.users.to_pandas()


@pytest.fixture(scope="module")
def fitted(shop: tuple[Path, Dataset]) -> Recommender:
    """A recommender that was fitted in Python on the same tables."""
    evaluation = {"k": K}
    return Recommender(evaluation=evaluation, **SMALL).fit(*frames_of(shop[1]))


def test_lists_are_those_of_the_job(shop: tuple[Path, Dataset], fitted: Recommender) -> None:
    """On the same log and settings, `fit` and `recommend` give what the two jobs published."""
    same(fitted.recommend(k=K), lists_of(shop[0]))


def test_a_recommender_of_the_jobs_opens_in_python(shop: tuple[Path, Dataset]) -> None:
    """`load` opens the folder of outputs, and one run in it; lists of some users are the job's."""
    config, dataset = shop
    published = lists_of(config)
    users = published["user_id"].unique()[[7, 3]]
    expected = published[published["user_id"].isin(users)].sort_values(
        "user_id", key=lambda ids: ids != users[0], kind="stable"
    )
    run = current_run(config.parent / "runs" / "models")

    for folder in (config.parent / "runs", run.parents[2], run):
        found = Recommender.load(folder).recommend(users, k=K)
        same(found, expected.reset_index(drop=True))
    log, table = frames_of(dataset)
    today = Recommender.load(run, features=SMALL["features"])
    same(today.recommend(k=K, interactions=log, user_features=table), published)


def test_what_python_saves_opens_in_the_jobs(
    shop: tuple[Path, Dataset], fitted: Recommender, tmp_path: Path
) -> None:
    """A model that was saved is live for the jobs: they write its lists and look after it."""
    sections = f"[lists]\nk = {K}\n", SMALL_MODEL, USER_FEATURES, UNTRACKED
    config = write_shop(tmp_path, shop[1], "parquet", *sections)
    fitted.save(tmp_path / "runs")
    fitted.save(tmp_path / "runs")

    assert run_main("write-recommendations", config) == 0
    assert run_main("similar-items", config) == 0
    assert run_main("status", config) == 0
    same(lists_of(config), fitted.recommend(k=K))
    assert run_main("train-recommender", config, "--set", "promotion.enabled=false") == 0
    fitted.save(tmp_path / "runs")  # of an earlier day than the job's run, and yet live
    same(Recommender.load(tmp_path / "runs").recommend(k=K), fitted.recommend(k=K))


def test_similar_items_are_those_of_the_job(
    shop: tuple[Path, Dataset], fitted: Recommender
) -> None:
    """Neighbours of all items are the job's, and those of one item are its rows."""
    config, _ = shop
    assert run_main("similar-items", config) == 0
    run = current_run(config.parent / "runs" / "similar-items")
    published = pq.read_table(run / "similar-items.parquet").to_pandas()
    one = published["item_id"][0]

    same(fitted.similar_items(k=K), published)
    same(fitted.similar_items([one], k=K), published[published["item_id"] == one])


def log_until_training() -> pa.Table:
    """The transactions that the job learns from."""
    table = transactions()
    return table.filter(pa.array(days_of(table) <= (TRAINED - FIRST_DAY).days))


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bank with labels, a model, and two nights that the jobs have scored."""
    folder = tmp_path_factory.mktemp("bank")
    config = write_bank(folder, SMALL_SCORER, LABELS, UNTRACKED, labelled=labels())
    assert train(config).code == 0
    for number in (1, 2):
        assert score(config, night(number)).code == 0
    return config


def night_of(config: Path, number: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Transaction and account scores of a night, as published."""
    folder = config.parent / "runs" / "fraud-scores" / "runs" / str(night(number))
    (run,) = folder.iterdir()
    tables = (
        pq.read_table(run / f"{name}_scores.parquet").to_pandas()
        for name in ("transaction", "account")
    )
    by_transaction, by_account = tables
    return (
        by_transaction[["transaction_id", "anomaly_score"]],
        by_account.drop(columns="bundle_id"),
    )


def fit_scorer() -> FraudScorer:
    """A scorer that was fitted in Python on the same transactions and labels."""
    return FraudScorer(**SCORER).fit(log_until_training().to_pandas(), labels().to_pandas())


def test_nights_are_those_of_the_job(bank: Path) -> None:
    """On the same log, labels and settings, `advance` gives what the job published each night."""
    scorer = fit_scorer()
    for number in (1, 2):
        rows = of_day(transactions(), night(number)).to_pandas()
        by_transaction, by_account = night_of(bank, number)
        scored = scorer.score(rows)
        same(scored.sort_values("transaction_id", ignore_index=True),
             by_transaction.sort_values("transaction_id", ignore_index=True))  # fmt: skip
        same(scorer.advance(rows), scored)
        same(scorer.account_scores(night(number)), by_account)
        same(scorer.alerts(night(number)), by_account[by_account["alert"]])
        assert scorer.alerts(night(number))["reasons"].str.len().min() > 0


def test_a_scorer_of_the_jobs_opens_in_python(bank: Path) -> None:
    """`load` goes on with the state of the last night, so that the next night is the job's."""
    loaded = FraudScorer.load(bank.parent / "runs", alerts=SCORER["alerts"])
    rows = pl.from_arrow(of_day(transactions(), night(3)))
    loaded.advance(rows, labels=labels())
    assert score(bank, night(3)).code == 0

    of_earlier_days = ["reasons", "flagged_before"]  # which a state does not hold
    expected = night_of(bank, 3)[1].drop(columns=of_earlier_days)
    found = loaded.account_scores(night(3))
    assert isinstance(found, pl.DataFrame)
    same(found.to_arrow().to_pandas().drop(columns=of_earlier_days), expected)


def test_a_scorer_that_python_saves_opens_in_the_jobs(bank: Path, tmp_path: Path) -> None:
    """The state that was saved is what the next night starts from: the job's night is Python's."""
    config = write_bank(tmp_path, SMALL_SCORER, LABELS, UNTRACKED, labelled=labels())
    scorer = fit_scorer()
    scorer.advance(of_day(transactions(), night(1)).to_pandas())
    scorer.save(tmp_path / "runs")

    done = score(config, night(2))
    assert done.code == 0
    # The folder has no night 1, of which the bank's own remembers the alerts.
    before = "flagged_before"
    same(night_of(config, 2)[1].drop(columns=before), night_of(bank, 2)[1].drop(columns=before))
    reopened = FraudScorer.load(tmp_path / "runs", alerts=SCORER["alerts"])
    rows = of_day(transactions(), night(3)).to_pandas()
    scorer.advance(of_day(transactions(), night(2)).to_pandas())
    same(reopened.score(rows, labels().to_pandas()), scorer.score(rows))


@pytest.mark.parametrize("product", [Recommender, FraudScorer])
def test_a_folder_without_a_model_is_refused_in_one_line(product: type, tmp_path: Path) -> None:
    """What is no saved model is an error of artifacts that says what to look at."""
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ArtifactError, match="expected a saved model") as refusal:
            product.load(folder)
        assert "\n" not in str(refusal.value)
