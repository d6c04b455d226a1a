"""What is live, since when and from what, and the runs that can be made live instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from recsys.errors import PublishError, RecsysError
from recsys.publishing import PublishedRun, current_run, live_run, published_runs, verify_run
from recsys.publishing.runs import POINTER_NAME

_DIGEST_LENGTH = 12
"""Letters of a digest that people are shown; names of runs are shown whole, to be copied."""


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
    others: Sequence[PublishedRun]
    """The other complete runs on the disk, in order of publication."""
    held: PublishedRun | None
    """The newest run that was held, if it is newer than the live one."""

    def lines(self) -> Iterator[str]:
        """The status for people."""
        if self.live is None:
            yield f"{self.output}: nothing is live"
        else:
            manifest = self.live.manifest
            yield f"{self.output}: {manifest.logical_date} is live, run {manifest.run_id}"
            if manifest.note:
                yield f"  {manifest.note}"
            yield f"  since {self.since:%Y-%m-%d %H:%M:%S} UTC, files sound: {self.sound}"
            yield f"  from {', '.join(map(_source, manifest.provenance.items()))}"
        if self.others:
            yield f"  `recsys rollback CONFIG {self.output} --to RUN` takes"
        for run in reversed(self.others):
            reported = f"held: {run.manifest.held}" if run.manifest.held else "published"
            yield f"    {run.manifest.run_id} of {run.manifest.logical_date}, {reported}"

    def to_dict(self) -> dict[str, object]:
        """The status as JSON values."""
        run, held = self.live, self.held
        return {
            "output": self.output,
            "run": None if run is None else str(run.folder),
            "day": None if run is None else run.manifest.logical_date,
            "since": None if self.since is None else self.since.isoformat(timespec="seconds"),
            "sound": self.sound,
            "note": None if run is None else run.manifest.note or None,
            "made_from": {} if run is None else run.manifest.provenance,
            "stored": len(self.others) + (run is not None),
            "held": None if held is None else str(held.folder),
            "held_because": None if held is None else held.manifest.held,
            "others": [
                {
                    "run": one.manifest.run_id,
                    "day": one.manifest.logical_date,
                    "held_because": one.manifest.held or None,
                }
                for one in self.others
            ],
        }


def status_of(output: str, root: Path) -> OutputStatus:
    """What is live in a folder of published runs; its files are checked."""
    runs, live = published_runs(root), live_run(root)
    sound, since = "nothing is published", None
    if live is not None:
        since = datetime.fromtimestamp((root / POINTER_NAME).stat().st_mtime, UTC)
        try:
            verify_run(live.folder)
            sound = "yes"
        except RecsysError as error:
            sound = str(error)
    elif (root / POINTER_NAME).exists():
        sound = _why_unreadable(root)
    return OutputStatus(
        output=output,
        live=live,
        since=since,
        sound=sound,
        others=tuple(run for run in runs if not run.is_current),
        held=newest_held(runs),
    )


def newest_held(runs: Sequence[PublishedRun]) -> PublishedRun | None:
    """The newest of the runs that were held, if it is newer than the live one."""
    live = next((run for run in runs if run.is_current), None)
    newer = [
        run
        for run in runs
        if run.manifest.held and (live is None or run.manifest.sequence > live.manifest.sequence)
    ]
    return newer[-1] if newer else None


def _source(item: tuple[str, str]) -> str:
    what, value = item
    is_digest = len(value) == 64 and value.isalnum()
    return f"{what} {value[:_DIGEST_LENGTH] if is_digest else value}"


def _why_unreadable(root: Path) -> str:
    try:
        current_run(root)
    except PublishError as error:
        return str(error)
    return "the live run has no sound manifest"
