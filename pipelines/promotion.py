"""Whether a trained recommender becomes live: the live model and the canary are asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.config import JobConfig
from pipelines.console import Reporter
from recsys.datasets.dataset import Dataset
from recsys.datasets.splits import Split
from recsys.errors import GateError, RecsysError
from recsys.publishing import current_run, published_runs, verify_run
from recsys.recommender.canary import HISTORY, RELEVANT, Canary
from recsys.recommender.experiment import Experiment
from recsys.recommender.model import RecommenderModel
from recsys.recommender.model_bundle import load_model, save_model
from recsys.recommender.promotion import find_faults

MEASURED, CANARY_FILE, RECORD_FILE = "measured", "canary.parquet", "promotion.json"
"""In a published run: the model that was measured, the frozen users, and what was found."""

_CANARY_USERS = 1000
_CANARY_SEED = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Champion:
    """What the live run has for a comparison."""

    model: RecommenderModel | None
    """Its measured model, where that knows nothing of the part to measure on."""
    canary: Canary | None
    """The frozen users, if they were drawn."""
    canary_ndcg: float
    """What the first model made of them."""
    note: str
    """Why there is no model to compare with; empty when there is."""


NOBODY = Champion(model=None, canary=None, canary_ndcg=float("nan"), note="no model is live yet")


@dataclass(frozen=True, kw_only=True, eq=False)
class Judgement:
    """Whether the new model may become live."""

    faults: Sequence[GateError]
    """Every reason against it."""
    canary: Canary | None
    """The frozen users, to be handed on."""
    canary_ndcg: float
    """What the first model made of them."""
    record: dict[str, object]
    """What was compared, for `promotion.json`."""

    def hold(self, _folder: Path) -> str:
        """The reason to hold, for `publish`."""
        return str(self.faults[0]) if self.faults else ""


def load_champion(config: JobConfig, split: Split) -> Champion:
    """The live run's measured model and canary, where they can be used today."""
    if not config.promotion.enabled or not published_runs(config.models):
        return NOBODY
    run = current_run(config.models)
    if not (run / RECORD_FILE).is_file():
        return replace(NOBODY, note="the live run has nothing to compare with")
    verify_run(run)
    record = json.loads((run / RECORD_FILE).read_text(encoding="utf-8"))
    canary = (
        Canary(table=pq.read_table(run / CANARY_FILE)) if (run / CANARY_FILE).exists() else None
    )
    value = record.get("canary_ndcg")
    found = Champion(
        model=None, canary=canary, canary_ndcg=float("nan") if value is None else value, note=""
    )
    seen, today = record.get("measured_from"), measured_from(split)
    if not (run / MEASURED).is_dir() or seen is None or today is None:
        return replace(found, note="a split without time: models of two nights cannot be compared")
    if datetime.fromisoformat(seen) > today:
        return replace(found, note="the live model has seen part of what would be measured on")
    try:
        model, _ = load_model(run / MEASURED)
    except RecsysError as error:
        return replace(found, note=f"the live run's measured model cannot be read: {error}")
    return replace(found, model=model)


def measured_from(split: Split) -> datetime | None:
    """The moment from which on quality is measured; None where the split goes by no time."""
    return split.test_from if split.test is not None else split.valid_from


def judge(
    config: JobConfig,
    experiment: Experiment,
    champion: Champion,
    data: tuple[Dataset, Split],
    reporter: Reporter,
) -> Judgement:
    """Compare the new model with the baselines, the live one and the canary's first value."""
    comparison, k = experiment.comparison, config.evaluation.k
    faults: list[GateError] = []
    canary, first = champion.canary, champion.canary_ndcg
    if comparison is None or experiment.candidate is None or not config.promotion.enabled:
        return Judgement(faults=(), canary=canary, canary_ndcg=first, record={})
    faults += find_faults(comparison, config.promotion, k=k)
    if canary is None:
        canary = _new_canary(*data)
    ndcg = _canary_value(canary, experiment.candidate, k)
    first = ndcg if not np.isfinite(first) else first
    if first > 0 and ndcg < (1 - config.promotion.canary_margin) * first:
        faults.append(
            GateError(
                rule="canary",
                place="the new model",
                observed=f"ndcg@{k} {ndcg:.4f}",
                limit=f"{1 - config.promotion.canary_margin:.0%} of the first model's {first:.4f}",
                remedy="look for what has changed since the first model",
            )
        )
    if champion.note:
        reporter.say(f"promotion: not compared with the live model: {champion.note}")
    start = measured_from(data[1])
    record: dict[str, object] = {
        "measured_from": None if start is None else start.isoformat(),
        "canary_ndcg": first if np.isfinite(first) else None,
        "canary_ndcg_now": ndcg if np.isfinite(ndcg) else None,
        "compared_with_champion": comparison.champion is not None,
        "note": champion.note,
        "faults": [str(fault) for fault in faults],
    }
    return Judgement(faults=faults, canary=canary, canary_ndcg=first, record=record)


def write_promotion(folder: Path, experiment: Experiment, judgement: Judgement) -> None:
    """What the next challenger will be compared with."""
    text = json.dumps(judgement.record, indent=1) + "\n"
    (folder / RECORD_FILE).write_text(text, encoding="utf-8")
    if experiment.candidate is not None and judgement.record:
        save_model(experiment.candidate, folder / MEASURED, data_digests={})
    if judgement.canary is not None and len(judgement.canary.table):
        pq.write_table(judgement.canary.table, folder / CANARY_FILE, write_page_checksum=True)


def _new_canary(dataset: Dataset, split: Split) -> Canary | None:
    """Users drawn from what comes before the measured part, and from that part."""
    *earlier, measured = [one for one in (split.train, split.valid, split.test) if one is not None]
    if not earlier:
        return None
    before = replace(dataset, interactions=pa.concat_tables(earlier))
    return Canary.draw(before, measured, num_users=_CANARY_USERS, seed=_CANARY_SEED)


def _canary_value(canary: Canary | None, model: RecommenderModel, k: int) -> float:
    if canary is None or not len(canary.table) or not _same_ids(canary.table, model):
        return float("nan")
    values = canary.measure(model, k=k)
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _same_ids(table: pa.Table, model: RecommenderModel) -> bool:
    types = {table[name].type.value_type for name in (HISTORY, RELEVANT)}
    return types == {model.items.terms.type}
