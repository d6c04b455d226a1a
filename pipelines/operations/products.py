"""Which of the two products a config file is for, and where its outputs lie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipelines.fraud.config import FraudJobConfig, load_fraud_config
from pipelines.recommender.config import JobConfig, load_job_config
from recsys.config import read_toml
from recsys.errors import ConfigError


def load_either_config(path: Path) -> JobConfig | FraudJobConfig:
    """The settings of a config file: the fraud scorer's if its data are transactions.

    Raises:
        ConfigError: The file is wrong.
    """
    data = read_toml(path).get("data", {})
    is_fraud = isinstance(data, Mapping) and "transactions" in data
    return load_fraud_config(path) if is_fraud else load_job_config(path)


def output_roots(config: JobConfig | FraudJobConfig) -> dict[str, Path]:
    """The folder of each kind of published output, by its name on the command line."""
    if isinstance(config, JobConfig):
        roots = [config.models, config.recommendations, config.similar_items]
    else:
        roots = [config.models, config.scores, config.account_vectors]
    return {root.name: root for root in (*roots, config.output.directory / "drift")}


def root_of(config: JobConfig | FraudJobConfig, output: str) -> Path:
    """The folder of one kind of output.

    Raises:
        ConfigError: There is no such kind.
    """
    roots = output_roots(config)
    if output not in roots:
        raise ConfigError(f"OUTPUT: expected one of {', '.join(roots)}, got {output!r}")
    return roots[output]
