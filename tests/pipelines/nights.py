"""Two nights of a small shop: training, newcomers, rules, and the lists that were written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from shop import FileFormat, write_shop, write_table

from pipelines.jobs.console import Reporter
from pipelines.recommender.config import JobConfig, load_job_config
from pipelines.recommender.train import train_recommender
from pipelines.recommender.write_lists import write_recommendations_job
from recsys.datasets.dataset import Dataset
from recsys.datasets.loading import load_dataset
from recsys.schema import EVENT_TIME_TYPE, ITEM_ID, USER_ID

K = 10
QUIET = Reporter(quiet=True)
QUIET_DAYS = "\n[input_checks]\nmax_stale_days = 5\n"
"""The log ends before the last night."""
TRAINED, NIGHT, NEXT_NIGHT = date(2024, 3, 31), date(2024, 4, 1), date(2024, 4, 2)


@dataclass(frozen=True, kw_only=True)
class Night:
    """What two nights of a shop left behind."""

    config: JobConfig
    """Of the first night: with a deny list and eligible items."""
    today: Dataset
    """The tables of both nights: those of training, and users who came later."""
    rules: dict[str, pa.Table]
    """The deny list and the eligible items."""
    trained: dict[str, object]
    """What the training job said."""
    written: dict[str, object]
    """What the scoring job said in the first night."""
    plain: dict[str, object]
    """What it said in the second night, without rules."""


@dataclass(frozen=True, kw_only=True)
class Newcomers:
    """Users who came after training."""

    active: object
    """Has events and a row in the users table."""
    silent: object
    """Has a row in the users table."""
    stranger: object
    """Has one event, with an item that came after training, and no row in the users table."""


def newcomers(user_type: pa.DataType) -> Newcomers:
    """Their ids."""
    if pa.types.is_integer(user_type):
        return Newcomers(active=2**53 + 1, silent=2**53 + 3, stranger=-1)
    return Newcomers(active="0", silent="00000", stranger="")


def with_newcomers(dataset: Dataset) -> tuple[pa.Table, pa.Table]:
    """Interactions and users of the day after training."""
    log, users = dataset.interactions, dataset.users
    new = newcomers(log[USER_ID].type)
    liked = pc.unique(log[ITEM_ID])[:5].to_pylist()
    new_item = 10**6 if pa.types.is_integer(log[ITEM_ID].type) else "new"
    events = {
        USER_ID: pa.array([new.active] * 5 + [new.stranger], log[USER_ID].type),
        ITEM_ID: pa.array([*liked, new_item], log[ITEM_ID].type),
        "event_time": pa.array([datetime(2024, 3, 31, 12, tzinfo=UTC)] * 6, EVENT_TIME_TYPE),
    }
    rows = pa.concat_tables([users[:2].drop_columns(USER_ID)]).add_column(
        0, USER_ID, pa.array([new.active, new.silent], users[USER_ID].type)
    )
    return pa.concat_tables([log, pa.table(events)]), pa.concat_tables([users, rows])


def write_rules(folder: Path, dataset: Dataset) -> dict[str, Path]:
    """Deny the most popular items to some users; three quarters of the items are eligible."""
    counts = pc.value_counts(dataset.interactions[ITEM_ID].combine_chunks())
    popular = counts.field("values").take(
        pc.sort_indices(counts.field("counts"), sort_keys=[("", "descending")])
    )
    denied = popular[:6].to_pylist()
    users = dataset.users[USER_ID].to_pylist()[:40]
    pairs = [(user, item) for user in users for item in denied]
    user_type, item_type = dataset.users[USER_ID].type, dataset.items[ITEM_ID].type
    deny = {
        USER_ID: pa.array([user for user, _ in pairs], user_type),
        ITEM_ID: pa.array([item for _, item in pairs], item_type),
    }
    tables = {"deny": pa.table(deny), "eligible": pa.table({ITEM_ID: popular[:45]})}
    return {name: write_table(folder / f"{name}.parquet", table) for name, table in tables.items()}


def spend_nights(folder: Path, dataset: Dataset, file_format: FileFormat, *sections: str) -> Night:
    """Train, and write lists on two nights that follow."""
    path = write_shop(folder, dataset, file_format, f"[lists]\nk = {K}\n", QUIET_DAYS, *sections)
    trained = train_recommender(load_job_config(path), TRAINED, QUIET)
    log, users = with_newcomers(dataset)
    rules = write_rules(folder, dataset)
    config = load_job_config(
        path,
        overrides=[f"lists.{name}={rule}" for name, rule in rules.items()],
        data={
            "interactions": write_table(folder / f"interactions-today.{file_format}", log),
            "users": write_table(folder / f"users-today.{file_format}", users),
        },
    )
    without_rules = replace(config, lists=replace(config.lists, deny=None, eligible=None))
    return Night(
        config=config,
        today=load_dataset(config.data, config.columns, config.features),
        rules={name: pq.read_table(rule) for name, rule in rules.items()},
        trained=trained,
        written=write_recommendations_job(config, NIGHT, QUIET),
        plain=write_recommendations_job(without_rules, NEXT_NIGHT, QUIET),
    )


def shop_items(night: Night) -> list[object]:
    """The catalogue of training: items of its interactions."""
    new = newcomers(night.today.interactions[USER_ID].type)
    log = night.today.interactions
    of_training = log.filter(
        pc.invert(pc.is_in(log[USER_ID], pa.array([new.active, new.stranger], log[USER_ID].type)))
    )
    return pc.unique(of_training[ITEM_ID]).to_pylist()
