"""The command `recsys check-drift`, of recommender and fraud scorer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.jobs.console import Reporter, print_result
from pipelines.jobs.options import parse_day

if TYPE_CHECKING:
    from pipelines.fraud.config import FraudJobConfig
    from pipelines.recommender.config import JobConfig

ConfigPath = Annotated[
    Path,
    typer.Argument(metavar="CONFIG", help="TOML config of the recommender or of the fraud scorer."),
]
Tables = Path | None


def check_drift_command(
    config: ConfigPath,
    interactions: Annotated[Tables, typer.Option(help="Interactions, if a recommender's.")] = None,
    users: Annotated[Tables, typer.Option(help="Users table, in place of the config's.")] = None,
    items: Annotated[Tables, typer.Option(help="Items table, in place of the config's.")] = None,
    transactions: Annotated[Tables, typer.Option(help="Transactions, if a fraud scorer's.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help='E.g. drift.fail_on="major".'),
    ] = None,
    as_of: Annotated[
        date | None,
        typer.Option(
            parser=parse_day,
            metavar="YYYY-MM-DD",
            help="Last day that is judged; yesterday by default.",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only warnings and errors.")] = False,
) -> None:
    """Compare the last days with the weeks before: inputs, embeddings and scores.

    A column drifts if its population stability index exceeds its limit, the bound of chance, and
    the largest index among the weeks before.
    """
    tables = {"interactions": interactions, "users": users, "items": items}
    settings = _load(config, overrides or [], tables, {"transactions": transactions})
    from pipelines.drift.check_drift import check_drift_job, raise_if_drifting

    result = check_drift_job(settings, as_of, Reporter(quiet=quiet))
    print_result(result.status)
    raise_if_drifting(result)


def add_drift_command(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("check-drift")(check_drift_command)


def _load(
    path: Path,
    overrides: list[str],
    recommender_tables: Mapping[str, Path | None],
    fraud_tables: Mapping[str, Path | None],
) -> JobConfig | FraudJobConfig:
    """The settings of a file: the fraud scorer's if it has transactions, else the recommender's.

    Raises:
        ConfigError: The file or an option is wrong.
    """
    from pipelines.fraud.config import load_fraud_config
    from pipelines.recommender.config import load_job_config
    from recsys.config import read_toml
    from recsys.errors import ConfigError

    data = read_toml(path).get("data", {})
    is_fraud = isinstance(data, Mapping) and "transactions" in data
    others = recommender_tables if is_fraud else fraud_tables
    for name, table in others.items():
        if table is not None:
            product = "fraud scorer" if is_fraud else "recommender"
            raise ConfigError(
                f"{path}: expected options of the {product}, which the file is of, got --{name}; "
                "remove the option"
            )
    if is_fraud:
        return load_fraud_config(path, overrides=overrides, data=fraud_tables)
    return load_job_config(path, overrides=overrides, data=recommender_tables)
