"""The commands of the fraud scorer, part of the command `recsys`."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.jobs.console import Reporter, print_result
from pipelines.jobs.ending import report_findings
from pipelines.jobs.options import parse_day

if TYPE_CHECKING:
    from pipelines.fraud.config import FraudJobConfig

ConfigPath = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="TOML file; pipelines/configs has examples.")
]
Transactions = Annotated[
    Path | None, typer.Option(help="Transactions, in place of the config's: Parquet or CSV.")
]
Labels = Annotated[Path | None, typer.Option(help="Confirmed labels, in place of the config's.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One setting, e.g. alerts.alert_budget=20."),
]
AsOf = Annotated[
    date | None,
    typer.Option(
        parser=parse_day,
        metavar="YYYY-MM-DD",
        help="Day of the run in UTC; yesterday if not given.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print only warnings and errors.")]
Force = Annotated[
    bool, typer.Option("--force", help="Run even if the day's output was made from the same.")
]


def train_fraud_command(
    config: ConfigPath,
    transactions: Transactions = None,
    labels: Labels = None,
    overrides: Overrides = None,
    as_of: AsOf = None,
    quiet: Quiet = False,
    force: Force = False,
) -> None:
    """Learn what is normal for every account, publish and register the fraud scorer.

    No labels are needed. If the config names a table of confirmed labels, those known by then are
    used too.
    """
    settings = _load(config, overrides, transactions, labels)
    from pipelines.fraud.train import train_fraud

    print_result(train_fraud(settings, as_of, Reporter(quiet=quiet), force=force))


def score_accounts_command(
    config: ConfigPath,
    transactions: Transactions = None,
    labels: Labels = None,
    overrides: Overrides = None,
    as_of: AsOf = None,
    quiet: Quiet = False,
    force: Force = False,
) -> None:
    """Score the transactions and accounts of a day, flag accounts and say why.

    Days since the last scored one are processed first, so that every account's state is that of the
    evening before.
    """
    settings = _load(config, overrides, transactions, labels)
    from pipelines.fraud.score_accounts import score_accounts

    print_result(score_accounts(settings, as_of, Reporter(quiet=quiet), force=force))


def explain_account_command(
    config: ConfigPath,
    account_id: Annotated[str, typer.Argument(metavar="ID", help="The account.")],
    transactions: Transactions = None,
    labels: Labels = None,
    overrides: Overrides = None,
    as_of: AsOf = None,
    quiet: Quiet = False,
) -> None:
    """Say why an account scored as it did on a day, flagged or not; nothing is published."""
    settings = _load(config, overrides, transactions, labels)
    from pipelines.fraud.explain_account import explain_account

    print_result(explain_account(settings, account_id, as_of, Reporter(quiet=quiet)))


def embed_accounts_command(
    config: ConfigPath,
    transactions: Transactions = None,
    overrides: Overrides = None,
    as_of: AsOf = None,
    quiet: Quiet = False,
    force: Force = False,
) -> None:
    """Write a vector of every account, for models of yours, with the published model.

    A vector describes the account's transactions up to the day; recent ones count more. Vectors of
    different models cannot be compared.
    """
    settings = _load(config, overrides, transactions, None)
    from pipelines.fraud.embed_accounts import embed_accounts

    print_result(embed_accounts(settings, as_of, Reporter(quiet=quiet), force=force))


def validate_transactions_command(
    config: ConfigPath,
    transactions: Transactions = None,
    labels: Labels = None,
    overrides: Overrides = None,
    quiet: Quiet = False,
) -> None:
    """Report what a table of transactions holds, and every reason why jobs would refuse it."""
    settings = _load(config, overrides, transactions, labels)
    from pipelines.fraud.validate import validate_transactions

    report, found = validate_transactions(settings, Reporter(quiet=quiet))
    report_findings("validate-transactions", {**report.to_dict(), **found}, report.refusals)


def benchmark_fraud_command(
    transactions: Annotated[
        Path, typer.Option(help="Transactions with their labels: Parquet or CSV.")
    ],
    train_end: Annotated[
        date,
        typer.Option(parser=parse_day, metavar="YYYY-MM-DD", help="First day not learnt from, T0."),
    ],
    test_start: Annotated[
        date,
        typer.Option(
            parser=parse_day, metavar="YYYY-MM-DD", help="First day that is measured, T1."
        ),
    ],
    test_end: Annotated[
        date,
        typer.Option(
            parser=parse_day, metavar="YYYY-MM-DD", help="First day after those measured, T2."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the scores and metrics.json.")],
    config: Annotated[
        Path | None, typer.Option(help="Settings, columns and features; defaults if not given.")
    ] = None,
    label_delay_days: Annotated[
        float | None,
        typer.Option(min=0, help="Use labels from so many days on; none are used if not given."),
    ] = None,
    drop_known_compromised: Annotated[
        bool,
        typer.Option(
            "--drop-known-compromised",
            help="Leave accounts out of the measures once their fraud is known.",
        ),
    ] = False,
    overrides: Overrides = None,
    quiet: Quiet = False,
) -> None:
    """Learn before T0, keep the state moving through the gap, score and measure T1 to T2.

    Without a label delay labels are used only to measure. Baseline detectors are measured in the
    same run.
    """
    settings = _load(config, overrides, transactions, None)
    from pipelines.fraud.benchmark import BenchmarkDays, benchmark_fraud

    days = BenchmarkDays(train_end=train_end, test_start=test_start, test_end=test_end)
    print_result(
        benchmark_fraud(
            settings,
            days,
            label_delay_days=label_delay_days,
            drop_known_compromised=drop_known_compromised,
            out=out,
            reporter=Reporter(quiet=quiet),
        )
    )


def add_fraud_commands(app: typer.Typer, benchmark: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("validate-transactions")(validate_transactions_command)
    app.command("train-fraud")(train_fraud_command)
    app.command("score-accounts")(score_accounts_command)
    app.command("explain-account")(explain_account_command)
    app.command("embed-accounts")(embed_accounts_command)
    benchmark.command("fraud")(benchmark_fraud_command)


def _load(
    config: Path | None,
    overrides: list[str] | None,
    transactions: Path | None,
    labels: Path | None,
) -> FraudJobConfig:
    from pipelines.fraud.config import load_fraud_config

    data = {"transactions": transactions, "labels": labels}
    return load_fraud_config(config, overrides=overrides or (), data=data)
