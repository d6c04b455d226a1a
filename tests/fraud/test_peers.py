"""Peer groups and what holds for them, where the groups are known.

Shapes: N transactions, A accounts, G peer groups, C contexts, H hours, K clusters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.fraud.profiles.arrays import NUM_HOURS, Priors
from recsys.fraud.profiles.peers import find_peer_groups, fit_priors, num_peer_groups

NUM_CONTEXTS, NUM_CLUSTERS = 4, 3


@dataclass(frozen=True, eq=False)
class Behaviour:
    """Transactions, and the group that each account was drawn from."""

    account: np.ndarray
    context: np.ndarray
    hour: np.ndarray
    amount: np.ndarray
    cluster: np.ndarray
    group_of_account: np.ndarray

    def priors(self, *, num_groups: int, strength: float = 20.0) -> Priors:
        """Priors of the groups that the accounts were drawn from."""
        return fit_priors(
            self.group_of_account[self.account], self.context, self.hour, self.amount,
            self.cluster, num_groups=num_groups, num_contexts=NUM_CONTEXTS,
            num_clusters=NUM_CLUSTERS, strength=strength,
        )  # fmt: skip


def drawn(seed: int, *, num_accounts: int = 90, rows_per_account: int = 60) -> Behaviour:
    """Three groups that differ in what they buy, when, and at what level."""
    rng = np.random.default_rng(seed)
    group_A = np.arange(num_accounts) % 3
    account = np.repeat(np.arange(num_accounts), rows_per_account)
    group = group_A[account]
    num_rows = len(account)
    context = np.where(rng.random(num_rows) < 0.8, group, rng.integers(0, NUM_CONTEXTS, num_rows))
    return Behaviour(
        account=account,
        context=context,
        hour=(8 * group + rng.integers(0, 8, num_rows)) % NUM_HOURS,
        amount=(2 + group + 0.3 * rng.normal(size=num_rows)).astype(np.float32),
        cluster=rng.integers(0, NUM_CLUSTERS, num_rows),
        group_of_account=group_A,
    )


@pytest.mark.parametrize("seed", range(3))
def test_groups_that_can_be_told_apart_are_found(seed: int) -> None:
    """Two accounts share a group exactly where they were drawn from one."""
    log = drawn(seed)
    found = find_peer_groups(
        log.account, log.context, log.hour, log.amount,
        num_accounts=90, num_contexts=NUM_CONTEXTS, seed=0,
    )  # fmt: skip
    pairs = set(zip(found.tolist(), log.group_of_account.tolist(), strict=True))
    assert len(pairs) == len(set(found.tolist())) == 3


@given(numbers=st.lists(st.integers(1, 10**7), min_size=2))
def test_more_accounts_make_as_many_groups_or_more(numbers: list[int]) -> None:
    """The number of groups rises with the accounts, from 1 to 16, and never exceeds theirs."""
    groups = {number: num_peer_groups(number) for number in sorted(numbers)}
    assert list(groups.values()) == sorted(groups.values())
    assert all(1 <= some <= min(16, number) for number, some in groups.items())


@given(seed=st.integers(0, 1000), num_groups=st.integers(1, 4), num_accounts=st.integers(1, 5))
def test_priors_are_shares_and_spreads(seed: int, num_groups: int, num_accounts: int) -> None:
    """Whatever is missing in a group, its shares are positive and sum to 1, and it has a spread."""
    rng = np.random.default_rng(seed)
    log = drawn(seed, num_accounts=num_accounts, rows_per_account=3)
    group_A = rng.integers(0, num_groups, num_accounts)
    log = Behaviour(**{**vars(log), "group_of_account": group_A})
    priors = log.priors(num_groups=num_groups)
    assert priors.amount_mean.shape == priors.amount_var.shape == (num_groups, NUM_CONTEXTS)
    assert priors.hour.shape == (num_groups, NUM_CONTEXTS, NUM_HOURS)
    assert priors.hour_of_peer.shape == (num_groups, NUM_HOURS)
    assert priors.cluster.shape == (num_groups, NUM_CLUSTERS)
    for shares in (priors.context, priors.hour, priors.hour_of_peer, priors.cluster):
        assert (shares > 0).all()
        np.testing.assert_allclose(shares.sum(-1), 1, rtol=1e-5)
    assert (priors.amount_var > 0).all()
    assert np.isfinite(priors.amount_mean).all()


def test_a_group_is_shrunk_towards_everyone() -> None:
    """With more strength the groups' amounts and shares move together, and apart with less."""
    log = drawn(0)
    spreads = []
    for strength in (1e-3, 1.0, 100.0, 1e7):
        priors = log.priors(num_groups=3, strength=strength)
        spreads.append([np.ptp(priors.amount_mean[:, 3]), np.ptp(priors.context[:, 0])])
    assert (np.diff(spreads, axis=0) < 0).all()
    assert max(spreads[-1]) < 1e-2
    np.testing.assert_allclose(spreads[0], [2, 0.8], atol=0.2)


def test_a_group_without_transactions_is_like_everyone() -> None:
    """What nothing is known of is expected to be as all accounts together."""
    log = drawn(0)
    priors = log.priors(num_groups=4)
    shares = np.bincount(log.context) / len(log.context)
    np.testing.assert_allclose(priors.context[3], shares, atol=0.01)
    np.testing.assert_allclose(
        priors.cluster[3], np.bincount(log.cluster) / len(log.cluster), atol=0.01
    )
    for context in range(NUM_CONTEXTS):
        usual = log.amount[log.context == context].mean()
        assert priors.amount_mean[3, context] == pytest.approx(usual, abs=0.05)


def test_groups_do_not_depend_on_the_order_of_rows() -> None:
    """The same transactions in another order give the same groups and the same priors."""
    log = drawn(1)
    order = np.random.default_rng(0).permutation(len(log.account))
    fields = {name: array[order] for name, array in vars(log).items() if name != "group_of_account"}
    mixed = Behaviour(**fields, group_of_account=log.group_of_account)
    np.testing.assert_allclose(
        log.priors(num_groups=3).amount_mean, mixed.priors(num_groups=3).amount_mean, rtol=1e-5
    )
    one, other = (
        find_peer_groups(
            rows.account,
            rows.context,
            rows.hour,
            rows.amount,
            num_accounts=90,
            num_contexts=NUM_CONTEXTS,
            seed=0,
        )
        for rows in (log, mixed)
    )
    np.testing.assert_array_equal(one, other)
