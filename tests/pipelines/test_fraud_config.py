"""The config file of the fraud jobs: where paths start, which keys there are, and what it sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.fraud.config import FraudJobConfig, load_fraud_config
from pipelines.fraud.demo import SAMPLE_CONFIG
from recsys.config import config_to_dict, parse_config, read_toml
from recsys.errors import ConfigError

CONFIGS = sorted(
    path
    for path in SAMPLE_CONFIG.parent.glob("*.toml")
    if "transactions" in read_toml(path).get("data", {})
)
DATA = '[data]\ntransactions = "log.parquet"\n'


def written(folder: Path, text: str) -> Path:
    """A config file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "bank.toml"
    path.write_text(text)
    return path


def test_paths_start_where_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative paths of the file start at its folder, those of options at the working directory."""
    path = written(
        tmp_path / "configs",
        '[data]\ntransactions = "../data/log.parquet"\nlabels = "/labels.parquet"\n'
        '[output]\ndirectory = "runs"\n',
    )
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    config = load_fraud_config(path, data={"transactions": None, "labels": Path("new.csv")})

    assert config.data.transactions == tmp_path / "data" / "log.parquet"
    assert config.data.labels == tmp_path / "here" / "new.csv"
    assert load_fraud_config(path).data.labels == Path("/labels.parquet")
    runs = tmp_path / "configs" / "runs"
    assert (config.models, config.scores) == (runs / "fraud-models", runs / "fraud-scores")


def test_options_alone_make_a_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file everything has a default but the transactions."""
    monkeypatch.chdir(tmp_path)
    config = load_fraud_config(None, data={"transactions": Path("log.parquet")})
    assert config.data.transactions == tmp_path / "log.parquet"
    assert config.data.labels is None
    assert config.output.directory == tmp_path / "runs"
    with pytest.raises(ConfigError, match=r"^options: data: expected a table, got nothing"):
        load_fraud_config(None)


def test_settings_win_over_the_file(tmp_path: Path) -> None:
    """Options count, of a key the last one; other keys stay as the file has them."""
    path = written(tmp_path, DATA + "[alerts]\nalert_budget = 5\nthreshold = 0.9\n")
    config = load_fraud_config(path, overrides=["alerts.alert_budget=6", "alerts.alert_budget=7"])
    assert (config.alerts.alert_budget, config.alerts.threshold) == (7, 0.9)


def test_what_is_trained_is_what_the_sections_say(tmp_path: Path) -> None:
    """The settings of the scorer are those of the sections, and alerts and outputs are not."""
    path = written(
        tmp_path,
        "seed = 3\n" + DATA + "[autoencoder]\nnum_steps = 9\n[profiles]\ncold_transactions = 8\n"
        '[scoring]\nlearn_episodes = "never"\n[labels]\ndelay_days = 2.5\n',
    )
    config = load_fraud_config(path)
    fraud = config.fraud
    assert fraud.seed == 3
    assert fraud.autoencoder.num_steps == 9
    assert fraud.profiles.cold_transactions == 8
    assert fraud.scoring.learn_episodes == "never"
    assert fraud.labels.delay_days == 2.5
    other = load_fraud_config(path, overrides=["alerts.alert_budget=1", "output.keep=1"])
    assert other.fraud == fraud


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (
            "[alerts]\nalert_buget = 3",
            r"alerts.alert_buget: unknown key; did you mean 'alert_budget'\?",
        ),
        ("[profile]\nstrength = 3", r"profile: unknown key; did you mean 'profiles'\?"),
        ("[labels]\ndelay_days = -1", "labels.delay_days: expected .* 0"),
        ('[alerts]\nmode = "all"', "alerts.mode: expected .*'budget'.* got"),
        (
            '[features]\ntags = "multi_hot"',
            "features: .*'tags' to be categorical or numeric, .* got multi_hot; change its kind",
        ),
        (
            '[features]\namount = "numeric"',
            "features: .*another name for feature 'amount', which is a standard column",
        ),
        (
            "[autoencoder]\nmask_rate = 0.6\nswap_rate = 0.4",
            "autoencoder: .*mask_rate and swap_rate to sum to less than 1, got 0.6 and 0.4",
        ),
        ('[columns]\nevent_time_zone = "Paris"', "columns.event_time_zone: .* got 'Paris'"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, lines: str, says: str) -> None:
    """A wrong key or value ends a job when the file is read, in one line that names it."""
    path = written(tmp_path, f"{DATA}{lines}\n")
    with pytest.raises(ConfigError, match=says) as caught:
        load_fraud_config(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_configs_that_come_along_are_sound(path: Path) -> None:
    """Each config of this project can be read, and written down and read again without a loss."""
    config = load_fraud_config(path)
    again = parse_config(FraudJobConfig, config_to_dict(config), source="again")
    assert again == config
    assert config.data.transactions.is_absolute()


def test_there_are_configs_of_all_data_that_is_spoken_of() -> None:
    """The sample, Sparkov and the Handbook each have one."""
    assert {"handbook", "sparkov", "sparkov-sample"} <= {path.stem for path in CONFIGS}
