"""One run of a job: its lock, its deadlines, and whether its work is done already.

For each kind of output one run of a job works at a time. A watchdog ends a run whose stage exceeds
its deadline; publishing is safe at any instant, so the process may be ended at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from pydantic import Field

from pipelines.jobs.inputs import Inputs
from pipelines.jobs.job import new_run_id
from pipelines.jobs.provenance import output_digest, settings_and_version
from pipelines.jobs.streams import write_to
from recsys.config import config_class
from recsys.errors import CheckError, PublishError, SkippedError
from recsys.files import PRIVATE_FILE, PRIVATE_FOLDER
from recsys.publishing import PublishedRun, publish, published_runs
from recsys.publishing.protocol import take_lock

if TYPE_CHECKING:
    from recsys.checkpoints import Checkpoints

Written = TypeVar("Written")

DEADLINE_EXIT_CODE = 8
"""Exit code of a job that a stage's deadline has ended."""


@config_class
class DeadlinesConfig:
    """Seconds after which a stage of a job is given up; the last good output stays live."""

    load_s: float = Field(default=3600, gt=0, le=31_536_000)
    """Reading and checking tables."""
    work_s: float = Field(default=43_200, gt=0, le=31_536_000)
    """Training or scoring."""
    publish_s: float = Field(default=3600, gt=0, le=31_536_000)
    """Writing, auditing and making live; lists are scored while they are written."""


