"""The progress reporter of a job: progress bars on a terminal, plain log lines elsewhere."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from pipelines.jobs.streams import ErrorStream, write_to

if TYPE_CHECKING:
    from recsys.training import BatchProgress, EpochResult


def error_console(*, soft_wrap: bool = False) -> Console:
    """A console on the standard error that never fails."""
    return Console(
        file=cast("TextIO", ErrorStream()), highlight=False, markup=False, soft_wrap=soft_wrap
    )


@dataclass(eq=False)
class Reporter:
    """Reports progress on the standard error; the standard output is left to results."""

    quiet: bool = False
    """Whether only warnings and errors are printed."""
    console: Console = field(default_factory=lambda: error_console(soft_wrap=True))
    """The console to print on."""
    _progress: Progress | None = field(default=None, init=False)
    _unit: str = field(default="interactions", init=False)

    def say(self, message: str) -> None:
        """Print one line."""
        if not self.quiet:
            self.console.print(message, markup=False)

    def warn(self, message: str) -> None:
        """Print one line, even when quiet."""
        self.console.print(f"warning: {message}", markup=False)

    @contextmanager
    def training(self, unit: str = "interactions") -> Iterator[None]:
        """Show the progress of a training that runs in the block; `unit` is what it learns from."""
        self._unit = unit
        if self.quiet or not self.console.is_terminal:
            yield
            return
        bar = Progress(
            TextColumn("  epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
        )
        bar.add_task("", total=1.0, epoch="", speed="")
        self._progress = bar
        try:
            with bar:
                yield
        finally:
            self._progress = None

    def batch(self, done: BatchProgress) -> None:
        """Move the progress bar."""
        if self._progress is not None:
            self._progress.update(
                self._progress.task_ids[0],
                completed=done.share_done,
                epoch=f"{done.epoch}/{done.num_epochs}",
                speed=f"{done.examples_per_s:,.0f} {self._unit}/s",
            )

    def epoch(self, result: EpochResult) -> None:
        """Print the results of an epoch."""
        measure = "" if result.validation is None else f", validation NDCG {result.validation:.4f}"
        self.say(
            f"  epoch {result.epoch}: loss {result.loss:.4f}{measure}, "
            f"{result.examples_per_s:,.0f} {self._unit}/s"
        )


def print_result(values: Mapping[str, object]) -> None:
    """One JSON line on the standard output, for the scheduler that started the job."""
    lost = write_to(sys.stdout, json_text(values) + "\n")
    if lost:
        outcome = values.get("outcome", "told nowhere")
        write_to(sys.stderr, f"warning: the status line was lost: {lost}; {outcome} stands\n")


def json_text(values: object, *, indent: int | None = None) -> str:
    """JSON as every parser reads it: numbers that are not finite become null."""
    return json.dumps(_finite(values), indent=indent, default=str, allow_nan=False)


def _finite(value: object) -> object:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(key): _finite(one) for key, one in value.items()}
        case list() | tuple():
            return [_finite(one) for one in value]
        case _:
            return value
