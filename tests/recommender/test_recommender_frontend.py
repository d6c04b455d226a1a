"""The recommender in Python: frames as strangers have them, filters, and what it refuses."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
import polars as pl
import pytest

from recsys import Recommender, RecsysError, compare
from recsys.datasets.frames.frames import Frame
from recsys.datasets.synthetic.interactions import generate_interactions

QUICK = {
    "model": {"embedding_dim": 8, "hidden_dims": [8], "temperature": 0.2, "propagation": 0.3,
              "history_dropout": 0.3},
    "training": {"num_epochs": 2},
}  # fmt: skip


@functools.cache
def log() -> pd.DataFrame:
    """A small log with names of its own."""
    table = generate_interactions(
        num_users=40, num_items=20, num_interactions=600, num_clusters=3, seed=2
    ).dataset.interactions
    names = {"user_id": "Customer", "item_id": "sku", "event_time": "bought_at"}
    return table.to_pandas().rename(columns=names)


@functools.cache
def fitted() -> Recommender:
    """A recommender of that log."""
    return Recommender(**QUICK).fit(log())


def refusal(call: functools.partial) -> str:
    """The one line with which a call is refused."""
    with pytest.raises(RecsysError) as error:
        call()
    assert "\n" not in str(error.value)
    return str(error.value)


def pairs(lists: pd.DataFrame) -> set[tuple[int, int]]:
    """Users and the items that they are recommended."""
    return set(zip(lists["user_id"], lists["item_id"], strict=True))


def test_lists_hold_what_the_filters_allow() -> None:
    """Seen items, denied pairs and items that are not eligible stand in no list."""
    had = set(zip(log()["Customer"], log()["sku"], strict=True))
    plain = fitted().recommend(k=4)
    denied = plain.groupby("user_id").head(1)[["user_id", "item_id"]]
    deny = denied.rename(columns={"user_id": "Customer", "item_id": "sku"})
    eligible = plain["item_id"].unique()[:15]
    found = fitted().recommend(k=4, deny=deny, eligible=eligible)

    assert not pairs(plain) & had
    assert not pairs(found) & (had | pairs(denied))
    assert set(found["item_id"]) <= set(eligible)
    assert pairs(fitted().recommend(k=20, filter_seen=False)) & had
    assert pairs(fitted().recommend(k=4, deny=denied)) == pairs(fitted().recommend(k=4, deny=deny))


def test_users_may_come_in_any_form_and_order() -> None:
    """Ids of a list, an array, a column or a frame give the same lists, in their order."""
    everyone = fitted().recommend(k=3)
    asked = [7, 2, 999]
    frames = (
        pd.DataFrame({"Customer": asked}), pl.DataFrame({"user_id": asked}), np.array(asked),
        pd.Series(asked), tuple(asked),
    )  # fmt: skip
    first = fitted().recommend(asked, k=3)

    assert first["user_id"].drop_duplicates().tolist() == asked
    assert first[first["user_id"] == 7]["item_id"].tolist() == (
        everyone[everyone["user_id"] == 7]["item_id"].tolist()
    )
    assert set(first[first["user_id"] == 999]["source"]) == {"popularity"}
    for form in frames:
        assert fitted().recommend(form, k=3).equals(first)
    assert fitted().recommend([], k=3).empty


def test_a_newcomer_gets_a_list_from_the_log_of_today() -> None:
    """Whoever came after the fit is known by what they did since."""
    today = pd.concat([log(), log().head(5).assign(Customer=999)])
    lists = fitted().recommend([999], k=3, interactions=today)

    assert set(lists["source"]) == {"history"}
    assert not set(lists["item_id"]) & set(log().head(5)["sku"])


def test_the_kind_that_came_in_comes_out_and_says_the_same() -> None:
    """Polars and Arrow give their own kind, with the lists of pandas."""
    expected = fitted().recommend(k=3)
    frame = pl.from_pandas(log())
    for given in (frame, frame.to_arrow()):
        found = Recommender(**QUICK).fit(given).recommend(k=3)
        assert type(found) is type(given)
        columns = {name: found[name].to_numpy() for name in ("user_id", "item_id", "rank")}
        assert pd.DataFrame(columns).equals(expected[list(columns)].astype({"rank": "int32"}))


def test_evaluation_has_the_model_and_its_baselines() -> None:
    """The held-out end of the log is measured by the fit; a later log is measured when given."""
    held_out = fitted().evaluate()
    later = fitted().evaluate(log().tail(50))

    for table in (held_out, later):
        assert table["method"].tolist()[0] == "two-tower"
        assert "most popular" in table["method"].tolist()
        assert table["recall@20"].between(0, 1).all()
    assert compare(log(), **QUICK).equals(held_out)


def test_a_log_without_times_is_split_at_random(caplog: pytest.LogCaptureFixture) -> None:
    """No time is made up: the log is divided at random, and that is said."""
    found = Recommender(**QUICK).fit(log().drop(columns="bought_at"))

    assert "drawn at random" in caplog.text
    assert len(found.recommend([1], k=3)) == 3


def test_users_and_items_have_features_of_their_frames() -> None:
    """Tables of users and items are read by their own names, with features guessed aloud."""
    made = generate_interactions(
        num_users=40, num_items=20, num_interactions=600, num_clusters=3, seed=2
    ).dataset
    users = made.users.to_pandas().rename(columns={"user_id": "customer"})
    items = made.items.to_pandas()
    found = Recommender(**QUICK).fit(made.interactions.to_pandas(), users, items)
    silent = pd.concat([users, users.head(1).assign(customer=999)])
    names = {"user_id": "user_id"}
    lists = found.recommend(
        [999], k=3, interactions=made.interactions.to_pandas(),
        user_features=silent.rename(columns={"customer": names["user_id"]}),
    )  # fmt: skip

    assert set(lists["source"]) == {"features"}


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: fitted().recommend(["7"]), "users: expected int64 ids, as the model was fitted"),
        (lambda: fitted().recommend([1.5]), "users: expected ids of type int64 or string"),
        (lambda: fitted().recommend([1, "2"]), "users: expected a list, an array or a column"),
        (lambda: fitted().recommend([1, None]), "users: expected an id in every row"),
        (lambda: fitted().recommend(k=0), "k: expected"),
        (lambda: fitted().recommend(k=2.5), "k: expected a whole number, got 2.5"),
        (lambda: fitted().recommend("7"), "users: expected a list, an array or a column"),
        (lambda: Recommender(user_id="sku", item_id="sku").fit(log()), "item_id: expected another"),
        (
            lambda: Recommender(features={"users": {"age": "numeric"}}).fit(log()),
            "features.users: expected the frame users beside it",
        ),
        (lambda: fitted().recommend(eligible=["a"]), "eligible: expected int64 ids"),
        (lambda: fitted().recommend(deny=pd.DataFrame({"Customer": [1]})), "deny: expected a col"),
        (lambda: fitted().recommend(user_features=log()), "user_features: expected interactions"),
        (lambda: fitted().similar_items([999]), "items: expected items that the model was fitted"),
        (lambda: Recommender().recommend(), "recommend: expected a fitted recommender"),
        (lambda: Recommender(user="x"), "Recommender: user: unknown key"),
        (lambda: Recommender(user_id=3), "Recommender: user_id: expected a string"),
        (lambda: Recommender(training={"num_epochs": 0}), "Recommender: training.num_epochs"),
        (lambda: Recommender(training=3), "Recommender: training: expected"),
        (lambda: Recommender().fit(log().head(0)), "interactions: expected at least one row"),
        (lambda: Recommender().fit(log().head(2)), "interactions: "),
        (lambda: Recommender(event_time="when").fit(log()), "interactions: column 'when'"),
    ],
)
def test_wrong_calls_are_refused_in_one_line(call: Frame, expected: str) -> None:
    """A refusal names the argument or the keyword, in one line, and never a vocabulary."""
    message = refusal(functools.partial(call))

    assert message.startswith(expected)
    assert "vocabulary" not in message
