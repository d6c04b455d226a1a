"""Runs, figures and models in MLflow; the only package that imports it, and only when used."""

from recsys.tracking.client import TrackingConfig
from recsys.tracking.environment import core_versions
from recsys.tracking.runs import TrackedRun, start_run
from recsys.tracking.served import ServedModel, served_fraud_model, served_recommender

__all__ = [
    "ServedModel",
    "TrackedRun",
    "TrackingConfig",
    "core_versions",
    "served_fraud_model",
    "served_recommender",
    "start_run",
]
