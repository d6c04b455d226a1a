"""The objective: which loss, which items, which widths, how a batch counts, and on which device."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pretend_gpu import GPU, PretendGpu, to_pretended_gpu
from scipy import sparse

from recsys.features.encoder import EncodedSizes, EncodedTable, Ragged
from recsys.features.history import UserItemMatrix
from recsys.nn.losses import log_inclusion, sampled_softmax_loss, softmax_loss
from recsys.recommender.config import TwoTowerConfig
from recsys.recommender.fitting.batches import UserBatches, sample_items
from recsys.recommender.fitting.objective import Objective, default_batch_size, is_sampled
from recsys.recommender.fitting.propagation import Propagation
from recsys.recommender.towers.two_tower import TwoTower, prefix, searched_prefix

NUM_USERS, NUM_ITEMS = 24, 15
SIZES = EncodedSizes(categorical=(5,), multi_hot=(5,), num_numeric=0, dense=())
CONFIG = TwoTowerConfig(
    embedding_dim=8,
    num_heads=1,
    prefix_dims=(2, 4),
    hidden_dims=(6,),
    num_uniform_negatives=4,
    dropout=0,
    history_dropout=0.3,
    user_embedding=False,
)
EXACT, SAMPLED = replace(CONFIG, loss="softmax"), replace(CONFIG, loss="sampled_softmax")


def log(seed: int = 0) -> UserItemMatrix:
    """A random log whose interactions have different values."""
    rng = np.random.default_rng(seed)
    dense = (rng.random((NUM_USERS, NUM_ITEMS)) < 0.3) * rng.uniform(0.1, 2, NUM_ITEMS)
    dense[:, 0] = 1  # nobody without interactions
    return sparse.csr_array(dense.astype(np.float32))


def features(num_rows: int) -> EncodedTable:
    """A term and a list of one term a row."""
    codes = torch.arange(num_rows) % 5
    return EncodedTable(
        categorical=codes[:, None],
        multi_hot=(Ragged(codes=codes, offsets=torch.arange(num_rows + 1)),),
        numeric=torch.empty(num_rows, 0),
        dense=(),
    )


def objective_of(
    config: TwoTowerConfig,
    matrix: UserItemMatrix | None = None,
    *,
    with_features: bool = False,
    share: float = 0.0,
) -> tuple[Objective, UserBatches]:
    """An objective in float32 and the batches it is for."""
    torch.manual_seed(0)
    matrix = log() if matrix is None else matrix
    towers = TwoTower(
        num_users=NUM_USERS,
        num_items=NUM_ITEMS,
        user_sizes=SIZES if with_features else None,
        item_sizes=SIZES if with_features else None,
        config=config,
    )
    batches = UserBatches(
        matrix=matrix,
        features=features(NUM_USERS) if with_features else None,
        batch_size=6,
        history_dropout=config.history_dropout,
        newcomer_share=config.newcomer_share,
        user_embedding=config.user_embedding,
        seed=0,
    )
    objective = Objective.of(
        towers,
        batches,
        item_features=features(NUM_ITEMS) if with_features else None,
        config=config,
        temperature=0.1,
        propagation=Propagation.of(batches, share=share, device=torch.device("cpu")),
        precision=torch.float32,
        seed=0,
    )
    return objective, batches


@pytest.mark.parametrize(
    ("loss", "num_items", "expected"),
    [
        ("auto", 60_000, False),
        ("auto", 60_001, True),
        ("softmax", 10**7, False),
        ("sampled_softmax", 10, True),
    ],
)
def test_the_size_of_the_catalogue_decides_unless_the_config_does(
    loss: str, num_items: int, expected: bool
) -> None:
    """`auto` samples beyond the limit; a loss that is named is taken."""
    assert is_sampled(TwoTowerConfig(loss=loss), num_items) == expected


@pytest.mark.parametrize(
    ("num_users", "num_items", "num_interactions", "loss", "expected"),
    [
        (1, 1, 1, "softmax", 128),
        (6000, 3000, 10**6, "softmax", 150),
        (10**6, 3000, 10**7, "softmax", 1024),
        (10**6, 2 * 10**5, 10**7, "softmax", 335),
        (10**6, 10**6, 10**7, "sampled_softmax", 1024),
        (10**6, 10**6, 10**8, "sampled_softmax", 160),
        (10**5, 10**9, 10**8, "softmax", 1),
    ],
    ids=["least", "a fortieth", "most", "by memory", "by users", "by memory of a sample", "one"],
)  # fmt: skip
def test_batches_are_large_but_fit_into_memory(
    num_users: int, num_items: int, num_interactions: int, loss: str, expected: int
) -> None:
    """A fortieth of the users within 128 and 1024, as far as the scores of a batch fit."""
    matrix = SimpleNamespace(shape=(num_users, num_items), nnz=num_interactions)
    size = default_batch_size(matrix, TwoTowerConfig(loss=loss))
    assert size == expected
    scores = size * (
        num_items if loss == "softmax" else size * num_interactions // num_users + 2048
    )
    assert size == 1 or scores <= 2**26


def test_the_exact_loss_is_the_softmax_at_the_widths_that_were_drawn() -> None:
    """Over many batches the loss is that of the whole width, and half of the time a prefix's."""
    objective, batches = objective_of(EXACT)
    towers = objective.towers
    num_prefixes = 0
    rounds = [batch for epoch in range(40) for batch in batches.draw(epoch)]
    for batch in rounds:
        found = objective.loss(batch).item()
        item_CD = towers.candidate(None, None)
        query_BD = towers.query(batch.inputs, item_CD)
        by_width = {
            width: softmax_loss(
                prefix(query_BD, width), prefix(item_CD, width), batch.positives, temperature=0.1
            ).item()
            for width in (2, 4, 8)
        }
        share = batch.positives.weights.sum().item() / objective.mean_weight
        whole = by_width[8]
        choices = [whole, whole + by_width[2], whole + by_width[4]]
        matching = [n for n, choice in enumerate(choices) if found == pytest.approx(choice * share)]
        assert matching
        num_prefixes += matching != [0]
    assert 0.35 < num_prefixes / len(rounds) < 0.65


