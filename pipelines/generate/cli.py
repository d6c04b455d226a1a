"""The commands `recsys generate`: logs to try settings on."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from pipelines.jobs.console import Reporter, print_result

Out = Annotated[Path, typer.Option(help="Folder to write; new or empty.")]
Days = Annotated[int, typer.Option(min=1, help="Days that the log spans.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed: the same gives the same log.")]


def add_generate_commands(app: typer.Typer) -> None:
    """Add `recsys generate interactions` and `recsys generate transactions`."""
    generate = typer.Typer(
        no_args_is_help=True, help="Logs with a known truth, to try settings on."
    )
    generate.command("interactions")(generate_interactions_command)
    generate.command("transactions")(generate_transactions_command)
    app.add_typer(generate, name="generate")


def generate_interactions_command(
    out: Out,
    users: Annotated[int, typer.Option(min=1, help="Users.")] = 1000,
    items: Annotated[int, typer.Option(min=1, help="Items.")] = 500,
    interactions: Annotated[int, typer.Option(min=1, help="Rows of the log.")] = 20_000,
    days: Days = 90,
    seed: Seed = 0,
) -> None:
    """Write a log of users who prefer the items of their own cluster, and a config.

    Users and items have one feature of each kind, which hints at the cluster.
    """
    from pipelines.generate.logs import generate_shop

    made = generate_shop(
        out, num_users=users, num_items=items, num_interactions=interactions, num_days=days,
        seed=seed,
    )  # fmt: skip
    Reporter().say(f"{made.num_rows:,} interactions; next: recsys train-recommender {made.config}")
    print_result({"job": "generate", "outcome": "WRITTEN", "config": str(made.config)})


def generate_transactions_command(
    out: Out,
    accounts: Annotated[int, typer.Option(min=1, help="Accounts.")] = 300,
    plants: Annotated[int, typer.Option(min=0, help="Frauds to plant, of several kinds.")] = 20,
    start: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], help="First day of the log.")
    ] = datetime(2026, 1, 1),  # noqa: DTZ001  a day, and Typer takes defaults so
    days: Days = 90,
    seed: Seed = 0,
) -> None:
    """Write transactions with planted fraud, their labels, what was planted, and a config.

    All fraud is in the last third of the days: learn from the days before, score the others.
    """
    from pipelines.generate.logs import generate_bank

    made = generate_bank(
        out, num_accounts=accounts, num_days=days, num_plants=plants, start=start.date(), seed=seed
    )
    Reporter().say(
        f"{made.num_rows:,} transactions, {plants} frauds planted after {made.trained_until}; "
        f"next: recsys train-fraud {made.config} --as-of {made.trained_until}"
    )
    print_result(
        {
            "job": "generate",
            "outcome": "WRITTEN",
            "config": str(made.config),
            "trained_until": str(made.trained_until),
            "last_day": str(made.last_day),
        }
    )
