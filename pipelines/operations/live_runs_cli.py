"""The commands `recsys status` and `recsys rollback`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.jobs.console import Reporter, print_result

ConfigPath = Annotated[
    Path,
    typer.Argument(metavar="CONFIG", help="TOML config of the recommender or of the fraud scorer."),
]


def status_command(config: ConfigPath) -> None:
    """Show what is live, since when, from which data and model, and what was held."""
    from pipelines.jobs.live_runs import status_of
    from pipelines.operations.products import load_either_config, output_roots

    settings = load_either_config(config)
    found = [status_of(name, root) for name, root in output_roots(settings).items()]
    reporter = Reporter()
    for one in found:
        for line in one.lines():
            reporter.say(line)
    outputs = [one.to_dict() for one in found]
    print_result({"job": "status", "outcome": "PASSED", "outputs": outputs})


def rollback_command(
    config: ConfigPath,
    output: Annotated[
        str,
        typer.Argument(metavar="OUTPUT", help="As `recsys status` names it, e.g. fraud-scores."),
    ],
    to: Annotated[
        str | None,
        typer.Option(help="Run to make live; what was live before the last move if not given."),
    ] = None,
) -> None:
    """Undo the last move of what is live, or make a run live that `recsys status` lists.

    Whatever made that move, a night or a rollback, what was live before it is live again; asked
    once more, it goes back one move further. The files of the run are checked first.
    """
    from pipelines.jobs.provenance import publication_order
    from pipelines.operations.products import load_either_config, root_of
    from recsys.publishing import rollback
    from recsys.tracking import point_alias

    settings, reporter = load_either_config(config), Reporter()
    run = rollback(root_of(settings, output), to)
    reporter.say(f"live: {run.folder}")
    problem = None
    if output == settings.models.name:
        problem = point_alias(settings.tracking, publication_order(run))
        if problem is not None:
            reporter.warn(problem)
    print_result(
        {
            "job": "rollback",
            "outcome": "PUBLISHED",
            "live": True,
            "output": output,
            "run": str(run.folder),
            "day": run.manifest.logical_date,
            "tracking_problem": problem,
        }
    )


def add_live_run_commands(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("status")(status_command)
    app.command("rollback")(rollback_command)
