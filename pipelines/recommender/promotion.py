"""Whether a trained recommender becomes live: it is compared with the live model and the canary."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.jobs.console import Reporter
from pipelines.recommender.config import JobConfig
from recsys.datasets.dataset import Dataset
from recsys.datasets.splits import Split
from recsys.errors import CheckError, RecsysError
from recsys.publishing import live_run, verify_run
from recsys.recommender.compatibility import check_tables
from recsys.recommender.evaluation.canary import Canary
from recsys.recommender.evaluation.comparison import paired_difference
from recsys.recommender.evaluation.evaluate import LEAST_USERS
from recsys.recommender.evaluation.holdout import MODEL, Comparison
from recsys.recommender.evaluation.promotion import find_canary_faults, find_faults
from recsys.recommender.evaluation.published_baseline import as_baseline, baseline_to_publish
from recsys.recommender.fitting.experiment import Experiment
from recsys.recommender.model import RecommenderModel
from recsys.recommender.model_bundle import load_model, save_model
from recsys.schema import ITEM_ID

MEASURED, CANARY_FILE, RECORD_FILE = "measured", "canary.parquet", "promotion.json"
"""Names in a published run: the model that was measured, the frozen users, the record."""

_CANARY_USERS, _MIN_CANARY_USERS = 1000, 50
_CANARY_SEED = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class CanaryHistory:
    """Frozen users, and the quality that models reached on them."""

    canary: Canary
    """The users."""
    drawn_at: str | None
    """The moment from which on their answers were taken, in ISO 8601; None without time."""
    values: tuple[float, ...] = ()
    """Mean NDCG of each model that became live since then."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Champion:
    """What the live run offers for a comparison."""

    model: RecommenderModel | None
    """Its measured model, if that was not trained on the part to measure on."""
    canary: CanaryHistory | None
    """The frozen users, if they can be used today."""
    note: str
    """Why there is no model to compare with; empty when there is."""
    ranking: str | None = None
    """What ranks in the live run: the model, or the name of a baseline; None where none is live."""


NOBODY = Champion(model=None, canary=None, note="no model is live yet")


@dataclass(frozen=True, kw_only=True, eq=False)
class PromotionDecision:
    """Whether the new model may become live, and what ranks in it."""

    experiment: Experiment
    """The training, with a baseline in the place of its models where that ranks."""
    faults: Sequence[CheckError] = ()
    """Every reason against it."""
    canary: Canary | None = None
    """The frozen users, to be handed on."""
    record: Mapping[str, object] = field(default_factory=dict)
    """What was compared, for `promotion.json`."""
    ranking: str = MODEL
    """What ranks: the model, or the name of a baseline."""
    note: str = ""
    """Why a baseline ranks; empty where the model does."""

    def hold(self, _folder: Path) -> str:
        """The reason to hold, for `publish`."""
        return self.faults[0].reason if self.faults else ""


def load_champion(config: JobConfig, dataset: Dataset, split: Split) -> Champion:
    """The live run's measured model and canary, where they can be used today.

    Raises:
        PublishError: The live run is damaged, so that nothing can be compared with it.
    """
    if not config.promotion.enabled:
        return replace(NOBODY, note="promotion.enabled is false")
    live = live_run(config.models)
    if live is None:
        return NOBODY
    verify_run(live.folder)
    record = record_of(live.folder)
    today = measured_from(split)
    canary = _stored_canary(live.folder, record, dataset, today, config.promotion.canary_days)
    found = Champion(model=None, canary=canary, note="", ranking=str(record.get("ranking", MODEL)))
    note = _why_not(live.folder, record, today)
    if note:
        return replace(found, note=note)
    try:
        model, _ = load_model(live.folder / MEASURED)
        check_tables(model, dataset)
    except RecsysError as error:
        return replace(found, note=f"the live run's measured model does not fit: {error}")
    return replace(found, model=model)


def measured_from(split: Split) -> datetime | None:
    """The moment from which on quality is measured; None where the split goes by no time."""
    return split.test_from if split.test is not None else split.valid_from


def decide_promotion(
    config: JobConfig,
    experiment: Experiment,
    champion: Champion,
    data: tuple[Dataset, Split],
    reporter: Reporter,
) -> PromotionDecision:
    """Compare the new model with the baselines, the live one, and those before on the canary.

    While no model is live, a baseline that the new model is behind of ranks in its place.
    """
    k = config.evaluation.k
    comparison, candidate = experiment.comparison, experiment.candidate
    if comparison is None or candidate is None or not config.promotion.enabled:
        return PromotionDecision(experiment=experiment)
    ranking, note = MODEL, ""
    if champion.ranking != MODEL:
        found = baseline_to_publish(comparison, config.promotion, k=k, live=champion.ranking)
        if found is not None:
            ranking, note = found, _why_baseline(comparison, found, k)
            experiment = _ranked_by(experiment, found, data)
            comparison = comparison.with_model(found)
    faults = list(find_faults(comparison, config.promotion, k=k, ranking=ranking))
    history = champion.canary or _new_canary(*data)
    canary: dict[str, object] = {}
    if history is not None:
        asked, canary = _asked(history, experiment, config, faults)
        faults += asked
    if champion.note:
        reporter.say(f"promotion: not compared with the live model: {champion.note}")
    if note:
        reporter.warn(note)
    record = _record(comparison, champion, data[1], faults)
    return PromotionDecision(
        experiment=experiment,
        faults=faults,
        canary=None if history is None else history.canary,
        record=record | {"ranking": ranking, "canary": canary},
        ranking=ranking,
        note=note,
    )