@dataclass(frozen=True, kw_only=True, eq=False)
class JobRun:
    """A running job."""

    name: str
    """Its command."""
    root: Path
    """Folder of its published runs."""
    deadlines: DeadlinesConfig
    """How long each stage may take."""
    force: bool = False
    """Whether work that is done already is done again."""
    inputs: Inputs = field(default_factory=Inputs)
    """Reads its tables and models, and remembers what was read."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Bound a block by the deadline of a stage: `load`, `work` or `publish`."""
        seconds: float = getattr(self.deadlines, f"{name}_s")
        watchdog = threading.Timer(seconds, _give_up, (self.name, name, seconds))
        watchdog.daemon = True
        watchdog.start()
        try:
            yield
        finally:
            watchdog.cancel()

    def checkpoints(self, provenance: Mapping[str, str]) -> Checkpoints:
        """Where a training that was interrupted goes on: its folder is named after its inputs.

        Folders of trainings from other data or settings go.
        """
        from recsys.checkpoints import Checkpoints

        text = json.dumps(dict(provenance), sort_keys=True)
        name = hashlib.sha256(text.encode()).hexdigest()[:32]
        work = self.root / ".work"
        for other in work.glob("*") if work.is_dir() else ():
            if other.name != name:
                shutil.rmtree(other, ignore_errors=True)
        return Checkpoints(work / name)

    def provenance(self, config: object) -> dict[str, str]:
        """Everything that the run follows from: what was read so far, settings, the version."""
        return {**self.inputs.digests(), **settings_and_version(config)}

    def skip_if_done(self, day: date, provenance: Mapping[str, str]) -> None:
        """Refuse to repeat what a stored run of the day was made from.

        A run that was held is checked again: what it was compared with may have changed.

        Raises:
            SkippedError: There is such a run.
        """
        found = find_done(self.root, day, provenance)
        if found is not None and not self.force:
            live = "live" if found.is_current else "stored, not live"
            raise SkippedError(
                f"{found.folder}: expected new data, settings or model for {day}, got what this "
                f"run was made from ({live}); add --force to run all the same"
            )

    def publish(
        self,
        day: date,
        write: Callable[[Path], Written],
        *,
        provenance: Mapping[str, str],
        keep: int,
        find_faults: Callable[[Path, Written], Sequence[CheckError]] = lambda _folder, _written: (),
        audit: Callable[[Path, Written], None] = lambda _folder, _written: None,
    ) -> Outcome[Written]:
        """Write, audit and publish outputs within the deadline of that stage.

        Args:
            day: The day that the outputs are for.
            write: Writes them into a folder, and says what was written.
            provenance: What they follow from.
            keep: How many runs stay.
            find_faults: Checks what was written; returns the reasons to hold it.
            audit: Reads what was written back, and refuses it by raising.
        """
        results: list[tuple[Written, Sequence[CheckError]]] = []

        def write_and_check(folder: Path) -> None:
            written = write(folder)
            results.append((written, find_faults(folder, written)))

        with self.stage("publish"):
            run = publish(
                self.root,
                day,
                write_and_check,
                hold=lambda _folder: results[0][1][0].reason if results[0][1] else "",
                run_id=new_run_id(),
                audit=lambda folder: audit(folder, results[0][0]),
                provenance=provenance,
                keep=keep,
            )
        written, faults = results[0]
        return Outcome(
            job=self.name, run=run, written=written, faults=faults, inputs=self.inputs.found()
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome(Generic[Written]):
    """The outcome of a job that wrote outputs."""

    job: str
    """Its command."""
    run: PublishedRun
    """The stored run."""
    written: Written
    """What its outputs hold."""
    faults: Sequence[CheckError]
    """Why it is not live, if it was held."""
    inputs: Mapping[str, object] = field(default_factory=dict)
    """What its tables were read from."""

    def raise_if_held(self) -> None:
        """Raise the first fault, with the command that makes the run live anyway."""
        raise_if_held(self.faults, self.run, self.run.folder.parents[2].name)

    def status(self, **figures: object) -> dict[str, object]:
        """The status line of a run that was published: what every job says, and figures."""
        return {
            "job": self.job,
            "outcome": "PUBLISHED",
            "live": self.run.is_current,
            "digest": output_digest(self.run),
            **figures,
            "inputs": self.inputs,
        }


def find_done(root: Path, day: date, provenance: Mapping[str, str]) -> PublishedRun | None:
    """The newest run of a day, if it was made from the same; None without one or without root."""
    if not root.is_dir():
        return None
    runs = [run for run in published_runs(root) if run.manifest.logical_date == str(day)]
    if not runs or runs[-1].manifest.provenance != dict(provenance) or runs[-1].manifest.held:
        return None
    return runs[-1]


@contextmanager
def job_run(
    name: str, root: Path, deadlines: DeadlinesConfig, *, force: bool = False
) -> Iterator[JobRun]:
    """Run a job alone: a second run for the same outputs ends at once.

    Raises:
        SkippedError: Another run is at work.
        PublishError: The folder cannot be made or locked.
    """
    try:
        root.mkdir(PRIVATE_FOLDER, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(root / ".job.lock", flags, PRIVATE_FILE)
    except OSError as error:
        place, reason = error.filename or root, error.strerror or error
        raise PublishError(
            f"{place}: cannot publish: {reason}; check the path and its permissions"
        ) from error
    try:
        take_lock(descriptor, root)
        yield JobRun(name=name, root=root, deadlines=deadlines, force=force)
    finally:
        os.close(descriptor)


def raise_if_held(faults: Sequence[CheckError], run: PublishedRun, output: str) -> None:
    """Raise the first fault of an output that was stored and not made live."""
    if faults:
        first, name = faults[0], run.manifest.run_id
        raise CheckError(
            rule=first.rule, place=str(run.folder), observed=first.observed, limit=first.limit,
            remedy=(
                "stored, not live; look at it, and where it is good all the same make it live with "
                f"`recsys rollback CONFIG {output} --to {name}`: later runs are compared with it"
            ),
        )  # fmt: skip


def _give_up(job: str, stage: str, seconds: float) -> None:
    """End the process, wherever it hangs."""
    message = (
        f"{job}: expected the stage {stage!r} to end within {seconds:g} s, got no end; "
        f"look for what holds it, or raise [deadlines] {stage}_s"
    )
    status = {
        "job": job,
        "outcome": "FAILED",
        "exit_code": DEADLINE_EXIT_CODE,
        "rule": f"deadlines.{stage}_s",
        "limit": f"{seconds:g} s",
        "message": message,
    }
    write_to(sys.stderr, f"error: {message}\n")
    write_to(sys.stdout, json.dumps(status) + "\n")
    os._exit(DEADLINE_EXIT_CODE)
