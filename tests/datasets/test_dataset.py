"""Settings of a dataset, and where its columns came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys.config import config_to_dict, parse_config
from recsys.datasets.dataset import (
    ColumnsConfig,
    CsvConfig,
    DataConfig,
    FeatureConfig,
    FeaturesConfig,
    find_origin,
)
from recsys.errors import ConfigError


def test_a_kind_alone_is_a_feature() -> None:
    """In TOML a bare string is short for a feature of that kind, beside features in full."""
    table = {"items": {"genres": "multi_hot", "maker": {"kind": "categorical", "min_count": 5}}}

    features = parse_config(FeaturesConfig, table, source="")

    assert features.items["genres"] == FeatureConfig(kind="multi_hot")
    assert features.items["maker"].min_count == 5
    assert parse_config(FeaturesConfig, config_to_dict(features), source="") == features


@pytest.mark.parametrize(
    ("cls", "table", "message"),
    [
        (FeaturesConfig, {"items": {"g": "tag"}}, "items.g.kind: expected one of 'categorical'"),
        (FeaturesConfig, {"items": {"title": "categorical"}}, "expected another name for feature"),
        (FeaturesConfig, {"users": {"user_id": "categorical"}}, "expected another name for featur"),
        (FeatureConfig, {"kind": "numeric", "min_count": 2}, "expected no min_count"),
        (FeatureConfig, {"kind": "categorical", "separator": "|"}, "expected no separator"),
        (FeatureConfig, {"kind": "categorical", "min_count": 0}, "an integer of at least 1, got 0"),
        (ColumnsConfig, {"event_types": ["buy"]}, "expected event_type, the column to look in"),
        (ColumnsConfig, {"event_time_zone": "Mars"}, "expected a time zone such as 'UTC'"),
        (ColumnsConfig, {"event_time_unit": "h"}, "expected one of 's', 'ms', 'us' or 'ns'"),
        (ColumnsConfig, {"userid": "u"}, "userid: unknown key; did you mean 'user_id'?"),
        (CsvConfig, {"delimiter": "::"}, "delimiter: expected a string"),
        (CsvConfig, {"user_id_type": "int"}, "expected one of 'string' or 'int64'"),
        (DataConfig, {}, "interactions: expected a path in quotes, got nothing; add the key"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(
    cls: type, table: dict[str, object], message: str
) -> None:
    """Settings without effect, reserved names and unknown choices are named in one line."""
    with pytest.raises(ConfigError) as caught:
        parse_config(cls, table, source="my.toml")

    assert str(caught.value).startswith("my.toml: ")
    assert message in str(caught.value)


def test_origins_speak_of_the_users_own_names() -> None:
    """Standard names and feature names lead back to the file and column that the user named."""
    data = DataConfig(
        interactions=Path("log.parquet"), users=Path("u.csv"), items=Path("i.csv.gz"),
        item_title="name",
    )  # fmt: skip
    columns = ColumnsConfig(user_id="who", weight="stars")
    features = FeaturesConfig(items={"words": FeatureConfig(kind="multi_hot", column="text")})

    def place(table: str, column: str) -> tuple[str, str, bool]:
        origin = find_origin(table, column, data, columns, features)  # type: ignore[arg-type]
        return origin.file, origin.column, origin.is_text

    assert place("interactions", "user_id") == ("log.parquet", "who", False)
    assert place("interactions", "weight") == ("log.parquet", "stars", False)
    assert place("users", "user_id") == ("u.csv", "who", True)
    assert place("items", "title") == ("i.csv.gz", "name", True)
    assert place("items", "words") == ("i.csv.gz", "text", True)
    assert place("items", "") == ("i.csv.gz", "", True)
