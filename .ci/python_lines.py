"""The Python interface on frames, as the wheel has it: both products, pandas and polars."""

from __future__ import annotations

import pandas as pd
import polars as pl

import pipelines
from recsys import FraudScorer, Recommender, compare

samples = pipelines.__path__[0] + "/samples/"
quick = {"num_epochs": 1, "time_budget_s": 4}

films = pd.read_parquet(samples + "movietweetings_interactions.parquet").tail(20_000)
recommender = Recommender(training=quick).fit(films)
lists = recommender.recommend(k=5)
assert isinstance(lists, pd.DataFrame)
assert set(lists["rank"]) == {1, 2, 3, 4, 5}
recommender.save("films")
again = Recommender.load("films").recommend(lists["user_id"].unique()[:3], k=5)
assert again["item_id"].tolist() == lists["item_id"].tolist()[:15]

cards = pl.read_parquet(samples + "sparkov_transactions.parquet")
day = pl.datetime(2020, 12, 1, time_zone="UTC")
scorer = FraudScorer(autoencoder={"num_steps": 20}, alerts={"alert_budget": 3})
scorer.fit(cards.filter(pl.col("event_time") < day))
scorer.advance(cards.filter(pl.col("event_time") >= day))
alerts = scorer.alerts("2020-12-05")
assert isinstance(alerts, pl.DataFrame)
assert alerts.height == 3

table = compare(films, training=quick)
assert table["method"][0] == "two-tower"
print(table[["method", "recall@20"]].to_string(index=False))
