"""What a person sees: bars on a terminal, plain lines elsewhere, brackets as they are."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from pipelines.jobs.console import Reporter, json_text, print_result
from recsys.training import BatchProgress, EpochResult

BATCH = BatchProgress(epoch=2, num_epochs=9, share_done=0.5, examples_per_s=123_456.0)
EPOCH = EpochResult(epoch=2, loss=1.25, duration_s=1.0, examples_per_s=98_765.0, validation=0.125)


def reporter(*, terminal: bool, quiet: bool = False) -> tuple[Reporter, io.StringIO]:
    """A reporter and what it tells."""
    reported = io.StringIO()
    console = Console(file=reported, force_terminal=terminal, width=120, soft_wrap=True)
    return Reporter(quiet=quiet, console=console), reported


def train(teller: Reporter) -> None:
    """One batch and one epoch."""
    with teller.training():
        teller.batch(BATCH)
        teller.epoch(EPOCH)


def test_a_terminal_has_a_bar_with_the_speed() -> None:
    """On a terminal the bar shows epoch and interactions per second, and goes away in the end."""
    teller, reported = reporter(terminal=True)
    train(teller)
    assert "epoch 2/9" in reported.getvalue()
    assert "123,456 interactions/s" in reported.getvalue()
    before = reported.getvalue()
    teller.batch(BATCH)  # after the training nothing moves
    assert reported.getvalue() == before


@pytest.mark.parametrize("quiet", [False, True])
def test_elsewhere_epochs_are_plain_lines(*, quiet: bool) -> None:
    """A log file has a line an epoch and no escape codes, nothing at all when quiet."""
    teller, reported = reporter(terminal=False, quiet=quiet)
    train(teller)
    line = "  epoch 2: loss 1.2500, validation NDCG 0.1250, 98,765 interactions/s\n"
    assert reported.getvalue() == ("" if quiet else line)


def test_warnings_are_told_even_when_quiet() -> None:
    """Quiet leaves out what is only good to know."""
    teller, reported = reporter(terminal=False, quiet=True)
    teller.say("good to know")
    teller.warn("look here")
    assert reported.getvalue() == "warning: look here\n"


def test_brackets_are_no_markup() -> None:
    """Names of sections, and whatever stands in data, are printed as they are, on one line."""
    teller, reported = reporter(terminal=False)
    text = "set [columns] event_time_zone; [red]not red[/red] " + "x" * 200
    teller.say(text)
    assert reported.getvalue() == f"{text}\n"


def test_a_result_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    """A scheduler reads one line, whatever the values are."""
    print_result({"job": "x", "text": "two\nlines", "none": None})
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {"job": "x", "text": "two\nlines", "none": None}


def test_results_are_json_that_every_parser_reads() -> None:
    """NaN and infinity, which JSON does not know, become null, at any depth."""
    values = {"a": float("nan"), "b": [1.5, float("inf")], "c": {"d": (float("-inf"), "x")}}
    assert json.loads(json_text(values)) == {"a": None, "b": [1.5, None], "c": {"d": [None, "x"]}}