def test_batches_count_by_the_weight_of_their_positives() -> None:
    """The mean over an epoch is the mean over all positives by weight, not over batches."""
    config = replace(EXACT, prefix_dims=(), history_dropout=0.0, newcomer_share=0.0)
    objective, batches = objective_of(config)
    losses = [objective.loss(batch).item() for batch in batches.draw(1)]
    whole, one_batch = objective_of(config)
    (everything,) = replace(one_batch, batch_size=NUM_USERS).draw(1)
    assert len(losses) == 4
    expected = whole._exact(everything, None).item()
    assert np.mean(losses) == pytest.approx(expected, rel=1e-4)


def test_the_sampled_loss_with_everything_sampled_equals_the_exact_one() -> None:
    """Many more draws than items: nothing is estimated, only rearranged."""
    settings = {"prefix_dims": (), "num_uniform_negatives": 3000, "history_dropout": 0.0}
    exact, batches = objective_of(replace(EXACT, **settings))
    sampled, _ = objective_of(replace(SAMPLED, **settings))
    for batch in batches.draw(1):
        torch.testing.assert_close(sampled.loss(batch), exact.loss(batch))


def test_the_sampled_loss_corrects_for_how_the_sample_was_drawn() -> None:
    """It is the sampled softmax of the items drawn, by the probabilities of batches and draws."""
    matrix = log()
    objective, batches = objective_of(replace(SAMPLED, prefix_dims=()), matrix)
    log_inclusion_C = log_inclusion(
        torch.from_numpy((matrix.toarray() > 0).sum(axis=0)),
        num_queries=NUM_USERS,
        batch_size=6,
        num_uniform=4,
    )
    generator = torch.Generator().manual_seed(0)
    for batch in batches.draw(1):
        sample = sample_items(batch, num_items=NUM_ITEMS, num_uniform=4, generator=generator)
        item_ND = objective.towers.candidate(None, None)[sample.items]
        expected = sampled_softmax_loss(
            objective.towers.query(sample.batch.inputs, item_ND),
            item_ND,
            sample.batch.positives,
            log_inclusion_C=log_inclusion_C[sample.items],
            known_BC=sample.known,
            temperature=0.1,
        )
        share = batch.positives.weights.sum() / objective.mean_weight
        torch.testing.assert_close(objective.loss(batch), expected * share)


@pytest.mark.parametrize("config", [EXACT, SAMPLED], ids=["exact", "sampled"])
def test_steps_with_its_optimizers_lower_the_loss(config: TwoTowerConfig) -> None:
    """The optimizers hold every parameter once, and following them helps."""
    objective, batches = objective_of(replace(config, prefix_dims=()), with_features=True)
    optimizers = objective.optimizers(0.02)
    held = [
        weight for opt in optimizers for group in opt.param_groups for weight in group["params"]
    ]
    assert {id(weight) for weight in held} == {id(w) for w in objective.towers.parameters()}
    assert len(held) == len(list(objective.towers.parameters()))
    means = []
    for epoch in range(12):
        losses = []
        for batch in batches.draw(epoch):
            for opt in optimizers:
                opt.zero_grad()
            loss = objective.loss(batch)
            loss.backward()
            losses.append(loss.item())
            for opt in optimizers:
                opt.step()
        means.append(np.mean(losses))
    assert means[-1] < 0.8 * means[0]


