"""Nights in which ever more events are pushed: the gates close while the model is still good."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pytest
from challengers import EVALUATION, K, fit, with_log
from small_logs import clustered_log, without_features

from recsys.datasets.dataset import Dataset
from recsys.datasets.splits import SplitConfig, split_interactions
from recsys.recommender.evaluation.canary import Canary
from recsys.recommender.evaluation.holdout import compare
from recsys.recommender.evaluation.promotion import find_canary_faults, find_faults
from recsys.recommender.model import RecommenderModel
from recsys.recommender.nightly_config import PromotionConfig
from recsys.schema import ITEM_ID

FIRST_ROWS, MORE_ROWS, STEP = 9000, 100, 0.05


@dataclass(frozen=True, kw_only=True, eq=False)
class Attack:
    """A log, and what its events are replaced by, one after the other."""

    clean: Dataset
    order: np.ndarray
    pushed: np.ndarray

    @classmethod
    def on_a_small_log(cls) -> Attack:
        """Items of one cluster take the places of all others."""
        log = clustered_log(num_users=600, num_items=200, num_interactions=12_000)
        data, rng = without_features(log.dataset), np.random.default_rng(0)
        cluster = log.dataset.items[ITEM_ID].to_numpy()[log.item_clusters == 0]
        num_rows = data.interactions.num_rows
        return cls(
            clean=data, order=rng.permutation(num_rows), pushed=rng.choice(cluster, num_rows)
        )

    def night(self, number: int) -> Dataset:
        """The log of a night, in which that many times 5 % are pushed events."""
        rows = FIRST_ROWS + number * MORE_ROWS
        items = self.clean.interactions[ITEM_ID].to_numpy()[:rows].copy()
        mine = self.order[self.order < rows]
        bad = mine[: int(number * STEP * rows)]
        items[bad] = self.pushed[bad]
        part = replace(self.clean, interactions=self.clean.interactions.slice(0, rows))
        return with_log(part, pa.array(items))

    def true_users(self) -> Canary:
        """What users really like later on, which no model of a night knows."""
        log = self.clean.interactions
        before = replace(self.clean, interactions=log.slice(0, 11_000))
        return Canary.draw(before, log.slice(11_000), num_users=1000, seed=1)


@pytest.mark.parametrize(("baselines", "last"), [("not_behind", 10), ("ignored", 19)])
def test_slow_poisoning_is_held_before_a_quarter_is_lost(baselines: str, last: int) -> None:
    """With a twentieth more pushed events each night, one is held while the model is still good."""
    attack, config = Attack.on_a_small_log(), PromotionConfig(baselines=baselines)
    truth = attack.true_users()
    live: RecommenderModel | None = None
    canary: Canary | None = None
    values, qualities = list[float](), list[float]()
    for number in range(last + 1):
        data = attack.night(number)
        rule = SplitConfig(test_share=0.1, valid_share=0)
        split = split_interactions(data.interactions, rule, seed=0)
        before = replace(data, interactions=split.train)
        model = fit(before, seed=number)
        found = compare(model, before, split.test, EVALUATION, champion=live)
        canary = canary or Canary.draw(before, split.test, num_users=1000, seed=0)
        now = float(np.mean(canary.measure(model, k=K)))
        if [*find_faults(found, config, k=K), *find_canary_faults(now, now, values, config)]:
            break
        live = model
        values.append(now)
        qualities.append(float(np.mean(truth.measure(model, k=K))))
    assert 1 <= number < last, "the first night is clean, and the last one must not be reached"
    assert min(qualities) > 0.75 * qualities[0]
