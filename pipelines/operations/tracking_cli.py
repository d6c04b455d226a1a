"""The command `recsys replay-tracking`: delivers what a tracking server missed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.jobs.console import Reporter, print_result

ConfigPath = Annotated[
    Path,
    typer.Argument(metavar="CONFIG", help="TOML config of the recommender or of the fraud scorer."),
]


def replay_tracking_command(
    config: ConfigPath,
    any_address: Annotated[
        bool,
        typer.Option(
            "--any-address", help="Deliver runs that were started with another tracking.uri too."
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only warnings and errors.")] = False,
) -> None:
    """Deliver the runs that MLflow missed while it was down; each arrives once."""
    from pipelines.operations.products import load_either_config
    from recsys.tracking import replay_spool, spool_folder

    settings, reporter = load_either_config(config).tracking, Reporter(quiet=quiet)
    report = replay_spool(settings, spool_folder(settings), any_address=any_address)
    reporter.say(f"delivered: {report.num_delivered:,} runs; waiting: {report.num_waiting:,}")
    if report.problem is not None:
        reporter.warn(report.problem)
    print_result(
        {
            "job": "replay-tracking",
            "outcome": "PASSED" if report.problem is None else "WAITING",
            "delivered": report.num_delivered,
            "waiting": report.num_waiting,
            "waiting_elsewhere": report.num_elsewhere,
            "refused_events": report.num_refused,
            "problem": report.problem,
        }
    )


def add_tracking_command(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("replay-tracking")(replay_tracking_command)
