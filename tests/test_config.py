"""Configs: what is written is what is meant, or one line says why not."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, model_validator

from recsys.config import apply_overrides, config_class, config_to_dict, parse_config, read_toml
from recsys.errors import ConfigError


@config_class
class EngineConfig:
    """A config with one field of each kind."""

    embedding_dim: int = Field(default=64, gt=0, le=4096)
    learning_rate: float = Field(default=1e-3, gt=0)
    layers: tuple[int, ...] = (128, 64)
    loss: Literal["softmax", "bpr"] = "softmax"
    shuffle: bool = True
    checkpoint: Path | None = None


@config_class
class TermConfig:
    """A config that a bare string stands for."""

    kind: Literal["small", "large"] = "small"
    factor: int = 1

    @model_validator(mode="before")
    @classmethod
    def _kind_alone(cls, value: object) -> object:
        return {"kind": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _small_has_no_factor(self) -> TermConfig:
        if self.kind == "small" and self.factor > 1:
            raise ValueError("expected no factor, as the kind is small")
        return self


@config_class
class RunConfig:
    """A config of configs."""

    name: str
    engine: EngineConfig = EngineConfig()
    terms: dict[str, TermConfig] = Field(default_factory=dict)


def _refusal(mapping: dict[str, object]) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(RunConfig, mapping, source="run.toml")
    return str(caught.value)


configs = st.builds(
    RunConfig,
    name=st.text(),
    engine=st.builds(
        EngineConfig,
        embedding_dim=st.integers(1, 4096),
        learning_rate=st.floats(1e-9, 1e9),
        layers=st.lists(st.integers()).map(tuple),
        loss=st.sampled_from(["softmax", "bpr"]),
        shuffle=st.booleans(),
        checkpoint=st.none() | st.text("ab/", min_size=1).map(Path),
    ),
    terms=st.dictionaries(st.text(), st.builds(TermConfig, kind=st.just("large"))),
)


@given(configs)
def test_a_config_survives_the_way_through_json(config: RunConfig) -> None:
    """parse_config reads back what config_to_dict writes."""
    assert parse_config(RunConfig, config_to_dict(config), source="") == config


def test_typed_text_becomes_typed_values() -> None:
    """Integers stand for floats, arrays for tuples, strings for paths and for shorthands."""
    engine = {"learning_rate": 1, "layers": [8], "checkpoint": "a/b"}
    config = parse_config(
        RunConfig, {"name": "x", "engine": engine, "terms": {"t": "large"}}, source=""
    )

    assert isinstance(config.engine.learning_rate, float)
    assert config.engine.layers == (8,)
    assert config.engine.checkpoint == Path("a/b")
    assert config.terms["t"] == TermConfig(kind="large")


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ({"embeding_dim": 3}, "embeding_dim: unknown key; did you mean 'embedding_dim'?"),
        ({"embedding_dim": "64"}, "embedding_dim: expected an integer, got the string '64'"),
        ({"embedding_dim": 1.0}, "embedding_dim: expected an integer, got 1.0"),
        ({"embedding_dim": True}, "embedding_dim: expected an integer, got true"),
        ({"embedding_dim": -3}, "embedding_dim: expected an integer greater than 0, got -3"),
        ({"embedding_dim": 5000}, "embedding_dim: expected an integer of at most 4096, got 5000"),
        ({"learning_rate": "x"}, "learning_rate: expected a number, got the string 'x'"),
        ({"learning_rate": float("nan")}, "learning_rate: expected a finite number, got nan"),
        ({"layers": 3}, "layers: expected an array, got 3"),
        ({"layers": [1, "2"]}, "layers.1: expected an integer, got the string '2'"),
        ({"loss": "mse"}, "loss: expected one of 'softmax' or 'bpr', got the string 'mse'"),
        ({"shuffle": 1}, "shuffle: expected a boolean (true or false), got 1"),
        ({"checkpoint": 1}, "checkpoint: expected a path in quotes, got 1"),
    ],
)
def test_a_wrong_value_is_named_in_one_line(engine: dict[str, object], message: str) -> None:
    """The message has the source, the dotted key, what was expected and what came."""
    assert _refusal({"name": "x", "engine": engine}) == f"run.toml: engine.{message}"


def test_other_faults_are_counted_and_unknown_keys_come_first() -> None:
    """A misspelt key is reported rather than the missing key that it causes."""
    faults: dict[str, object] = {"nmae": "x", "engine": {"loss": 1}}

    assert _refusal(faults) == "run.toml: nmae: unknown key; did you mean 'name'? (and 2 more)"


def test_a_missing_key_an_odd_key_and_a_wrong_table_are_named() -> None:
    """Faults of whole keys and tables are as clear as faults of values."""
    assert _refusal({}) == "run.toml: name: expected a string, got nothing; add the key"
    assert "engine: expected a table, got 3" in _refusal({"name": "x", "engine": 3})
    assert "zzz: unknown key; the known ones are engine, name, terms" in _refusal(
        {"name": "x", "zzz": 1}
    )
    assert "terms.t.kind: expected one of 'small' or 'large'" in _refusal(
        {"name": "x", "terms": {"t": "huge"}}
    )


def test_a_rule_between_fields_speaks_for_itself() -> None:
    """The message of a validator is passed on under the key of its table."""
    terms = {"t": {"kind": "small", "factor": 2}}

    assert _refusal({"name": "x", "terms": terms}) == (
        "run.toml: terms.t: expected no factor, as the kind is small"
    )


def test_a_config_made_in_python_is_checked_alike() -> None:
    """The constructor and dataclasses.replace raise ConfigError; fields cannot be set."""
    with pytest.raises(ConfigError, match="EngineConfig: embedding_dim: expected an integer great"):
        EngineConfig(embedding_dim=0)
    with pytest.raises(ConfigError, match="greater than 0, got -1"):
        dataclasses.replace(EngineConfig(), embedding_dim=-1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        EngineConfig().embedding_dim = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        EngineConfig(3)  # type: ignore[call-arg]


@config_class
class Checks:
    limit: int = Field(default=1, gt=0)


@config_class
class Renamed:
    checks: Checks = Field(default=Checks(), validation_alias="gates", serialization_alias="gates")


def test_an_older_name_is_read_and_kept_in_what_is_stored() -> None:
    """Files may have either name of a field, not both; a fault has the name that was used."""
    meant = Renamed(checks=Checks(limit=3))
    assert parse_config(Renamed, {"gates": {"limit": 3}}, source="f") == meant
    assert parse_config(Renamed, {"checks": {"limit": 3}}, source="f") == meant
    assert config_to_dict(meant) == {"gates": {"limit": 3}}
    assert dataclasses.replace(meant) == meant
    for name in ("gates", "checks"):
        with pytest.raises(ConfigError, match=rf"^f: {name}.limit: expected an integer greater"):
            parse_config(Renamed, {name: {"limit": 0}}, source="f")
        with pytest.raises(ConfigError, match=rf"^f: {name}: expected a table, got 3$"):
            parse_config(Renamed, {name: 3}, source="f")
        with pytest.raises(ConfigError, match=rf"^f: {name}.limits: unknown key; .*'limit'"):
            parse_config(Renamed, {name: {"limits": 3}}, source="f")
    with pytest.raises(ConfigError, match=r"^f: checks: is given twice, as 'gates' too; remove"):
        parse_config(Renamed, {"gates": {}, "checks": {}}, source="f")


def test_toml_is_read_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    """Files from editors that write a byte order mark are read alike."""
    for start in (b"", b"\xef\xbb\xbf"):
        (tmp_path / "c.toml").write_bytes(start + b"[model]\r\ndim = 3\r\n")
        assert read_toml(tmp_path / "c.toml") == {"model": {"dim": 3}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "got no such file"),
        (b"a = 1\nb = ?\n", "syntax error: Invalid value (at line 2, column 5)"),
        (b"a = '\xff'\n", "bytes that are not UTF-8 at offset 5"),
    ],
)
def test_a_file_that_is_not_toml_is_refused(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    """Missing files, syntax errors and foreign encodings give one line with the file's name."""
    path = tmp_path / "c.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        read_toml(path)

    assert str(caught.value).startswith(f"{path}: expected a TOML file, got ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_overrides_set_values_by_dotted_key_and_leave_the_original() -> None:
    """Values are TOML or else strings, tables are made on the way, the last one wins."""
    original: dict[str, object] = {"model": {"dim": 32, "loss": "softmax"}}

    result = apply_overrides(
        original,
        ["model.dim=64", "model.dim=128", "model.loss=bpr", "a.b=[1, 2]", '"x.y" = "1"', "e="],
    )

    assert result == {
        "model": {"dim": 128, "loss": "bpr"},
        "a": {"b": [1, 2]},
        "x.y": "1",
        "e": "",
    }
    assert original == {"model": {"dim": 32, "loss": "softmax"}}


@given(st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.floats(allow_nan=False))
def test_an_override_keeps_the_type_of_its_value(value: float) -> None:
    """A number or boolean written as TOML comes back as itself."""
    text = str(value).lower()

    result = apply_overrides({}, [f"a.b={text}"])

    assert result == {"a": {"b": value}}
    assert type(result["a"]["b"]) is type(value)  # type: ignore[index]


def test_an_override_cannot_smuggle_in_another_key() -> None:
    """Line breaks in a value stay within the value."""
    assert apply_overrides({}, ["a=1\nb=2"]) == {"a": "1\nb=2"}


@pytest.mark.parametrize(
    "override", ["model.dim", "=3", "a..b=1", "a b=1", "a\nb=1", "[x]\n[y]\na=1"]
)
def test_an_override_without_a_key_and_a_value_is_refused(override: str) -> None:
    """The message shows the override and an example of a right one."""
    with pytest.raises(ConfigError, match="expected key=value"):
        apply_overrides({}, [override])


def test_an_override_that_leads_into_a_value_is_refused() -> None:
    """A key below something that is no table is named with what is there."""
    with pytest.raises(ConfigError, match="expected a table at seed, got 3"):
        apply_overrides({"seed": 3}, ["seed.x=1"])
