"""The command `recsys`. Libraries that are slow to import are imported by the commands."""

from __future__ import annotations

import atexit
import os
import sys
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from pipelines.drift.cli import add_drift_command
from pipelines.fraud.cli import add_fraud_commands
from pipelines.generate.cli import add_generate_commands
from pipelines.jobs.console import Reporter, print_result
from pipelines.jobs.ending import report_findings, run_to_the_end
from pipelines.jobs.options import parse_day
from pipelines.jobs.process import tune_process
from pipelines.jobs.streams import write_to
from pipelines.operations.live_runs_cli import add_live_run_commands
from pipelines.operations.tracking_cli import add_tracking_command
from pipelines.schedule.cli import add_schedule_commands

if TYPE_CHECKING:
    from pipelines.recommender.config import JobConfig

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="""Recommendations from interaction logs and fraud flags from transactions, made by
    scheduled jobs.

    A night is three commands over one config file, which [bold]recsys init[/bold] drafts:

      recsys validate shop.toml                 what the data holds, and what is wrong with it

      recsys train-recommender shop.toml        train, compare with baselines, publish, register

      recsys write-recommendations shop.toml    a list for every user, as Parquet

    The fraud scorer has a config of its own; pipelines/configs has examples:

      recsys validate-transactions bank.toml    what the table holds, and what is wrong with it

      recsys train-fraud bank.toml              learn what is normal, publish, register

      recsys score-accounts bank.toml           the day's scores, flags and reasons

      recsys explain-account bank.toml ID       why an account scored as it did, flagged or not
      recsys embed-accounts bank.toml           a vector of every account, for other models

    Exit codes: 0 published; 3 held: checked and refused; 7 skipped: done already, or another run
    is at work; others failed: 2 wrong setting, 4 missing or damaged artifact, 5 training failed,
    6 not published, 8 deadline passed. In all cases the last good output stays live.

    The last line that a job writes to the standard output is JSON.
    """,
)
benchmark = typer.Typer(no_args_is_help=True, help="Quality and cost on files of your own.")
app.add_typer(benchmark, name="benchmark")
add_fraud_commands(app, benchmark)
add_schedule_commands(app)
add_drift_command(app)
add_live_run_commands(app)
add_tracking_command(app)
add_generate_commands(app)

