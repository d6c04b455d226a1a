"""Requests for lists: the users, their histories and features, and the filters."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from recsys.arrays import Int64Array
from recsys.datasets.columns.ids import id_column
from recsys.datasets.dataset import FeatureConfig, FeaturesConfig
from recsys.datasets.frames.frames import Frame, is_frame, named_frame, values_of
from recsys.datasets.origin import Origin
from recsys.errors import ConfigError
from recsys.features.encoder import TableEncoder
from recsys.features.history import UserItemMatrix, history_matrix, repeat_matrix, user_item_matrix
from recsys.features.vocabulary import UNKNOWN, Vocabulary
from recsys.recommender.frontend.tables_in import FrameDataset, Names, rows_of_ids
from recsys.recommender.lists.filters import Filters, eligible_items, user_item_pairs
from recsys.recommender.model import RecommenderModel
from recsys.schema import ITEM_ID, USER_ID


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """Users to make lists for."""

    users: Vocabulary
    """Their ids, in the order of the lists."""
    histories: UserItemMatrix | None
    """What they did, by a log of today; as at the fit when None."""
    repeats: UserItemMatrix | None
    """How often they took each item; as at the fit when None."""
    had: UserItemMatrix
    """Every item that they had, learnt from or not."""
    user_table: pa.Table | None
    """Their features, if there are any."""


def request_of(
    model: RecommenderModel,
    users: Frame | None,
    today: FrameDataset | None,
    table: pa.Table | None,
    names: Names,
) -> Request:
    """Users as a log of today knows them, or else the fit.

    Args:
        model: What recommends.
        users: Whom to make lists for; everyone who is known when None.
        today: The log of today.
        table: The users table of the fit.
        names: Names of the columns.
    """
    if today is None:
        return _request_of_fit(model, users, table, names)
    return _request_of_log(model, users, today, names)


def _request_of_fit(
    model: RecommenderModel, users: Frame | None, table: pa.Table | None, names: Names
) -> Request:
    """Users as the fit knows them: all of its log and of its users table by default."""
    chunks = [model.users.terms, *([] if table is None else table[USER_ID].chunks)]
    everyone = pa.chunked_array(chunks, type=model.users.terms.type)
    asked = _asked(users, everyone, model, names)
    return Request(
        users=asked, histories=None, repeats=None, had=model.had(asked.terms), user_table=table
    )


def _request_of_log(
    model: RecommenderModel, users: Frame | None, today: FrameDataset, names: Names
) -> Request:
    """Users as a later log knows them."""
    log, table = today.dataset.interactions, today.dataset.users
    chunks = [*today.had[USER_ID].chunks, *([] if table is None else table[USER_ID].chunks)]
    everyone = pa.chunked_array(chunks, type=model.users.terms.type)
    asked = _asked(users, everyone, model, names)
    repeats = None
    if model.selection.repeat_weight:
        half_life = model.selection.repeat_half_life_days
        repeats = repeat_matrix(log, users=asked, items=model.items, half_life_days=half_life)
    return Request(
        users=asked,
        histories=history_matrix(
            log, users=asked, items=model.items, ordered=model.config.reads_order
        ),
        repeats=repeats,
        had=user_item_matrix(today.had, users=asked, items=model.items),
        user_table=table,
    )


def filters_of(
    model: RecommenderModel,
    request: Request,
    *,
    filter_seen: bool,
    deny: Frame | None,
    eligible: Frame | None,
    names: Names,
) -> Filters:
    """Filters of the lists of a request.

    Raises:
        DataError: Ids of another type than the model's.
    """
    users, items = request.users, model.items
    filters = Filters(num_items=len(items))
    if filter_seen:
        filters = replace(filters, seen=request.had)
    if deny is not None:
        pairs = rows_of_ids(named_frame(deny, "deny"), (USER_ID, ITEM_ID), names)
        _check_type(pairs[USER_ID], model.users, "deny", names.columns.user_id)
        _check_type(pairs[ITEM_ID], items, "deny", names.columns.item_id)
        filters = replace(filters, denied=user_item_pairs(pairs, users=users, items=items)[0])
    if eligible is not None:
        table = pa.table({ITEM_ID: _ids(eligible, "eligible", ITEM_ID, items, names)})
        filters = replace(filters, eligible=eligible_items(table, items=items)[0])
    return filters


def known_items(items: Frame, model: RecommenderModel, names: Names) -> Int64Array:
    """Numbers of items of the catalogue.

    Raises:
        DataError: Ids of another type, or of items that the model does not know.
    """
    numbers = model.items.numbers(pc.unique(_ids(items, "items", ITEM_ID, model.items, names)))
    num_unknown = int((numbers == UNKNOWN).sum())
    if num_unknown:
        raise Origin(file="items").refusal(
            expected="items that the model was fitted on",
            got=f"{num_unknown} others of {len(numbers)}",
            remedy="leave them out, or fit on a log that has them",
        )
    return numbers


def read_features(
    model: RecommenderModel, given: FeaturesConfig | None, user_features: Frame | None
) -> FeaturesConfig:
    """Features of users that a model reads, under the names that the caller gave them."""
    encoder = model.user_encoder
    if encoder is None or user_features is None:
        return FeaturesConfig()
    return FeaturesConfig(users={**_kinds(encoder), **({} if given is None else given.users)})


def check_beside_log(user_features: Frame | None) -> None:
    """Refuse features of users without the log that they belong to.

    Raises:
        ConfigError: There are some.
    """
    if user_features is not None:
        raise ConfigError(
            "user_features: expected interactions beside it, got none; pass the log of today as "
            "interactions=..."
        )


def _kinds(encoder: TableEncoder) -> dict[str, FeatureConfig]:
    return {
        **{name: FeatureConfig(kind="categorical") for name in encoder.categorical},
        **{name: FeatureConfig(kind="multi_hot") for name in encoder.multi_hot},
        **{name: FeatureConfig(kind="numeric") for name in encoder.numeric},
        **{name: FeatureConfig(kind="dense") for name in encoder.dense},
    }


def _asked(
    users: Frame | None, everyone: pa.ChunkedArray, model: RecommenderModel, names: Names
) -> Vocabulary:
    """The requested users, each once, in their order; all in ascending order if none are given."""
    if users is None:
        return Vocabulary.fit(everyone)
    ids = _ids(users, "users", USER_ID, model.users, names)
    if ids.null_count:
        raise Origin(file="users").refusal(
            expected="an id in every row", got=f"{ids.null_count} nulls", remedy="leave them out"
        )
    return Vocabulary(pc.unique(ids))


def _ids(
    given: Frame, argument: str, standard: str, known: Vocabulary, names: Names
) -> pa.ChunkedArray:
    """Ids of a frame's column, or of a list or array, of the type that the model knows."""
    if is_frame(given):
        ids = rows_of_ids(named_frame(given, argument), (standard,), names)[standard]
    else:
        values = values_of(given, argument)
        if len(values) == 0:
            return pa.chunked_array([pa.array([], known.terms.type)])
        ids = id_column(values, Origin(file=argument))
    _check_type(ids, known, argument, "")
    return ids


def _check_type(ids: pa.ChunkedArray, known: Vocabulary, argument: str, column: str) -> None:
    if ids.type != known.terms.type:
        raise Origin(file=argument, column=column).refusal(
            expected=f"{known.terms.type} ids, as the model was fitted on",
            got=str(ids.type),
            remedy='give them as they are in the log: 1 and "1" do not match',
        )
