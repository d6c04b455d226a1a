"""A fraud scorer on disk: published and opened as the jobs do it."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa

from recsys.artifacts import digest_table
from recsys.errors import FingerprintMismatchError
from recsys.fraud.serving import FraudScorer, load_fraud_scorer
from recsys.fraud.storage.model_bundle import load_fraud_model, save_fraud_model
from recsys.fraud.storage.state_bundle import load_state, save_state
from recsys.publishing import published_runs
from recsys.publishing.saving import find_saved, publish_live

_MODELS, _SCORES = "fraud-models", "fraud-scores"  # where jobs publish, below output.directory
_EPOCH = date(1970, 1, 1)


def save_published(served: FraudScorer, folder: Path, *, table: pa.Table | None) -> Path:
    """Publish a model with the state as it is now, and make it live.

    Args:
        served: Model and state.
        folder: What jobs have as `output.directory`.
        table: What the model was fitted on, if it is at hand.

    Returns:
        The folder of the run.

    Raises:
        PublishError: The disk refuses.
        SkippedError: Another publisher is at work.
    """
    digests = {} if table is None else {"transactions": digest_table(table)}

    def write(run: Path) -> None:
        bundle = save_fraud_model(served.model, run / "model", data_digests=digests)
        save_state(served.state, run / "state", model_fingerprint=bundle.fingerprint)

    last_day = _EPOCH + timedelta(days=-(-served.state.until // 1) - 1)
    return publish_live(folder / _MODELS, last_day, write)


def open_saved(folder: Path) -> FraudScorer:
    """Open what was saved or published, with the latest state that the jobs left beside it.

    Args:
        folder: A published run, or a folder that jobs have as `output.directory`.

    Raises:
        ArtifactError: There is none, or it is damaged.
    """
    run = find_saved(folder, _MODELS)
    if run == folder or not (folder / _SCORES).is_dir():
        return load_fraud_scorer(run / "model", run / "state")
    model, bundle = load_fraud_model(run / "model")
    latest = load_state(run / "state", model_fingerprint=bundle.fingerprint)
    nights = [one for one in published_runs(folder / _SCORES) if not one.manifest.held]
    nights.sort(key=lambda one: (one.manifest.logical_date, one.manifest.sequence), reverse=True)
    for night in nights:
        try:
            state = load_state(night.folder / "state", model_fingerprint=bundle.fingerprint)
        except FingerprintMismatchError:  # scored by another model
            continue
        latest = state if state.until > latest.until else latest
        break
    return FraudScorer(model=model, state=latest)
