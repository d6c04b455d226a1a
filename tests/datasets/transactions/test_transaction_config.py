"""Settings of transactions: what may be read, and the words of each refusal."""

from __future__ import annotations

import tomllib

import pytest
from pydantic import Field

from recsys.config import config_class, parse_config
from recsys.datasets.dataset import FeatureConfig
from recsys.datasets.transactions.config import (
    TransactionColumnsConfig,
    TransactionFeatures,
    check_transaction_features,
)
from recsys.errors import ConfigError


@config_class
class _Job:
    features: TransactionFeatures = Field(default_factory=dict)


def _parsed(toml: str) -> _Job:
    return parse_config(_Job, tomllib.loads(toml), source="job.toml")


def test_features_are_named_by_their_kind_alone() -> None:
    """A table of names and kinds is all that a config needs."""
    job = _parsed('[features]\ncategory = "categorical"\ndistance = "numeric"')

    assert job.features == {
        "category": FeatureConfig(kind="categorical"),
        "distance": FeatureConfig(kind="numeric"),
    }


@pytest.mark.parametrize("kind", ["multi_hot", "dense"])
def test_kinds_that_transactions_have_not_are_refused(kind: str) -> None:
    """Lists and vectors are refused by name, from TOML and from Python alike."""
    expected = f"features: expected feature 'tags' to be categorical or numeric, .* got {kind};"

    with pytest.raises(ConfigError, match=f"^job.toml: {expected}"):
        _parsed(f'[features]\ntags = "{kind}"')
    with pytest.raises(ConfigError, match=f"^{expected}"):
        check_transaction_features({"tags": FeatureConfig(kind=kind)})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name",
    [
        "transaction_id",
        "account_id",
        "counterparty_id",
        "event_time",
        "amount",
        "currency",
        "is_fraud",
        "reason",
    ],
)
def test_features_cannot_take_the_name_of_a_standard_column(name: str) -> None:
    """The clash is refused with another name to use."""
    with pytest.raises(ConfigError, match=f"another name for feature '{name}'.*my_{name} = "):
        _parsed(f'[features]\n{name} = "categorical"')


def test_an_unknown_zone_is_refused() -> None:
    """A zone that does not exist is named beside ones that do."""
    assert TransactionColumnsConfig(event_time_zone="Asia/Kolkata").event_time_zone
    with pytest.raises(ConfigError, match=r"event_time_zone: expected a time zone .*'Mars/Base'"):
        TransactionColumnsConfig(event_time_zone="Mars/Base")