def test_a_sampled_step_leaves_other_items_where_they_are() -> None:
    """The vectors of items that were not drawn do not move, momentum or not."""
    objective, batches = objective_of(replace(SAMPLED, num_uniform_negatives=0, prefix_dims=()))
    optimizers = objective.optimizers(0.1)
    table = objective.towers.candidate.item.weight
    still = 0
    for batch in batches.draw(1):
        before = table.detach().clone()
        objective.loss(batch).backward()
        for opt in optimizers:
            opt.step()
            opt.zero_grad()
        moved = (table != before).any(dim=1)
        inside = torch.zeros(NUM_ITEMS, dtype=torch.bool)
        inside[batch.positives.columns] = True
        assert moved.tolist() == inside.tolist()
        still += int((~inside).sum())
    assert still > 0


@pytest.mark.parametrize("config", [EXACT, SAMPLED], ids=["exact", "sampled"])
def test_one_user_and_one_item_train(config: TwoTowerConfig) -> None:
    """The smallest log there is has a loss of 0 and finite gradients."""
    matrix = sparse.csr_array(np.ones((1, 1), dtype=np.float32))
    objective, batches = objective_of(config, matrix)
    (batch,) = batches.draw(1)
    if config.loss == "softmax":
        objective.towers.candidate.item.weight.data = torch.randn(1, 8)
    loss = objective.loss(batch)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("config", [EXACT, SAMPLED], ids=["exact", "sampled"])
def test_batches_from_the_cpu_meet_towers_on_a_gpu(config: TwoTowerConfig) -> None:
    """With towers on a GPU no operation of the loss mixes devices, and the value is the same."""
    config = replace(config, user_embedding=True)
    objective, batches = objective_of(config, with_features=True)
    (batch, *_) = batches.draw(1)
    expected = objective.loss(batch).item()
    with torch.no_grad(), PretendGpu():
        to_pretended_gpu(objective.towers)
        moved = Objective.of(
            objective.towers,
            batches,
            item_features=features(NUM_ITEMS),
            config=config,
            temperature=0.1,
            propagation=None,
            precision=torch.float32,
            seed=0,
        )
        loss = moved.loss(batch)
        assert loss.device == GPU
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", ["softmax", "sampled_softmax"])
def test_each_head_has_a_softmax_of_its_own(loss: str) -> None:
    """The loss of two heads is the sum of those of two models with half the width each."""
    settings = {"loss": loss, "prefix_dims": (), "num_uniform_negatives": 3000}
    matrix = sparse.csr_array(np.eye(NUM_USERS, NUM_ITEMS, dtype=np.float32)[:NUM_ITEMS])
    whole, batches = objective_of(replace(CONFIG, num_heads=2, **settings), matrix, share=0.5)
    parts = []
    for head in range(2):
        half, _ = objective_of(replace(CONFIG, embedding_dim=4, **settings), matrix, share=0.5)
        places = slice(4 * head, 4 * head + 4)
        with torch.no_grad():
            weight = whole.towers.candidate.item.weight[:, places].clone()
            half.towers.candidate.item.weight.copy_(weight)
        parts.append(half)
    for batch in batches.draw(1):
        expected = sum(half.loss(batch) for half in parts)
        torch.testing.assert_close(whole.loss(batch), expected)


def test_the_exact_loss_is_over_items_with_what_they_take_on() -> None:
    """The plain softmax over the vectors that will be searched, at the whole width and a prefix."""
    config = replace(EXACT, prefix_dims=(4,))
    objective, batches = objective_of(config, share=0.7)
    propagation = Propagation.of(batches, share=0.7, device=torch.device("cpu"))
    assert propagation is not None
    seen = set()
    for batch in [batch for epoch in range(5) for batch in batches.draw(epoch)]:
        towers = objective.towers
        found = objective.loss(batch).item() * objective.mean_weight
        item_CD = towers.candidate(None, None)
        query_BD, propagated_CD = (
            towers.query(batch.inputs, item_CD),
            propagation.propagated(towers, None),
        )
        whole, cut = (
            softmax_loss(
                prefix(query_BD, width),
                searched_prefix(item_CD, propagated_CD, width),
                batch.positives,
                temperature=0.1,
            ).item()
            * batch.positives.weights.sum().item()
            for width in (8, 4)
        )
        assert found in (pytest.approx(whole, rel=1e-4), pytest.approx(whole + cut, rel=1e-4))
        seen.add(found == pytest.approx(whole, rel=1e-4))
    assert seen == {True, False}
