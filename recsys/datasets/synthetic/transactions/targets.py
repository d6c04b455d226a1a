"""Whom a plant is put on: accounts and merchants with a history, one for each plant.

Shapes: N transactions, X accounts or merchants.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np

from recsys.arrays import Int64Array
from recsys.datasets.synthetic.transactions.behaviour import Rows
from recsys.datasets.synthetic.transactions.planting import LONGEST_DAYS, MIN_VICTIMS
from recsys.datasets.synthetic.transactions.plants import Plant, PlantKind
from recsys.errors import ConfigError

MIN_HISTORY = 15
"""Normal transactions before the day of a plant, for an account or a merchant that is drawn."""
MAX_INTENSITY = 10.0
"""Beyond it, the amounts of a drift would be of no use as money."""


def check_plants(planted: Sequence[Plant], *, num_days: int) -> None:
    """Refuse plants that cannot be in a log of so many days.

    Raises:
        ConfigError: An unknown kind, an intensity out of range, or days beyond the log.
    """
    for number, plant in enumerate(planted):
        if plant.kind not in get_args(PlantKind):
            kinds = ", ".join(get_args(PlantKind))
            raise _refusal(number, f"one of {kinds}", repr(plant.kind), "choose one of them")
        if not 0 < plant.intensity <= MAX_INTENSITY:
            allowed = f"an intensity above 0 and at most {MAX_INTENSITY:g}"
            raise _refusal(number, allowed, str(plant.intensity), "use 1.0")
        longest = LONGEST_DAYS[plant.kind]
        if not 0 <= plant.day <= num_days - longest:
            raise _refusal(
                number,
                f"a day of {num_days} with {longest} left for {plant.kind}",
                f"day {plant.day}",
                "move the plant or lengthen the log",
            )


def draw_targets(
    rngs: Sequence[np.random.Generator], normal: Rows, planted: Sequence[Plant]
) -> list[int]:
    """Number of the account, or merchant, of each plant; those that are given stay.

    Args:
        rngs: Source of the draw for each plant.
        normal: The normal transactions.
        planted: What is planted.

    Raises:
        ConfigError: A target without a normal purchase, or none left to draw.
    """
    targets: dict[int, int] = {}
    for number, plant in enumerate(planted):
        if plant.target is not None:
            _check_target(number, plant, plant.target, normal)
            targets[number] = plant.target
    for number, plant in enumerate(planted):
        if plant.target is None:
            alike = [
                own for own in targets if is_on_merchant(planted[own]) == is_on_merchant(plant)
            ]
            taken = [targets[own] for own in alike]
            free = np.setdiff1d(_with_history(plant, normal, _sides(plant, normal)), taken)
            _check_enough(number, plant, free, num_needed=1)
            targets[number] = int(rngs[number].choice(free))
    return [targets[number] for number in range(len(planted))]


def find_victims(
    number: int, normal: Rows, planted: Sequence[Plant], targets: Sequence[int]
) -> Int64Array:
    """Accounts that a plant on a merchant may charge: with a history, and no plant of their own.

    Raises:
        ConfigError: There are too few.
    """
    taken = [own for own, plant in zip(targets, planted, strict=True) if not is_on_merchant(plant)]
    history = _with_history(planted[number], normal, normal.accounts)
    victims = np.setdiff1d(history, taken)
    _check_enough(number, planted[number], victims, num_needed=MIN_VICTIMS)
    return victims


def is_on_merchant(plant: Plant) -> bool:
    """Whether the target of a plant is a merchant, not an account."""
    return plant.kind == "bad_merchant"


def _sides(plant: Plant, normal: Rows) -> Int64Array:
    """Account of each transaction, or merchant: the side that a plant is put on. Shape (N,)."""
    return normal.merchants if is_on_merchant(plant) else normal.accounts


def _with_history(plant: Plant, normal: Rows, side_N: Int64Array) -> Int64Array:
    """Accounts or merchants with enough transactions before the day of a plant."""
    counts_X = np.bincount(side_N[normal.days < plant.day])
    return np.flatnonzero(counts_X >= MIN_HISTORY)


def _check_target(number: int, plant: Plant, target: int, normal: Rows) -> None:
    if not np.any((_sides(plant, normal) == target) & (normal.amounts > 0)):
        kind = "merchant" if is_on_merchant(plant) else "account"
        raise _refusal(
            number,
            "a target with a purchase in the log",
            f"{kind} {target} with none",
            "choose another",
        )


def _check_enough(number: int, plant: Plant, found: Int64Array, *, num_needed: int) -> None:
    if len(found) < num_needed:
        raise _refusal(
            number,
            f"at least {num_needed} free with {MIN_HISTORY} transactions before day {plant.day}",
            str(len(found)),
            "plant less or later, or enlarge the log",
        )


def _refusal(number: int, expected: str, got: str, remedy: str) -> ConfigError:
    return ConfigError(f"synthetic plant {number}: expected {expected}, got {got}; {remedy}")
