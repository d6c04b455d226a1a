"""Synthetic logs: the same truth for the same arguments, and it shows in the data."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from recsys.datasets.checks.validation import validate_dataset
from recsys.datasets.synthetic.interactions import SyntheticLog, generate_interactions
from recsys.errors import ConfigError


def _generate(**changes: object) -> SyntheticLog:
    sizes: dict[str, object] = {
        "num_users": 300,
        "num_items": 200,
        "num_interactions": 20_000,
        "num_clusters": 5,
        "seed": 7,
    }
    return generate_interactions(**(sizes | changes))  # type: ignore[arg-type]


def _pairs(log: SyntheticLog) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of the user and the item of each interaction; ids count from 1."""
    table = log.dataset.interactions
    return table["user_id"].to_numpy() - 1, table["item_id"].to_numpy() - 1


@pytest.mark.parametrize("id_type", ["int64", "string"])
def test_a_synthetic_log_is_a_faultless_dataset(id_type: str) -> None:
    """Tables pass validation; ids have the type asked for, strings with leading zeros."""
    dataset = _generate(id_type=id_type).dataset

    report = validate_dataset(dataset, needs_time=True)

    assert report.refusals == ()
    assert report.num_rows == {"interactions": 20_000, "users": 300, "items": 200}
    assert report.features["items"]["vector"].num_terms == 16
    assert dataset.interactions.schema.field("user_id").type == getattr(pa, id_type)()
    if id_type == "string":
        assert pc.all(pc.starts_with(dataset.interactions["item_id"], "0")).as_py()


def test_the_same_arguments_give_the_same_log_and_another_seed_another() -> None:
    """Nothing but the arguments decides."""
    first, same, other = _generate(), _generate(), _generate(seed=8)

    assert first.dataset.interactions == same.dataset.interactions
    assert first.dataset.users == same.dataset.users
    assert first.dataset.items == same.dataset.items
    assert first.dataset.interactions != other.dataset.interactions


def test_users_prefer_the_items_of_their_own_cluster() -> None:
    """Four of five interactions stay within the cluster, and chance adds its part of the rest."""
    log = _generate(popularity_exponent=0.0)
    users, items = _pairs(log)

    own = log.user_clusters[users] == log.item_clusters[items]

    assert own.mean() == pytest.approx(0.8 + 0.2 / 5, abs=0.02)


def test_popularity_follows_the_exponent() -> None:
    """With Zipf the first tenth of the items draws far more than a tenth; at 0 it does not."""
    shares = {}
    for exponent in (0.0, 1.0):
        _, items = _pairs(_generate(popularity_exponent=exponent))
        counts = np.sort(np.bincount(items, minlength=200))[::-1]
        shares[exponent] = counts[:20].sum() / counts.sum()

    assert shares[0.0] < 0.2
    assert shares[1.0] > 0.4


def test_features_hint_at_the_cluster() -> None:
    """The category names the cluster nine times in ten; vectors lie nearest their own centre."""
    log = _generate()
    items = log.dataset.items
    assert items is not None
    named = np.array([int(name.split("-")[1]) for name in items["category"].to_pylist()])
    vectors_ID = np.array(items["vector"].to_pylist())
    centres_CD = np.stack([vectors_ID[log.item_clusters == own].mean(0) for own in range(5)])
    distances_IC = np.linalg.norm(vectors_ID[:, None] - centres_CD, axis=2)

    assert np.mean(named == log.item_clusters) == pytest.approx(0.92, abs=0.06)
    assert np.mean(distances_IC.argmin(1) == log.item_clusters) > 0.95


def test_events_are_in_order_and_within_the_days() -> None:
    """Times ascend and span the days asked for."""
    times = _generate(num_days=2).dataset.interactions["event_time"].to_numpy()

    assert (np.diff(times) >= np.timedelta64(0)).all()
    assert np.timedelta64(47, "h") < times[-1] - times[0] < np.timedelta64(48, "h")


@pytest.mark.parametrize("changes", [{"num_clusters": 201}, {"num_users": 0}, {"num_days": 0}])
def test_sizes_that_make_no_log_are_refused(changes: dict[str, object]) -> None:
    """Each cluster needs an item, and every size is at least one."""
    with pytest.raises(ConfigError, match="expected sizes of at least 1"):
        _generate(**changes)
