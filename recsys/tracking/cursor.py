"""How far a run has been delivered."""

from __future__ import annotations

import dataclasses
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from recsys import files

_NAME = "cursor.json"


@dataclass(frozen=True, kw_only=True)
class Cursor:
    """Which events of a run were delivered, and where to.

    It is written after each event. A replay that was killed so repeats at most one event, and every
    event may be repeated. It is valid for one address: for another one the replay starts anew.
    """

    address: str
    """Where the run is delivered to, without secrets."""
    run_id: str = ""
    """The tracker's name for the run; empty before it was opened."""
    experiment_id: str = ""
    """The tracker's name for its experiment."""
    num_delivered: int = 0
    """Sequence number of the next event."""
    version: int | None = None
    """Number of the model version."""
    refused: tuple[str, ...] = ()
    """Errors of the events that the tracker will never accept, a line each."""
    refused_events: tuple[int, ...] = ()
    """Sequence numbers of these events."""

    def save(self, folder: Path) -> None:
        """Replace the cursor on disk atomically."""
        files.replace(folder / _NAME, json.dumps(dataclasses.asdict(self)).encode())


def load_cursor(folder: Path, address: str) -> Cursor:
    """The cursor of a run at an address; the beginning if there is none, or if it is damaged."""
    with suppress(OSError, ValueError, TypeError):
        fields = json.loads((folder / _NAME).read_bytes())
        cursor = Cursor(**fields)
        if cursor.address == address:
            return dataclasses.replace(
                cursor,
                refused=tuple(cursor.refused),
                refused_events=tuple(cursor.refused_events),
            )
    return Cursor(address=address)
