"""The rules of lists in the config: denied pairs and eligible items."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipelines.jobs.console import Reporter
from pipelines.jobs.inputs import Inputs
from pipelines.jobs.matches import tell_match
from pipelines.recommender.config import JobConfig
from recsys.datasets.checks.matching import Match
from recsys.features.history import UserItemMatrix
from recsys.features.vocabulary import Vocabulary
from recsys.recommender.compatibility import check_id_types
from recsys.recommender.lists.filters import Filters, MatchReport, eligible_items, user_item_pairs
from recsys.recommender.model import RecommenderModel
from recsys.schema import ITEM_ID, USER_ID


@dataclass(frozen=True, kw_only=True, eq=False)
class Rules:
    """The tables of denied pairs and eligible items; None where the config names none."""

    denied: pa.Table | None
    """Pairs user_id, item_id."""
    eligible: pa.Table | None
    """The item_id that may be recommended."""


def load_rules(inputs: Inputs, config: JobConfig, model: RecommenderModel) -> Rules:
    """Read the tables that `lists` names.

    Raises:
        DataError: One cannot be read, or its ids are of another type than the model's.
    """
    tables: dict[str, pa.Table | None] = {"deny": None, "eligible": None}
    for role, names in {"deny": (USER_ID, ITEM_ID), "eligible": (ITEM_ID,)}.items():
        path: Path | None = getattr(config.lists, role)
        if path is not None:
            table = inputs.ids(
                role,
                path,
                names,
                columns=config.columns,
                csv=config.data.csv,
                where={str(name): text for name, text in config.data.where.items()},
            )
            check_id_types(model, table, file=str(path), columns=config.columns)
            tables[role] = table
    return Rules(denied=tables["deny"], eligible=tables["eligible"])


def filters_of(
    config: JobConfig,
    rules: Rules,
    *,
    users: Vocabulary,
    items: Vocabulary,
    had: UserItemMatrix,
    reporter: Reporter,
) -> Filters:
    """The rules as filters over users and items; ids without effect are counted, not silent.

    Args:
        config: Settings.
        rules: Their tables.
        users: Users of the run.
        items: The catalogue.
        had: Every item that each user had, whether it was learnt from or not.
        reporter: Prints progress.

    Raises:
        CheckError: A table has rows, and none of them has an effect.
    """
    denied = eligible = None
    if rules.denied is not None:
        denied, match = user_item_pairs(rules.denied, users=users, items=items)
        _report("deny list", config.lists.deny, match, reporter, is_of_pairs=True)
    if rules.eligible is not None:
        eligible, match = eligible_items(rules.eligible, items=items)
        _report("eligible items", config.lists.eligible, match, reporter, is_of_pairs=False)
    return Filters(
        num_items=len(items),
        seen=had if config.lists.filter_seen else None,
        denied=denied,
        eligible=eligible,
    )


def _report(
    what: str, place: Path | None, match: MatchReport, reporter: Reporter, *, is_of_pairs: bool
) -> None:
    unknown = {"users": match.num_unknown_users, "items": match.num_unknown_items}
    missed = " and ".join(
        f"{count:,} name {kind} that are not known" for kind, count in unknown.items() if count
    )
    known_rows = max(match.num_used, match.num_rows - sum(unknown.values()))
    tell_match(
        Match(
            what=what, place=str(place), of="known, and have an effect",
            num_rows=match.num_rows, num_found=known_rows, missed=missed,
            knows_a_side=is_of_pairs and match.knows_a_side,
        ),
        reporter,
        remedy="or take the table out of [lists]",
        even_if_empty=not is_of_pairs,
    )  # fmt: skip