def _record(
    comparison: Comparison, champion: Champion, split: Split, faults: Sequence[CheckError]
) -> dict[str, object]:
    """What was compared, for those who look and for the nights to come."""
    start = measured_from(split)
    shift = comparison.retraining
    return {
        "measured_from": None if start is None else start.isoformat(),
        "compared_with_champion": comparison.champion is not None,
        "retraining": None if shift is None else asdict(shift),
        "note": champion.note,
        "faults": [str(fault) for fault in faults],
    }


def _ranked_by(experiment: Experiment, baseline: str, data: tuple[Dataset, Split]) -> Experiment:
    """What the models of a training are once a baseline ranks in their place."""
    dataset, split = data
    *earlier, _ = [one for one in (split.train, split.valid, split.test) if one is not None]
    candidate = experiment.candidate
    return replace(
        experiment,
        model=as_baseline(experiment.model, baseline, dataset.interactions),
        candidate=None
        if candidate is None
        else as_baseline(candidate, baseline, pa.concat_tables(earlier)),
    )


def _why_baseline(comparison: Comparison, baseline: str, k: int) -> str:
    """What people are told of a baseline that goes live."""
    mine, measure = comparison.evaluations[MODEL], f"ndcg@{k}"
    num_users = int(mine.overall["num_users"])
    intro = f"the baseline {baseline!r} ranks the lists, and not the new model: "
    if num_users < LEAST_USERS:
        return (
            intro
            + f"too little to measure, {num_users:,} of at least {LEAST_USERS} users with later "
            "events"
        )
    theirs = comparison.evaluations[baseline]
    found = paired_difference(mine.per_user[measure], theirs.per_user[measure])
    return intro + (
        f"{measure} {mine.overall[measure]:.4f} against its {theirs.overall[measure]:.4f} "
        f"(95% interval of the difference {found.low:+.4f} to {found.high:+.4f}); a later model "
        "that beats it takes over"
    )


def _asked(
    history: CanaryHistory,
    experiment: Experiment,
    config: JobConfig,
    other_faults: Sequence[CheckError],
) -> tuple[list[CheckError], dict[str, object]]:
    """What the frozen users say of the measured model and the one to publish, and their record."""
    now, to_publish = (
        float(np.mean(history.canary.measure(model, k=config.evaluation.k)))
        for model in (experiment.candidate, experiment.model)
        if model is not None
    )
    faults = list(find_canary_faults(now, to_publish, history.values, config.promotion))
    # Whoever makes a held model live accepts what it makes of the canary.
    values = [now] if [*other_faults, *faults] else [*history.values, now]
    return faults, {"drawn_at": history.drawn_at, "values": values, "to_publish": to_publish}


def write_promotion(folder: Path, decision: PromotionDecision) -> None:
    """What the next challenger will be compared with."""
    text = json.dumps(decision.record, indent=1) + "\n"
    (folder / RECORD_FILE).write_text(text, encoding="utf-8")
    candidate = decision.experiment.candidate
    if candidate is not None and decision.record:
        save_model(candidate, folder / MEASURED, data_digests={})
    if decision.canary is not None:
        pq.write_table(decision.canary.table, folder / CANARY_FILE, write_page_checksum=True)


def _why_not(run: Path, record: dict[str, object], today: datetime | None) -> str:
    """Why the measured model of a run cannot be measured on this part; empty if it can."""
    seen = record.get("measured_from")
    if not (run / MEASURED).is_dir():
        return "the live run has nothing to compare with"
    if not isinstance(seen, str) or today is None:
        return "a split without time: models of two nights cannot be compared"
    if datetime.fromisoformat(seen) > today:
        return "the live model has seen part of what would be measured on"
    return ""


def record_of(run: Path) -> dict[str, object]:
    """What a run says of its promotion; empty for one that says nothing."""
    try:
        record = json.loads((run / RECORD_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return record if isinstance(record, dict) else {}


def _stored_canary(
    run: Path, record: dict[str, object], dataset: Dataset, today: datetime | None, max_days: int
) -> CanaryHistory | None:
    """The frozen users of a run, unless they are too old or their items have other ids."""
    kept = record.get("canary")
    if not isinstance(kept, dict) or not kept or not (run / CANARY_FILE).is_file():
        return None
    drawn_at = kept["drawn_at"]
    if today is not None and drawn_at is not None:
        age = today - datetime.fromisoformat(drawn_at)
        if age > timedelta(days=max_days):
            return None
    canary = Canary(table=pq.read_table(run / CANARY_FILE, page_checksum_verification=True))
    if canary.item_type != dataset.interactions[ITEM_ID].type:
        return None
    return CanaryHistory(canary=canary, drawn_at=drawn_at, values=tuple(kept["values"]))


def _new_canary(dataset: Dataset, split: Split) -> CanaryHistory | None:
    """Users drawn from what comes before the measured part, and from that part."""
    *earlier, measured = [one for one in (split.train, split.valid, split.test) if one is not None]
    before = replace(dataset, interactions=pa.concat_tables(earlier))
    canary = Canary.draw(before, measured, num_users=_CANARY_USERS, seed=_CANARY_SEED)
    if len(canary.table) < _MIN_CANARY_USERS:
        return None
    start = measured_from(split)
    return CanaryHistory(canary=canary, drawn_at=None if start is None else start.isoformat())
