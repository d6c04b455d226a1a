"""Output checks: whether a fraud model or a night's scores become live."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.fraud.config import FraudJobConfig
from recsys.errors import CheckError
from recsys.fraud.alerts.canary import HIGH_SCORE, CanaryRecall
from recsys.fraud.alerts.daily import DayResult
from recsys.fraud.alerts.output_checks import NightFigures, check_canary, check_night
from recsys.publishing import live_run, published_runs

_CANARY_ROWS = 20_000
METRICS_FILE, FIRST, NOW = "metrics.json", "canary_first", "canary"


@dataclass(frozen=True, kw_only=True)
class OutputChecks:
    """The result of the checks of a model or of a night's scores."""

    faults: Sequence[CheckError]
    """Reasons not to become live."""
    record: dict[str, object]
    """Figures for `metrics.json`."""


def latest_rows(table: pa.Table) -> pa.Table:
    """The end of a log, in which takeovers are planted."""
    return table.slice(max(table.num_rows - _CANARY_ROWS, 0))


def check_new_model(config: FraudJobConfig, canary: CanaryRecall) -> OutputChecks:
    """Compare the share of planted takeovers that a new model finds with that of earlier models."""
    first, live = (_of_live_model(config, name) for name in (FIRST, NOW))
    faults: list[CheckError] = []
    if config.output_checks.enabled:
        before = float(np.fmax(first, live))
        faults += check_canary(canary, before, config.output_checks, place="the new model")
    # A held model that was made live by hand sets the new standard.
    value = first if math.isfinite(first) and not faults else canary.share
    return OutputChecks(faults=faults, record={NOW: canary.share, FIRST: value})


def check_new_scores(
    config: FraudJobConfig, result: DayResult, canary: CanaryRecall, *, place: str
) -> OutputChecks:
    """Compare a night's scores with those of the nights before and with the model's training."""
    scores_N = result.scored.scores.calibrated.anomaly_score
    night = NightFigures(
        high_share=float(np.mean(scores_N >= HIGH_SCORE)),
        alert_share=0.0
        if config.alerts.mode == "budget"  # the share follows from the budget
        else float(np.mean(result.alerts.alert)),
    )
    faults: list[CheckError] = []
    if config.output_checks.enabled:
        faults += check_night(scores_N, night, _nights(config), config.output_checks, place=place)
        trained = _of_live_model(config, NOW)
        faults += check_canary(canary, trained, config.output_checks, place=place)
    return OutputChecks(
        faults=faults,
        record={
            "high_share": night.high_share,
            "alert_share": night.alert_share,
            NOW: canary.share,
        },
    )


def _of_live_model(config: FraudJobConfig, name: str) -> float:
    """A figure of the live model; NaN where it has none."""
    live = live_run(config.models)
    return math.nan if live is None else _figure(live.folder, name)


def _nights(config: FraudJobConfig) -> list[NightFigures]:
    """Figures of the nights that were not held, and of the one that is live."""
    stored = published_runs(config.scores)
    runs = [run for run in stored if run.is_current or not run.manifest.held]
    nights = [
        NightFigures(
            high_share=_figure(run.folder, "high_share"),
            alert_share=_figure(run.folder, "alert_share"),
        )
        for run in runs
    ]
    return [one for one in nights if math.isfinite(one.high_share + one.alert_share)]


def _figure(run: Path, name: str) -> float:
    try:
        value = json.loads((run / METRICS_FILE).read_text(encoding="utf-8")).get(name)
    except (OSError, ValueError, AttributeError):
        return math.nan
    return float(value) if isinstance(value, int | float) else math.nan
