"""Ids of people and a password, planted in the inputs, and searched for in all that jobs write.

The password may stand nowhere. Ids may stand only where they are the product: tables, bundles, the
page of alerts and the report of a training. What is searched: the standard streams, MLflow's
database, artifacts and spool, and every file of the published runs.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1] / "pipelines"))

Result = dict[str, int | float | str]

ALLOWED = {
    "tables": (".parquet",),
    "bundles of models, states, indexes and MLflow models": (),
    "alert pages": ("alerts.html",),
    "reports of trainings": ("report.html",),
}
"""Where ids are the product."""

_BUNDLES = {"model", "state", "canary", "index"}
_ALWAYS_SEARCHED = {"metrics.json", "promotion.json", "_manifest.json"}


@dataclass(kw_only=True)
class Found:
    """What the commands did, and the places where something planted stood."""

    secrets: list[str]
    ids: list[str]
    codes: Counter[str] = field(default_factory=Counter)
    places: list[str] = field(default_factory=list)
    secret_places: list[str] = field(default_factory=list)
    num_bytes: int = 0
    num_with_ids: int = 0
    """Places that may have ids, and do: the search finds what is there."""
    searched: list[str] = field(default_factory=list)

    def look_at(self, place: str, data: bytes, *, may_have_ids: bool = False) -> None:
        """Search bytes for secrets, and for ids unless they belong there."""
        self.num_bytes += len(data)
        self.searched.append(place)
        if any(secret.encode() in data for secret in self.secrets):
            self.secret_places.append(place)
        if any(one.encode() in data for one in self.ids):
            self.num_with_ids += may_have_ids
            if not may_have_ids:
                self.places.append(place)


def run(seed: int) -> Result:
    """Run the commands of both halves, and search."""
    rng = random.Random(seed)  # noqa: S311  they only have to be distinct
    password = f"hunter-{rng.randrange(16**12):012x}"
    mark = f"PLANTED-{rng.randrange(16**4):04x}"
    found = Found(secrets=[password], ids=[mark])
    with tempfile.TemporaryDirectory() as name:
        for product in (_bank, _shop):
            folder = Path(name) / product.__name__.strip("_")
            folder.mkdir()
            inputs = set(folder.rglob("*"))
            for label, arguments, config in product(folder, mark, password):
                inputs |= {config, *folder.glob("*.parquet")}
                _command(found, label, arguments, password, folder)
            for path in sorted(set(folder.rglob("*")) - inputs):
                if path.is_file():
                    place = str(path.relative_to(name))
                    found.look_at(place, path.read_bytes(), may_have_ids=_is_product(path))
    return {
        "commands": sum(found.codes.values()),
        "ended as they should": found.codes["expected"],
        "searched, MB": round(found.num_bytes / 1e6, 1),
        "databases searched": sum(one.endswith("mlflow.db") for one in found.searched),
        "spooled files searched": sum("/store/spool/" in one for one in found.searched),
        "files with ids where they belong": found.num_with_ids,
        "secrets found": len(found.secret_places),
        "ids found": len(found.places),
        "allowed places": "; ".join(ALLOWED),
        **({"where": "; ".join(found.secret_places + found.places)[:900]}
           if found.secret_places or found.places else {}),
    }  # fmt: skip


def _is_product(path: Path) -> bool:
    if path.name in _ALWAYS_SEARCHED:
        return False
    if any(path.name.endswith(end) for ends in ALLOWED.values() for end in ends):
        return True
    return bool(_BUNDLES.intersection(path.parts))


def _command(
    found: Found, label: str, arguments: tuple[object, ...], password: str, folder: Path
) -> None:
    """Run the real command; its streams must not hold anything planted."""
    from warm_commands import warm_commands

    expected, *words = arguments
    done = warm_commands().run(
        *words,
        cwd=folder,
        env=os.environ | {
            "MLFLOW_TRACKING_USERNAME": "planted", "MLFLOW_TRACKING_PASSWORD": password,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "OMP_WAIT_POLICY": "PASSIVE",
        },
    )  # fmt: skip
    found.codes["expected" if done.returncode == expected else "unexpected"] += 1
    if done.returncode != expected:
        sys.stderr.write(f"{label}: {done.returncode}, not {expected}\n{done.stderr}\n")
    found.look_at(f"{label}, stdout", done.stdout.encode())
    found.look_at(f"{label}, stderr", done.stderr.encode())


Steps = Iterator[tuple[str, tuple[object, ...], Path]]


def _tracking(folder: Path, password: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """Options for a database, and for a server that is down, with a password in its address."""
    server = f"tracking.uri=http://planted:{password}@127.0.0.1:9"
    return ("--set", f"tracking.uri=sqlite:///{folder}/mlflow.db"), ("--set", server)


def _planted(table: pa.Table, mark: str, *names: str) -> pa.Table:
    for name in names:
        ids = pc.binary_join_element_wise(mark, name, table[name].cast(pa.string()), "-")
        table = table.set_column(table.column_names.index(name), name, ids)
    return table


def _bank(folder: Path, mark: str, password: str) -> Steps:
    """Transactions: all is sound, then labels contradict themselves, then ids are rewritten."""
    from bank import LAST, NIGHT, SMALL_SCORER, first_month, labels, of_day, write_bank

    sound = _planted(first_month(), mark, "account_id", "transaction_id")
    known = _planted(labels(), mark, "transaction_id")
    config = write_bank(folder, SMALL_SCORER, table=sound, labelled=known)
    database, server = _tracking(folder, password)
    quick, trained = ("--set", "autoencoder.num_steps=5"), NIGHT - timedelta(days=1)
    tight = ("--set", "tracking.max_delay_s=2")

    def job(code: int, name: str, *options: object) -> tuple[str, tuple[object, ...], Path]:
        return name, (code, name, config, *options), config

    yield job(0, "validate-transactions")
    yield job(0, "train-fraud", "--as-of", trained, *quick, *server, *tight)
    yield job(0, "train-fraud", "--as-of", trained, *quick, *database, "--force")
    yield job(0, "score-accounts", "--as-of", NIGHT, *server)
    yield job(7, "score-accounts", "--as-of", NIGHT)
    yield job(0, "check-drift", "--as-of", NIGHT, "--set", "drift.reference_days=21", *database)
    yield job(3, "score-accounts", "--as-of", LAST + timedelta(days=5))
    day = of_day(sound, LAST)
    odd = day.set_column(1, "account_id", pc.binary_join_element_wise(day["account_id"], ".0", ""))
    rest = sound.filter(pc.invert(pc.is_in(sound["transaction_id"], day["transaction_id"])))
    pq.write_table(pa.concat_tables([rest, odd]), folder / "transactions.parquet")
    yield job(3, "score-accounts", "--as-of", LAST)
    wrong = known.set_column(1, "is_fraud", pc.invert(known["is_fraud"]))
    pq.write_table(pa.concat_tables([known, wrong]), folder / "labels.parquet")
    yield job(3, "validate-transactions")
    yield job(0, "status")


def _shop(folder: Path, mark: str, password: str) -> Steps:
    """Interactions: all is sound, then users are missing, then repeated, then no integers."""
    from dataclasses import replace

    from shop import SMALL_MODEL, USER_FEATURES, shop_dataset, write_shop, write_table

    plain = shop_dataset("string")
    sound = replace(
        plain,
        interactions=_planted(plain.interactions, mark, "user_id"),
        users=_planted(plain.users, mark, "user_id"),
    )
    config = write_shop(folder, sound, "parquet", SMALL_MODEL, USER_FEATURES)
    database, server = _tracking(folder, password)
    day, tight = ("--as-of", "2024-03-30"), ("--set", "tracking.max_delay_s=2")

    def job(code: int, name: str, *options: object) -> tuple[str, tuple[object, ...], Path]:
        return name, (code, name, config, *options), config

    yield job(0, "validate")
    yield job(0, "train-recommender", *day, *server, *tight)
    yield job(0, "train-recommender", *day, *database, "--force")
    yield job(0, "write-recommendations", *day)
    yield job(0, "similar-items", *day)
    yield job(0, "check-drift", *day, "--set", "drift.reference_days=21", *database)
    yield job(3, "write-recommendations", "--as-of", "2024-04-09")
    users = folder / "users.parquet"
    for wrong in (sound.users[:9], pa.concat_tables([sound.users, sound.users[:2]])):
        pq.write_table(wrong, users)
        yield job(3, "write-recommendations", *day)
    log = write_table(folder / "log.csv", sound.interactions)
    integers = ("--set", "data.csv.user_id_type=int64", "--interactions", log)
    yield job(3, "validate", *integers)
    log.write_text(log.read_text(encoding="utf-8") + f"{mark},1\n", encoding="utf-8")
    yield job(3, "validate", "--interactions", log)
    log.unlink()
    yield job(0, "status")
