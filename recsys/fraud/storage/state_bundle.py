"""The state of a fraud scorer on disk: a bundle that belongs to one model.

It is written anew after each pass, and holds what the next one needs of every account.
"""

from __future__ import annotations

from pathlib import Path

from recsys.artifacts import Bundle, read_bundle, write_bundle
from recsys.datasets.origin import reason_of
from recsys.errors import ArtifactError, DataError
from recsys.features.encoder_bundle import vocabulary_of, vocabulary_table
from recsys.fraud.alerts import alert_memory
from recsys.fraud.embedding.inputs import SKETCH_BITS
from recsys.fraud.labels import memory
from recsys.fraud.profiles.arrays import (
    COUNTERPARTY_VALUES,
    NUM_COUNTS,
    NUM_EXCESS_SUMS,
    NUM_POPULATION_SUMS,
)
from recsys.fraud.profiles.state import NUM_CUMULATIVE, Arrays, ProfileState, from_arrays

BUNDLE_KIND = "fraud-state"
"""Kind of the bundle that a state is saved as."""

_COUNTERPARTY, _POPULATION = "counterparty_", "population_"
_LENGTHS = {"until": 1, "population_day": 1, "population_excess": NUM_EXCESS_SUMS}
"""Lengths of arrays that do not depend on the number of accounts or counterparties."""
_WIDTHS = {
    "account_sketch": SKETCH_BITS // 64,
    "counterparty_values": COUNTERPARTY_VALUES,
    "population_recent": NUM_POPULATION_SUMS,
    "population_long_run": NUM_POPULATION_SUMS,
    "heat": NUM_CUMULATIVE,
}
"""Widths of arrays that do not depend on the model; the compiled pass checks no bounds."""
_OPTIONAL = {"recent": memory.COLUMNS, "alert_memory": alert_memory.COLUMNS}
"""Columns of the tables that a state may have, by the names of its fields."""


def save_state(state: ProfileState, folder: Path, *, model_fingerprint: str) -> Bundle:
    """Write a state as a bundle.

    Args:
        state: What is known of accounts and counterparties.
        folder: A folder that does not exist yet.
        model_fingerprint: Fingerprint of the bundle of the model that the state belongs to.

    Raises:
        ArtifactError: The folder exists, or the disk refuses.
    """
    return write_bundle(
        folder,
        kind=BUNDLE_KIND,
        tensors={"state": state.arrays()},
        tables={
            "accounts": vocabulary_table(state.account_ids),
            "counterparties": vocabulary_table(state.counterparty_ids),
            **{name: table for name in _OPTIONAL if (table := getattr(state, name)) is not None},
        },
        parents={"model": model_fingerprint},
    )


def load_state(folder: Path, *, model_fingerprint: str) -> ProfileState:
    """Read a state from its bundle; every file is checked before it is parsed.

    Args:
        folder: Where the bundle lies.
        model_fingerprint: Fingerprint of the bundle of the model that goes on with it.

    Raises:
        ArtifactError: The bundle is missing, damaged, or of another kind or format.
        FingerprintMismatchError: The state belongs to another model.
    """
    bundle = read_bundle(folder, kind=BUNDLE_KIND, expected_parents={"model": model_fingerprint})
    try:
        return _read(bundle)
    except (DataError, LookupError, TypeError, ValueError) as error:
        got = reason_of(error)
        raise ArtifactError(
            f"{folder}: expected a state of this version, got {got}; train again"
        ) from error


def _read(bundle: Bundle) -> ProfileState:
    accounts = vocabulary_of(bundle.table("accounts"))
    counterparties = vocabulary_of(bundle.table("counterparties"))
    arrays = bundle.tensors("state")
    _check_lengths(arrays, num_accounts=len(accounts), num_counterparties=len(counterparties))
    optional = {
        name: bundle.table(name)
        for name in _OPTIONAL
        if f"tables/{name}.parquet" in bundle.manifest.files
    }
    for name, table in optional.items():
        if tuple(table.column_names) != _OPTIONAL[name]:
            raise ValueError(f"{name} with the columns {table.column_names}")
    return from_arrays(accounts, counterparties, arrays, **optional)


def _check_lengths(arrays: Arrays, *, num_accounts: int, num_counterparties: int) -> None:
    """Refuse arrays whose number of rows or columns does not fit the ids.

    Raises:
        ValueError: An array has another number of rows or columns.
    """
    for name, array in arrays.items():
        if name in _LENGTHS:
            expected = _LENGTHS[name]
        elif name.startswith(_POPULATION):
            expected = NUM_COUNTS
        else:
            expected = num_counterparties if name.startswith(_COUNTERPARTY) else num_accounts
        if len(array) != expected:
            raise ValueError(f"{len(array)} rows of {name}, {expected} expected")
        if name in _WIDTHS and array.shape[1:] != (_WIDTHS[name],):
            raise ValueError(f"the shape {array.shape} of {name}, {_WIDTHS[name]} columns expected")
