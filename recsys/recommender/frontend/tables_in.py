"""Frames to the checked tables of a recommender, as the jobs have them from files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from recsys.datasets.callers import in_words_of_python
from recsys.datasets.checks.cleaning import clean_interactions
from recsys.datasets.checks.validation import ValidationConfig, validate_dataset
from recsys.datasets.dataset import ColumnsConfig, CsvConfig, DataConfig, Dataset, FeaturesConfig
from recsys.datasets.frames.frame_columns import (
    LOG,
    Guesses,
    find_columns,
    find_features,
    time_settings,
)
from recsys.datasets.frames.frames import Frame, FrameKind, NamedFrame, named_frame, reader_of
from recsys.datasets.loading import load_dataset
from recsys.datasets.rules import load_ids
from recsys.datasets.splits import SplitConfig
from recsys.schema import EVENT_TIME, ITEM_ID, TITLE, USER_ID

INTERACTIONS, USERS, ITEMS = "interactions", "users", "items"
_KEYS = {USERS: USER_ID, ITEMS: ITEM_ID}


@dataclass(frozen=True, kw_only=True)
class Names:
    """Names of columns, and which of them the caller gave."""

    columns: ColumnsConfig
    """Names of the columns."""
    is_given: frozenset[str]
    """Fields of `columns` that the caller gave; the others are guessed."""


@dataclass(frozen=True, kw_only=True)
class FrameDataset:
    """Checked tables, and how they came."""

    dataset: Dataset
    """The tables that are learnt from."""
    had: pa.Table
    """All interactions: what is not learnt from is still what a user has."""
    kind: FrameKind
    """What the interactions came as."""


def dataset_of_frames(
    given: Mapping[str, Frame | None],
    *,
    names: Names,
    features: FeaturesConfig | None,
    limits: ValidationConfig,
    needs_time: bool = False,
) -> FrameDataset:
    """Read frames, refuse them where they break a rule, and leave out what must not count.

    Args:
        given: The frames by the name of their argument: interactions, users and items.
        names: Names of the columns.
        features: Features to read; guessed from the tables when None.
        limits: Limits of validation.
        needs_time: Whether events without a time are refused.

    Raises:
        DataError: The first refusal.
    """
    frames = {name: named_frame(one, name) for name, one in given.items() if one is not None}
    with in_words_of_python():
        columns = _columns(frames[INTERACTIONS], names)
        frames = _with_keys(frames, columns)
        if features is None:
            features = _features(frames, columns)
        data = DataConfig(**cast("dict[str, Any]", {name: Path(name) for name in frames}))
        dataset = load_dataset(data, columns, features, read=reader_of(frames))
        report = validate_dataset(dataset, limits=limits, needs_time=needs_time)
        report.raise_if_refused()
        log, left_out = clean_interactions(dataset, until=None, limits=limits)
    told = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items() if count)
    if told:
        LOG.warning("interactions: left out: %s of %s rows", told, f"{report.num_interactions:,}")
    return FrameDataset(
        dataset=replace(dataset, interactions=log),
        had=dataset.interactions,
        kind=frames[INTERACTIONS].kind,
    )


def rows_of_ids(frame: NamedFrame, standard: tuple[str, ...], names: Names) -> pa.Table:
    """Id columns of a frame under their standard names, e.g. of a deny list.

    Raises:
        DataError: A column is missing, or no ids.
    """
    guesses = Guesses(frame)
    known = {name: getattr(names.columns, name) for name in standard}
    asked = {name: own for name, own in known.items() if own in frame.names}
    found = find_columns(guesses, asked, required=standard)
    guesses.tell()
    theirs = replace(names.columns, **cast("dict[str, Any]", found))
    read = reader_of({frame.name: frame})
    with in_words_of_python():
        return load_ids(Path(frame.name), standard, columns=theirs, csv=CsvConfig(), read=read)


def split_for(split: SplitConfig | None, dataset: Dataset) -> SplitConfig:
    """How to hold interactions out: as told, else by time, or at random in a log without times."""
    if split is not None:
        return split
    if EVENT_TIME in dataset.interactions.column_names:
        return SplitConfig()
    LOG.warning(
        "interactions: no column of times was found, so what is held out is drawn at random and "
        'nothing ages; to be sure, pass event_time="..." or split={"kind": "random"}'
    )
    return SplitConfig(kind="random")


def _columns(frame: NamedFrame, names: Names) -> ColumnsConfig:
    """Names of the columns of the interactions, guessed where they were not given."""
    guesses, columns = Guesses(frame), names.columns
    fields = (USER_ID, ITEM_ID, EVENT_TIME)
    given = {name: getattr(columns, name) if name in names.is_given else None for name in fields}
    found = find_columns(guesses, given, required=(USER_ID, ITEM_ID), optional=(EVENT_TIME,))
    zone, unit = time_settings(
        guesses, found.get(EVENT_TIME), columns.event_time_zone, columns.event_time_unit
    )
    guesses.tell()
    return replace(
        columns,
        **cast("dict[str, Any]", {**found, EVENT_TIME: found.get(EVENT_TIME)}),
        event_time_zone=zone,
        event_time_unit=unit,
    )


def _with_keys(frames: dict[str, NamedFrame], columns: ColumnsConfig) -> dict[str, NamedFrame]:
    """The frames, with the key of users and items under the name that it has in the interactions.

    Files have to agree on the name; a frame with another name of it is renamed aloud.
    """
    renamed = dict(frames)
    for name, key in _KEYS.items():
        wanted = getattr(columns, key)
        if name not in frames or wanted in frames[name].names:
            continue
        guesses = Guesses(frames[name])
        own = find_columns(guesses, {}, required=(key,))[key]
        guesses.tell()
        frame = frames[name]
        table = pa.table({wanted if one == own else one: frame.column(one) for one in frame.names})
        renamed[name] = replace(frame, frame=table, names=tuple(table.column_names))
    return renamed


def _features(frames: dict[str, NamedFrame], columns: ColumnsConfig) -> FeaturesConfig:
    """Columns of users and items that look like features."""
    found = {}
    for name, key in _KEYS.items():
        if name in frames:
            guesses = Guesses(frames[name])
            found[name] = find_features(guesses, besides=(getattr(columns, key), key, TITLE))
            guesses.tell()
    return FeaturesConfig(**found)
