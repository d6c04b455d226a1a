"""The lists that are live, and how far new ones may differ from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.recommender.config import JobConfig
from pipelines.recommender.promotion import record_of
from recsys.errors import PublishError
from recsys.publishing import live_run, verify_run
from recsys.publishing.runs import RUN_ID, find_run
from recsys.recommender.evaluation.holdout import MODEL
from recsys.recommender.evaluation.retraining import RetrainingShift

LISTS_FILE = "recommendations.parquet"
"""The file of a published run."""


@dataclass(frozen=True, kw_only=True)
class LiveLists:
    """The live lists, with which new lists are compared."""

    file: Path | None
    """The lists; None where there are none."""
    has_same_rules: bool = False
    """Whether they were made with the same settings, the same kinds of rules and the same
    ranking."""
    retraining: RetrainingShift | None = None
    """How far another model's lists were measured to differ; None where the same model made them,
    or nothing was measured."""


def live_lists(config: JobConfig, provenance: Mapping[str, str]) -> LiveLists:
    """The lists that are live, compared with the provenance of new ones.

    Rules may name other items or pairs than the night before, since these change from day to day.

    Raises:
        PublishError: The live run is damaged.
    """
    live = live_run(config.recommendations)
    if live is None or not (live.folder / LISTS_FILE).is_file():
        return LiveLists(file=None)
    if config.output_checks.enabled:
        verify_run(live.folder)
    before = live.manifest.provenance
    models = [_record(config, one.get("model", "")) for one in (before, provenance)]
    rankings = {one.get("ranking", MODEL) for one in models}
    same = (
        before.get("settings") == provenance.get("settings")
        and len(rankings) == 1
        and all((name in before) == (name in provenance) for name in ("deny", "eligible"))
    )
    is_retrained = before.get("model") != provenance.get("model")
    return LiveLists(
        file=live.folder / LISTS_FILE,
        has_same_rules=same,
        retraining=_largest(models) if is_retrained else None,
    )


def _record(config: JobConfig, run_id: str) -> Mapping[str, object]:
    """The promotion record of a stored model; empty if the model is gone or damaged."""
    folder = find_run(config.models, run_id) if RUN_ID.fullmatch(run_id) else None
    if folder is None:
        return {}
    try:
        verify_run(folder)
    except PublishError:
        return {}
    return record_of(folder)


def _largest(models: list[Mapping[str, object]]) -> RetrainingShift | None:
    """The larger of the shifts that the two models were measured to bring.

    Going back from a model to the one before it shifts lists as far as coming from there did.
    """
    shifts = [one["retraining"] for one in models if isinstance(one.get("retraining"), dict)]
    reported = [one for one in shifts if isinstance(one, dict)]
    if not reported:
        return None
    return RetrainingShift(
        exposure_gain=max(float(one["exposure_gain"]) for one in reported),
        coverage_kept=min(float(one["coverage_kept"]) for one in reported),
    )
