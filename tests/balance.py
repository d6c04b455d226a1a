"""How tests are shared out among processes: together what shares a fit, the longest first."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from xdist.scheduler import LoadScopeScheduling

LONGEST = (
    "test_torture.py",
    "test_dagster.py",
    "test_planted_fraud.py",
    "test_job_run.py",
    "test_explain.py",
    "test_fraud_in_training.py",
    "test_spool.py",
    "test_fraud_jobs.py",
    "test_promotion_job.py",
    "test_checkpoints.py",
    "test_fraud_late_labels.py",
    "test_supervised.py",
    "test_server.py",
)
"""Files that take longest; begun last, one of them would leave the other process idle."""
SHARED = {"test_planted_reasons.py": "test_explain.py"}
"""Files that use what another one has fitted."""
ALONE = ("test_torture.py",)
"""Files whose tests share nothing."""


def unit_of(node_id: str) -> str:
    """What has to run in one process with a test: its file, mostly."""
    path = node_id.partition("::")[0]
    folder, _, name = path.rpartition("/")
    return node_id if name in ALONE else f"{folder}/{SHARED.get(name, name)}"


def longest_first(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Tests with those of the longest files first, and those that share a fit side by side."""
    place = {name: number for number, name in enumerate(LONGEST)}

    def rank(item: pytest.Item) -> int:
        return place.get(SHARED.get(item.path.name, item.path.name), len(LONGEST))

    return sorted(items, key=rank)


class ByWhatIsShared(LoadScopeScheduling):
    """Hands a process the tests of one unit after the other, in the order of the tests."""

    def __init__(self, config: pytest.Config, log: object = None) -> None:
        config.option.loadscopereorder = False  # it would begin with what has most tests
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)
