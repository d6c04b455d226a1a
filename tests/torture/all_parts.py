"""Every part of the torture: how many trials, what must not happen, how far it must reach."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from torture_part import Part, Result


def _of(module: str, name: str = "run", *, takes_trials: bool = True) -> Callable[..., Result]:
    """A function of a module that is imported when it is needed."""

    def run(trials: int, seed: int) -> Result:
        function = getattr(importlib.import_module(module), name)
        found: Result = function(trials, seed) if takes_trials else function(seed)
        return found

    return run


PARTS = [
    Part(
        name="Publishers killed at any call",
        run=_of("publish_kills", "kills"),
        trials=1000,
        short=60,
        zeros=("torn", "lost", "not recovered by one rerun"),
        least={"after the commit": 0.1, "kills of the rarest stage": 0.05},
    ),
    Part(
        name="Every n-th call refused by the disk, up to a clean pass",
        run=_of("publish_kills", "refusals"),
        trials=4,
        short=1,
        zeros=("silent", "torn", "not recovered by one rerun"),
        least={"told": 40},
    ),
    Part(
        name="Jobs that start at once",
        run=_of("publish_kills", "races"),
        trials=500,
        short=10,
        zeros=("others", "torn or twice", "pointer moved back"),
        least={},
        equal=("one winner",),
    ),
    Part(
        name="The real command, killed or stopped",
        run=_of("command_kills"),
        trials=60,
        short=2,
        zeros=("torn", "lost", "other ends", "not recovered by one rerun", "stopped too late"),
        least={"killed": 0.2, "stopped": 0.2},
    ),
    Part(
        name="Damaged files",
        run=_of("artifact_mutations"),
        trials=10_000,
        short=100,
        zeros=("silently wrong", "crashes", "not put back"),
        least={"refused": 0.5},
    ),
    Part(
        name="Hostile indexes with the right digest",
        run=_of("hostile_index"),
        trials=1000,
        short=5,
        zeros=("parents died", "other errors"),
        least={"refused by the child": 0.15, "refused by the parent": 0.15},
    ),
    Part(
        name="Drifted schemas",
        run=_of("drifted_schemas"),
        trials=1000,
        short=60,
        zeros=("silent casts", "tracebacks", "values in messages"),
        least={"refused": 0.2, "accepted": 0.1},
    ),
    Part(
        name="Inputs that change, or only their bytes",
        run=_of("nightly_inputs", "changes"),
        trials=500,
        short=10,
        zeros=("changes not seen", "work done again for nothing"),
        least={"changes": 0.3},
    ),
    Part(
        name="Nights that leave little or nothing",
        run=_of("nightly_inputs", "nothing"),
        trials=300,
        short=10,
        zeros=("other ends", "live and empty", "live for few", "seen or denied"),
        least={"published": 0.05, "held": 0.2},
    ),
    Part(
        name="Faults of the MLflow server, repeats of each of 12",
        run=_of("mlflow_faults"),
        trials=10,
        short=1,
        zeros=("failed_jobs", "lost_runs", "duplicates", "late_jobs"),
        least={"jobs": 12},
    ),
    Part(
        name="Trainings killed until they end",
        run=_of("training_kills"),
        trials=100,
        short=3,
        zeros=("unequal_runs",),
        least={"kills": 1, "kills_after_a_checkpoint": 0.3, "completed_runs": 0.05},
    ),
    Part(
        name="Bad challengers",
        run=_of("bad_challengers"),
        trials=200,
        short=10,
        zeros=("promoted",),
        least={},
    ),
    Part(
        name="Planted secrets and ids",
        run=_of("planted_secrets", takes_trials=False),
        trials=1,
        short=1,
        zeros=("secrets found", "ids found"),
        least={
            "ended as they should": 22,
            "databases searched": 2,
            "spooled files searched": 1,
            "files with ids where they belong": 1,
        },
    ),
]
