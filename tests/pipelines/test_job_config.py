"""The config file of the jobs: where paths start, and which sections have to agree."""

from __future__ import annotations

from pathlib import Path

import pytest

import pipelines
from pipelines.recommender.config import JobConfig, load_job_config
from recsys.config import config_to_dict, parse_config, read_toml
from recsys.errors import ConfigError

CONFIGS = [
    path
    for path in sorted((Path(pipelines.__file__).parent / "configs").glob("*.toml"))
    if "interactions" in read_toml(path)["data"]
]
"""Configs of the recommender; `test_fraud_config.py` reads those of the fraud jobs."""


def written(folder: Path, text: str) -> Path:
    """A config file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "shop.toml"
    path.write_text(text)
    return path


def test_paths_start_where_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative paths of the file start at its folder, those of options at the working directory."""
    path = written(
        tmp_path / "configs",
        '[data]\ninteractions = "../data/log.parquet"\nitems = "/items.parquet"\n'
        '[lists]\ndeny = "deny.csv"\n[output]\ndirectory = "runs"\n',
    )
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    config = load_job_config(path, data={"users": Path("users.csv"), "items": None})

    assert config.data.interactions == tmp_path / "data" / "log.parquet"
    assert config.data.items == Path("/items.parquet")
    assert config.data.users == tmp_path / "here" / "users.csv"
    assert config.lists.deny == tmp_path / "configs" / "deny.csv"
    assert config.lists.eligible is None
    runs = tmp_path / "configs" / "runs"
    assert (config.models, config.recommendations, config.similar_items) == (
        runs / "models",
        runs / "recommendations",
        runs / "similar-items",
    )


def test_options_alone_make_a_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file everything has a default but the interactions."""
    monkeypatch.chdir(tmp_path)
    config = load_job_config(None, data={"interactions": Path("log.parquet")})
    assert config.data.interactions == tmp_path / "log.parquet"
    assert config.output.directory == tmp_path / "runs"
    with pytest.raises(ConfigError, match=r"^options: data: expected a table, got nothing"):
        load_job_config(None)


def test_settings_win_over_the_file(tmp_path: Path) -> None:
    """Options count, of a key the last one; other keys stay as the file has them."""
    path = written(tmp_path, '[data]\ninteractions = "a"\n[lists]\nk = 5\nfilter_seen = false\n')
    data = {"interactions": Path("/b")}
    config = load_job_config(path, overrides=["lists.k=6", "lists.k=7"], data=data)
    assert config.data.interactions == Path("/b")
    assert (config.lists.k, config.lists.filter_seen) == (7, False)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (
            '[evaluation]\nsegments = ["town"]\n[features.users]\nsex = "categorical"',
            r"evaluation.segments among the categorical features of users \(sex\), got 'town'; add",
        ),
        (
            '[evaluation]\nsegments = ["age"]\n[features.users]\nage = "numeric"',
            r"evaluation.segments among the categorical features of users \(none\), got 'age'; add",
        ),
        (
            "[index]\nprefix_dim = 48",
            r"index.prefix_dim among the widths .* \(256\), got 48; add it to model.prefix",
        ),
        ("[evaluation]\nk = 0", "evaluation.k: expected an integer of at least 1, got 0"),
    ],
)
def test_sections_have_to_agree(tmp_path: Path, lines: str, says: str) -> None:
    """What could only fail after hours of training is refused when the file is read."""
    path = written(tmp_path, f'[data]\ninteractions = "a"\n{lines}\n')
    with pytest.raises(ConfigError, match=says):
        load_job_config(path)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_configs_that_come_along_are_sound(path: Path) -> None:
    """Each config of this project can be read, and written down and read again without a loss."""
    config = load_job_config(path)
    again = parse_config(JobConfig, config_to_dict(config), source="again")
    assert again == config
    assert config.data.interactions.is_absolute()
