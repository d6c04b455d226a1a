"""Nights over inputs that change, and nights that leave nothing: by the jobs themselves.

Changed inputs: each trial changes some inputs of the lists in their content, or only in how they
lie on the disk, and asks the job what it follows from. It must tell the one from the other.

Empty outputs: each trial draws settings and rules, many of which leave nobody an item, and writes
lists. Whatever becomes live holds something for most users.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

Result = dict[str, int | float | str]

NAMES = ("interactions", "users", "deny", "eligible")
CONFIG = """
[data]
interactions = "interactions"
users = "users"
[features.users]
segment = "categorical"
[model]
embedding_dim = 8
hidden_dims = [8]
[lists]
deny = "deny"
eligible = "eligible"
k = 5
[tracking]
enabled = false
"""


class _Asked(Exception):  # noqa: N818  no error
    """The end of a job that was only asked what it follows from."""


def changes(num_trials: int, seed: int) -> Result:
    """Change content or only bytes of inputs; count what is taken for the other."""
    counts: Counter[str] = Counter()
    with _shop() as folder:
        before = _made_from(folder)
        for number in range(num_trials):
            rng = random.Random(f"{seed}-{number}")  # noqa: S311  not for secrets
            name = rng.choice(NAMES)
            kept = {file: file.read_bytes() for file in (folder / name).iterdir()}
            is_change = rng.random() < 0.5
            change = rng.choice(CONTENT if is_change else BYTES)
            change(folder, name, rng)
            is_seen = _made_from(folder) != before
            counts["changes"] += is_change
            counts["changes not seen"] += is_change and not is_seen
            counts["work done again for nothing"] += is_seen and not is_change
            for file in (folder / name).iterdir():
                file.unlink()
            for file, content in kept.items():
                file.write_bytes(content)
    return {"trials": num_trials, **{name: counts[name] for name in (
        "changes", "changes not seen", "work done again for nothing"
    )}}  # fmt: skip


def nothing(num_trials: int, seed: int) -> Result:
    """Write lists under rules that leave much or nothing; count what is live and should not be."""
    counts: Counter[str] = Counter()
    with _shop() as folder:
        for number in range(num_trials):
            rng = random.Random(f"{seed}-{number}")  # noqa: S311  not for secrets
            _draw_rules(folder, rng)
            outcome, status = _written(folder, rng)
            counts[outcome] += 1
            if outcome == "published":
                counts["live and empty"] += not status["rows"]
                counts["live for few"] += 2 * status["empty_lists"] > status["users"]
                counts["seen or denied"] += _num_wrong(folder, Path(str(status["file"])))
    return {"trials": num_trials, **{name: counts[name] for name in (
        "published", "held", "other ends", "live and empty", "live for few", "seen or denied"
    )}}  # fmt: skip


def _more_rows(folder: Path, name: str, _rng: random.Random) -> None:
    table = _table(folder, name)[:2]
    if name == "users":
        key = table.column_names.index("user_id")
        table = table.set_column(key, "user_id", pa.array([90_001, 90_002], pa.int64()))
    pq.write_table(table, folder / name / "z.parquet")


def _fewer_rows(folder: Path, name: str, _rng: random.Random) -> None:
    file = sorted((folder / name).iterdir())[0]
    pq.write_table(pq.read_table(file)[1:], file)


def _other_file(folder: Path, name: str, _rng: random.Random) -> None:
    """A link to other content in place of a file."""
    file = sorted((folder / name).iterdir())[0]
    other = folder / f"{name}-elsewhere.parquet"
    pq.write_table(pq.read_table(file)[2:], other)
    file.unlink()
    file.symlink_to(other)


def _touched(folder: Path, name: str, rng: random.Random) -> None:
    for file in (folder / name).iterdir():
        os.utime(file, (rng.randrange(10**9), rng.randrange(10**9)))


def _packed(folder: Path, name: str, rng: random.Random) -> None:
    for file in (folder / name).iterdir():
        table = pq.read_table(file)
        pq.write_table(table, file, compression="zstd", row_group_size=rng.randint(1, 50))


def _cut_otherwise(folder: Path, name: str, rng: random.Random) -> None:
    table = _table(folder, name)
    for file in (folder / name).iterdir():
        file.unlink()
    cut = rng.randint(1, table.num_rows - 1)
    pq.write_table(table[:cut], folder / name / "a.parquet")
    pq.write_table(table[cut:], folder / name / "b.parquet")


def _linked(folder: Path, name: str, _rng: random.Random) -> None:
    """The same content behind a link."""
    file = sorted((folder / name).iterdir())[0]
    other = folder / f"{name}-the-same.parquet"
    other.write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(other)


Change = Callable[[Path, str, random.Random], None]
CONTENT: tuple[Change, ...] = (_more_rows, _fewer_rows, _other_file)
BYTES: tuple[Change, ...] = (_touched, _packed, _cut_otherwise, _linked)


def _table(folder: Path, name: str) -> pa.Table:
    return pa.concat_tables(pq.read_table(file) for file in sorted((folder / name).iterdir()))


@contextmanager
def _shop() -> Iterator[Path]:
    """A shop of folders with a published model."""
    from pipelines.recommender.config import load_job_config
    from recsys.datasets.loading import load_dataset
    from recsys.datasets.synthetic.interactions import generate_interactions
    from recsys.publishing import publish
    from recsys.recommender.fitting.select import default_selection
    from recsys.recommender.fitting.train import fit_recommender
    from recsys.recommender.model_bundle import save_model
    from recsys.recommender.serving import build_index

    log = generate_interactions(
        num_users=60, num_items=30, num_interactions=500, num_clusters=3, seed=1
    ).dataset
    tables = {
        "interactions": log.interactions,
        "users": log.users.select(["user_id", "segment"]),
        "deny": log.interactions.select(["user_id", "item_id"])[:20],
        "eligible": pa.table({"item_id": pc.unique(log.interactions["item_id"])}),
    }
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name, table in tables.items():
            (folder / name).mkdir()
            pq.write_table(table, folder / name / "a.parquet")
        (folder / "shop.toml").write_text(CONFIG)
        config = load_job_config(folder / "shop.toml")
        settings = replace(config.recommender, training=replace(config.training, num_epochs=1))
        data = load_dataset(config.data, config.columns, config.features)
        model, _ = fit_recommender(data, settings, default_selection(settings))

        def write(run: Path) -> None:
            bundle = save_model(model, run / "model", data_digests={})
            index = build_index(model, config.index, model_fingerprint=bundle.fingerprint, seed=0)
            index.save(run / "index")

        publish(config.models, date(2024, 3, 31), write, run_id="live")
        with mock.patch("recsys.recommender.index.item_index.check_in_child"):
            yield folder


def _made_from(folder: Path) -> dict[str, str]:
    """What the lists would follow from."""
    from pipelines.jobs.job_run import JobRun

    found: dict[str, str] = {}

    def stop(_job: JobRun, _day: date, provenance: Mapping[str, str]) -> None:
        found.update(provenance)
        raise _Asked

    with mock.patch.object(JobRun, "skip_if_done", stop):
        try:
            _job(folder)
        except _Asked:
            return found
    raise AssertionError("the job never asked")


def _job(folder: Path, **lists: object) -> dict[str, object]:
    """Write the lists."""
    from pipelines.jobs.console import Reporter
    from pipelines.recommender.config import load_job_config
    from pipelines.recommender.write_lists import write_recommendations_job

    config = load_job_config(folder / "shop.toml")
    config = replace(config, lists=replace(config.lists, **lists))
    return write_recommendations_job(config, None, Reporter(quiet=True), force=True)


def _draw_rules(folder: Path, rng: random.Random) -> None:
    """Few or no eligible items, ids of another form, pairs that take nearly all away."""
    log = pq.read_table(folder / "interactions" / "a.parquet")
    users, items = pc.unique(log["user_id"]).to_pylist(), pc.unique(log["item_id"]).to_pylist()
    eligible = rng.sample(items, rng.choice((0, 1, 2, 5, len(items))))
    if rng.random() < 0.2:
        eligible = [item + 10**6 for item in eligible]
    denied_items = rng.sample(items, rng.choice((0, 1, len(items) - 1, len(items))))
    denied_users = rng.sample(users, rng.choice((0, 3, len(users) // 2, len(users))))
    pairs = [(user, item) for user in denied_users for item in denied_items]
    deny = pa.table({
        "user_id": pa.array([user for user, _ in pairs], pa.int64()),
        "item_id": pa.array([item for _, item in pairs], pa.int64()),
    })  # fmt: skip
    pq.write_table(deny, folder / "deny" / "a.parquet")
    table = pa.table({"item_id": pa.array(eligible, pa.int64())})
    pq.write_table(table, folder / "eligible" / "a.parquet")


def _written(folder: Path, rng: random.Random) -> tuple[str, dict[str, object]]:
    from recsys.errors import HeldError

    lists = {"k": rng.choice((1, 5, 30, 10**6)), "filter_seen": True}
    try:
        return "published", _job(folder, **lists)
    except HeldError:
        return "held", {}
    except Exception:  # noqa: BLE001  any other end is a fault
        return "other ends", {}


def _num_wrong(folder: Path, file: Path) -> int:
    """Rows of lists that hold what their user had, or must not get."""
    keys = partial(_keys, columns=("user_id", "item_id"))
    wrong = keys(_table(folder, "interactions")) | keys(_table(folder, "deny"))
    return len(wrong & keys(pq.read_table(file)))


def _keys(table: pa.Table, columns: tuple[str, str]) -> set[tuple[object, object]]:
    return set(zip(*(table[name].to_pylist() for name in columns), strict=True))
