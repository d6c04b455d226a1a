"""What is live, since when and made from what, and the rollback to an earlier run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from recsys.errors import PublishError, RecsysError
from recsys.publishing import PublishedRun, live_run, published_runs, rollback, verify_run
from recsys.publishing.runs import POINTER_NAME


@dataclass(frozen=True, kw_only=True)
class OutputStatus:
    """One kind of output as it is now."""

    output: str
    """Its name on the command line."""
    live: PublishedRun | None
    """The run that readers see; None before the first."""
    since: datetime | None
    """When it became live."""
    sound: str
    """`yes`, or what is wrong with its files."""
    num_stored: int
    """Complete runs on the disk."""
    held: PublishedRun | None
    """The newest run that was held, if it is newer than the live one."""

    def lines(self) -> list[str]:
        """The status for people."""
        if self.live is None:
            lines = [f"{self.output}: nothing is live"]
        else:
            manifest = self.live.manifest
            since = f"{self.since:%Y-%m-%d %H:%M:%S} UTC"
            live = f"{self.output}: {manifest.logical_date} is live since {since}"
            stored = f"files sound: {self.sound}, {self.num_stored} stored"
            lines = [f"{live}, run {manifest.run_id}, {stored}"]
            lines += [f"  from {what} {value[:20]}" for what, value in manifest.provenance.items()]
        if self.held is not None:
            lines.append(f"  held: run {self.held.manifest.run_id}: {self.held.manifest.held}")
        return lines

    def to_dict(self) -> dict[str, object]:
        """The status as JSON values."""
        run = self.live
        return {
            "output": self.output,
            "run": None if run is None else str(run.folder),
            "day": None if run is None else run.manifest.logical_date,
            "since": None if self.since is None else self.since.isoformat(timespec="seconds"),
            "sound": self.sound,
            "made_from": {} if run is None else run.manifest.provenance,
            "stored": self.num_stored,
            "held": None if self.held is None else str(self.held.folder),
            "held_because": None if self.held is None else self.held.manifest.held,
        }


def status_of(output: str, root: Path) -> OutputStatus:
    """What is live in a folder of published runs; its files are checked."""
    runs, live = published_runs(root), live_run(root)
    newer = [run for run in runs if run.manifest.held and _is_newer(run, live)]
    sound, since = "nothing is published", None
    if live is not None:
        since = datetime.fromtimestamp((root / POINTER_NAME).stat().st_mtime, UTC)
        try:
            verify_run(live.folder)
            sound = "yes"
        except RecsysError as error:
            sound = str(error)
    return OutputStatus(
        output=output,
        live=live,
        since=since,
        sound=sound,
        num_stored=len(runs),
        held=newer[-1] if newer else None,
    )


def go_back(root: Path, run_id: str | None) -> PublishedRun:
    """Make a stored run live: the one named, or the one published before the live one.

    Raises:
        PublishError: There is no such run.
    """
    if run_id is None:
        run_id = _run_before(root).manifest.run_id
    return rollback(root, run_id)


def _run_before(root: Path) -> PublishedRun:
    runs, live = published_runs(root), live_run(root)
    if live is not None:
        earlier = [run for run in runs if not run.manifest.held and _is_newer(live, run)]
        if earlier:
            return earlier[-1]
    raise PublishError(
        f"{root}: expected a run that was published before the live one, got none; "
        "name one of the stored runs with --to"
    )


def _is_newer(run: PublishedRun, than: PublishedRun | None) -> bool:
    return than is None or run.manifest.sequence > than.manifest.sequence