ConfigPath = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="TOML file; pipelines/configs has examples.")
]
Interactions = Annotated[
    Path | None, typer.Option(help="Interactions, in place of the config's: Parquet or CSV.")
]
Users = Annotated[Path | None, typer.Option(help="Users table, in place of the config's.")]
Items = Annotated[Path | None, typer.Option(help="Items table, in place of the config's.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One setting, e.g. training.num_epochs=5."),
]
AsOf = Annotated[
    date | None,
    typer.Option(
        parser=parse_day, metavar="YYYY-MM-DD", help="Day of the run in UTC; today if not given."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print only warnings and errors.")]
Force = Annotated[
    bool, typer.Option("--force", help="Run even if the day's output was made from the same.")
]


@app.command("init")
def init_command(
    interactions: Annotated[Path, typer.Option(help="Interactions: Parquet or CSV.")],
    out: Annotated[Path, typer.Option(help="Config file to write.")],
    users: Annotated[Path | None, typer.Option(help="Users table.")] = None,
    items: Annotated[Path | None, typer.Option(help="Items table.")] = None,
) -> None:
    """Inspect your tables and write a config to start from."""
    from pipelines.recommender.init import init_job

    init_job(interactions=interactions, users=users, items=items, out=out, reporter=Reporter())


@app.command("validate")
def validate_command(
    config: ConfigPath,
    interactions: Interactions = None,
    users: Users = None,
    items: Items = None,
    overrides: Overrides = None,
    as_of: AsOf = None,
    quiet: Quiet = False,
) -> None:
    """Report what the tables hold, and every reason why jobs would refuse them."""
    settings = _load(config, overrides, interactions, users, items)
    from pipelines.recommender.validate import validate_job

    report, found = validate_job(settings, as_of, Reporter(quiet=quiet))
    report_findings("validate", {**report.to_dict(), **found}, report.refusals)


@app.command("train-recommender")
def train_command(
    config: ConfigPath,
    interactions: Interactions = None,
    users: Users = None,
    items: Items = None,
    overrides: Overrides = None,
    as_of: AsOf = None,
    quiet: Quiet = False,
    force: Force = False,
) -> None:
    """Train the two towers, compare them with baselines, publish and register the model.

    Settings are chosen on a validation part, quality is measured on a later test part, and the
    published model is fitted on everything. The report says first whether the model lost.
    """
    settings = _load(config, overrides, interactions, users, items)
    from pipelines.recommender.train import train_recommender

    print_result(train_recommender(settings, as_of, Reporter(quiet=quiet), force=force))


@app.command("write-recommendations")
def write_command(
    config: ConfigPath,
    interactions: Interactions = None,
    users: Users = None,
    items: Items = None,
    overrides: Overrides = None,
    as_of: AsOf = None,
    quiet: Quiet = False,
    force: Force = False,
) -> None:
    """Write a list for every user, with the published model and the interactions of today.

    Users unknown to training get lists from their history, else from their features, else the most
    popular items; the column `source` says which.
    """
    settings = _load(config, overrides, interactions, users, items)
    from pipelines.recommender.write_lists import write_recommendations_job

    print_result(write_recommendations_job(settings, as_of, Reporter(quiet=quiet), force=force))


@app.command("similar-items")
def similar_command(
    config: ConfigPath,
    overrides: Overrides = None,
    as_of: AsOf = None,
    quiet: Quiet = False,
    force: Force = False,
) -> None:
    """Write the nearest other items of every item of the published model."""
    settings = _load(config, overrides, None, None, None)
    from pipelines.recommender.similar_items import similar_items_job

    print_result(similar_items_job(settings, as_of, Reporter(quiet=quiet), force=force))


@app.command("demo")
def demo_command(
    config: Annotated[
        Path | None, typer.Option(help="Config to run; the sample's if not given.")
    ] = None,
    fraud_config: Annotated[
        Path | None, typer.Option(help="Config of the fraud scorer; the sample's if not given.")
    ] = None,
    overrides: Overrides = None,
    quiet: Quiet = False,
) -> None:
    """Run recommender and fraud scorer on the sample data; show some lists and some alerts.

    Outputs go to the folder runs of the working directory; in a checkout, of the project. A setting
    of --set is for the product that has such a section, or for both.
    """
    from pipelines.demo import SAMPLE_CONFIG, demo_job, split_overrides
    from pipelines.fraud.config import load_fraud_config
    from pipelines.fraud.demo import SAMPLE_CONFIG as FRAUD_CONFIG

    ours, theirs = split_overrides(overrides or ())
    settings = _load(config or SAMPLE_CONFIG, ours, None, None, None)
    fraud = load_fraud_config(fraud_config or FRAUD_CONFIG, overrides=theirs)
    demo_job(settings, fraud, Reporter(quiet=quiet))


@benchmark.command("recommender")
def benchmark_recommender_command(
    train: Annotated[Path, typer.Option(help="Interactions to fit on.")],
    test: Annotated[Path, typer.Option(help="Interactions to rank.")],
    out: Annotated[Path, typer.Option(help="Folder for lists and metrics.json.")],
    valid: Annotated[
        Path | None, typer.Option(help="Part of the train file to select settings on.")
    ] = None,
    users: Users = None,
    items: Items = None,
    k: Annotated[int, typer.Option(min=1, max=2**31 - 1, help="Length of the lists.")] = 20,
    config: Annotated[
        Path | None, typer.Option(help="Settings, columns and features; defaults if not given.")
    ] = None,
    overrides: Overrides = None,
    quiet: Quiet = False,
) -> None:
    """Fit on a train file, rank the whole catalogue without train items, measure on a test file.

    Recall@K is divided by the number of the user's test items and NDCG@K by the ideal list cut at
    K; both are means over the users with test items.
    """
    settings = _load(config, overrides, train, users, items)
    from pipelines.recommender.benchmark import benchmark_recommender

    print_result(
        benchmark_recommender(
            settings, test=test, valid=valid, k=k, out=out, reporter=Reporter(quiet=quiet)
        )
    )


def main() -> None:
    """Run the command line; an error that a user can cure is one line and an exit code."""
    tune_process()
    run_to_the_end(partial(app, standalone_mode=False))


def run() -> NoReturn:
    """The console script: `main`, and an exit code that no thread of a library can change.

    Native threads that are still alive while the interpreter shuts down can abort it, and the exit
    code would be that of the abort. So the process exits as soon as all output was flushed.
    """
    code: int | str | None = 0
    try:
        main()
    except SystemExit as left:
        code = left.code
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        write_to(stream, "")
    os._exit(code if isinstance(code, int) else int(code is not None))


def _load(
    config: Path | None,
    overrides: list[str] | None,
    interactions: Path | None,
    users: Path | None,
    items: Path | None,
) -> JobConfig:
    from pipelines.recommender.config import load_job_config

    data = {"interactions": interactions, "users": users, "items": items}
    return load_job_config(config, overrides=overrides or (), data=data)


if __name__ == "__main__":
    run()
