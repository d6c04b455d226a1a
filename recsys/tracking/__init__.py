"""Runs, figures and models in MLflow; the only package that imports it, and only when used."""

from recsys.tracking.client import TrackingConfig, spool_folder
from recsys.tracking.environment import core_versions
from recsys.tracking.follow import point_alias
from recsys.tracking.replay import ReplayReport, replay_spool
from recsys.tracking.runs import TrackedRun, start_run
from recsys.tracking.served import ServedModel, served_fraud_model, served_recommender
from recsys.tracking.stores import Delivery

__all__ = [
    "Delivery",
    "ReplayReport",
    "ServedModel",
    "TrackedRun",
    "TrackingConfig",
    "core_versions",
    "point_alias",
    "replay_spool",
    "served_fraud_model",
    "served_recommender",
    "spool_folder",
    "start_run",
]
