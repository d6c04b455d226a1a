"""What each kind of evidence of the fraud scorer is worth, and whether its embedding is.

    python benchmarks/fraud_ablation.py --data data/raw

No labels are used. The logs are the whole one of Sparkov and that of the Fraud Detection Handbook,
where the folder has them (`sparkov/transactions.parquet`, `handbook/transactions.parquet`). The
days measured lie before the test window of each, so that a choice may rest on them. A table is one
log; the weighing is learnt again for each row. In one row a principal component analysis of the
same columns, as wide as the embedding, takes the place of the autoencoder: the clusters are those
of its components, and a column's error is what it fails to reconstruct. A kind alone ranks
transactions by its surprise. Writes a Markdown table a log.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from scipy import sparse

from pipelines.console import Reporter
from pipelines.fraud_config import load_fraud_config
from pipelines.fraud_data import load_checked_transactions, num_threads
from recsys.datasets.transactions.days import day_of, rows_before, start_of
from recsys.datasets.transactions.labels import known_labels, load_labels
from recsys.features.encoder import EncodedTable
from recsys.fraud.autoencoder import InputColumns
from recsys.fraud.benchmark import TestRows
from recsys.fraud.model import Clusters, FraudModel, Observed
from recsys.fraud.profiles.arrays import EVIDENCE
from recsys.fraud.profiles.passing import pass_over, rows_of
from recsys.fraud.profiling import ProfiledLog, profile_log
from recsys.fraud.tails import surprise_of
from recsys.fraud.train import fit_clusters, fit_fraud_model
from recsys.fraud.weighing import Weighed, fit_judge
from recsys.schema import ACCOUNT_ID, COUNTERPARTY_ID

Floats = npt.NDArray[np.float32]

CONFIGS = Path(__file__).resolve().parents[1] / "pipelines" / "configs"
LOGS = {
    "sparkov": (date(2020, 2, 15), date(2020, 6, 21)),
    "handbook": (date(2018, 6, 20), date(2018, 6, 27)),
}
DISTANCES = ("account_distance", "peer_distance")
HEADER = "| evidence | AUC | AP | account-day AP | trees |\n|---|---|---|---|---|"
_BLOCK_ROWS = 1 << 14
_SAMPLE_ROWS = 200_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Cut:
    """A log and the days that are measured."""

    train: pa.Table
    test: pa.Table
    is_fraud_N: npt.NDArray[np.bool_]  # noqa: N815 - the shape, as everywhere
    num_fit: int
    model: FraudModel


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """Evidence of both parts of a log."""

    profiled: ProfiledLog
    coded: tuple
    account_test: npt.NDArray[np.int64]
    train: Floats
    test: Floats
    known: npt.NDArray[np.bool_]


def main() -> None:
    """Print a table a log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/raw"))
    parser.add_argument("--logs", nargs="+", choices=[*LOGS], default=[*LOGS])
    arguments = parser.parse_args()
    for name in arguments.logs:
        path = arguments.data / name / "transactions.parquet"
        if not path.is_file():
            print(f"skipped {name}: no {path}", file=sys.stderr)
            continue
        start, end = LOGS[name]
        print(f"{name.capitalize()}, {start} to {end}, the latter not included:\n\n{HEADER}")
        for row in _rows(_cut(name, path)):
            print(row, flush=True)
        print()


def _cut(name: str, path: Path) -> Cut:
    """Fit on the days before those measured."""
    start, end = (start_of(day) for day in LOGS[name])
    config = load_fraud_config(CONFIGS / f"{name}.toml", data={"transactions": path})
    config = replace(config, data=replace(config.data, labels=path))
    log, checked = load_checked_transactions(config, Reporter(quiet=True))
    table = rows_before(checked.table, end)
    train = rows_before(table, start)
    labels = load_labels(config.data, config.columns, log)
    is_fraud_N = known_labels(table, labels, delay_days=0, at=end) == 1
    fitted = fit_fraud_model(train, config.features, config.fraud, num_threads=num_threads())
    return Cut(
        train=train,
        test=table.slice(train.num_rows),
        is_fraud_N=is_fraud_N[train.num_rows :],
        num_fit=fitted.report.num_rows - fitted.report.num_calibration_rows,
        model=fitted.model,
    )


def _rows(cut: Cut) -> list[str]:
    """A row a choice of evidence; the tables of a log are short, so they come at once."""
    model = cut.model
    evidence = _evidence(cut, model.observe(cut.train), model.observe(cut.test))
    kinds = list(model.evidence_names)
    ours = [kind for kind in kinds if kind in DISTANCES or kind not in EVIDENCE]
    everything, weighed = _row("everything", kinds, cut, evidence)
    rows = [
        everything,
        _row("without the embedding", [k for k in kinds if k not in ours], cut, evidence)[0],
        _row("the embedding alone", ours, cut, evidence)[0],
    ]
    principal = PrincipalComponents.fit(cut)
    replaced = _evidence(cut, principal.observe(cut.train), principal.observe(cut.test))
    rows.append(_row("components in place of the embedding", kinds, cut, replaced)[0])
    rows.append(_row("components alone", ours, cut, replaced)[0])
    for kind in kinds:
        others = [other for other in kinds if other != kind]
        rows.append(_row(f"all but {kind}", others, cut, evidence)[0])
    surprise_NJ = surprise_of(weighed.judge.tails, evidence.test)
    for place, kind in enumerate(kinds):
        rows.append(_measured(f"{kind} alone", surprise_NJ[:, place], cut, evidence, trees=""))
    return rows


def _evidence(cut: Cut, train: Observed, test: Observed) -> Evidence:
    """Send both parts through the pass."""
    model = cut.model
    profiled = profile_log(cut.train, train, model.inputs, cut.num_fit, model.config)
    layout = replace(model, priors=profiled.priors).layout
    state = profiled.state.grown(*_ids(cut))
    rows = rows_of(cut.test, test.coded, test.log_density, state)
    passed = pass_over(rows, state, layout, profiled.priors, profiled.excess)
    return Evidence(
        profiled=profiled,
        coded=(train.coded, test.coded),
        account_test=rows.account,
        train=np.hstack([profiled.passed.evidence, train.reconstruction]),
        test=np.hstack([passed.evidence, test.reconstruction]),
        known=profiled.passed.num_known >= model.config.profiles.cold_transactions,
    )


def _ids(cut: Cut) -> tuple[pa.ChunkedArray, pa.ChunkedArray | None]:
    has_counterparty = cut.model.inputs.has_counterparty
    return cut.test[ACCOUNT_ID], cut.test[COUNTERPARTY_ID] if has_counterparty else None


def _row(name: str, used: Sequence[str], cut: Cut, evidence: Evidence) -> tuple[str, Weighed]:
    """Learn to weigh some kinds and measure."""
    places = [place for place, kind in enumerate(cut.model.evidence_names) if kind in used]
    weighed = fit_judge(
        tuple(used), evidence.train[:, places], evidence.coded[0], evidence.profiled.rows.account,
        evidence.profiled.state, covered=cut.model.inputs.covered, known_N=evidence.known,
        num_fit=cut.num_fit, config=cut.model.config, num_threads=num_threads(),
    )  # fmt: skip
    judgement = weighed.judge.judge(
        evidence.test[:, places], evidence.coded[1], evidence.account_test,
        weighed.state.grown(*_ids(cut)), num_threads=num_threads(),
    )  # fmt: skip
    trees = "no" if weighed.judge.booster is None else "yes"
    return _measured(name, judgement.combined, cut, evidence, trees=trees), weighed


def _measured(
    name: str, score_N: npt.NDArray[np.floating], cut: Cut, evidence: Evidence, *, trees: str
) -> str:
    rows = TestRows(
        account=evidence.account_test,
        day=day_of(cut.test),
        is_fraud=cut.is_fraud_N,
        keep=np.ones(len(score_N), dtype=np.bool_),
    )
    values = rows.measure(score_N.astype(np.float64)).values
    figures = (values[key] for key in ("auc", "average_precision", "account_day_average_precision"))
    return f"| {name} | {' | '.join(f'{figure:.4f}' for figure in figures)} | {trees} |"


@dataclass(frozen=True, kw_only=True, eq=False)
class PrincipalComponents:
    """A linear autoencoder of the same columns: V one-hot and numeric ones, D components."""

    model: FraudModel
    mean: npt.NDArray[np.float64]
    components: npt.NDArray[np.float64]
    clusters: Clusters

    @classmethod
    def fit(cls, cut: Cut) -> PrincipalComponents:
        """Eigenvectors of the covariance of some rows to fit on."""
        rng = np.random.default_rng(cut.model.config.seed)
        chosen = np.sort(rng.permutation(cut.num_fit)[:_SAMPLE_ROWS])
        encoded = cut.model.inputs.encode(cut.train.take(pa.array(chosen))).columns
        x_NV = _one_hot(encoded, cut.model.autoencoder.inputs)
        mean_V = np.asarray(x_NV.mean(axis=0)).ravel()
        covariance_VV = (x_NV.T @ x_NV).toarray() / len(chosen) - np.outer(mean_V, mean_V)
        _, vectors_VV = np.linalg.eigh(covariance_VV)
        width = cut.model.autoencoder.config.embedding_dim
        components_VD = vectors_VV[:, ::-1][:, :width].copy()
        embedding_ND = np.asarray(x_NV @ components_VD - mean_V @ components_VD, dtype=np.float32)
        return cls(
            model=cut.model,
            mean=mean_V,
            components=components_VD,
            clusters=fit_clusters(embedding_ND, cut.model.config),
        )

    def observe(self, table: pa.Table) -> Observed:
        """As the model does it, with these components in place of the embedding."""
        coded = self.model.inputs.encode(table)
        columns = self.model.autoencoder.inputs
        embedding, errors = [], []
        for start in range(0, table.num_rows, _BLOCK_ROWS):
            block = coded.columns.take(
                torch.arange(start, min(start + _BLOCK_ROWS, table.num_rows))
            )
            centred_BV = _one_hot(block, columns).toarray() - self.mean
            embedding_BD = centred_BV @ self.components
            squared_BV = np.square(centred_BV - embedding_BD @ self.components.T)
            embedding.append(embedding_BD.astype(np.float32))
            errors.append(
                np.stack([squared_BV[:, part].sum(1) for part in _parts(columns)], axis=1)
            )
        embedding_ND = np.concatenate(embedding)
        return Observed(
            coded=coded,
            embedding=embedding_ND,
            log_density=self.clusters.log_densities(embedding_ND),
            reconstruction=np.concatenate(errors).astype(np.float32),
        )


def _one_hot(encoded: EncodedTable, columns: InputColumns) -> sparse.csr_matrix:
    """A column a code, then the numeric ones. Shape (N, V)."""
    sizes = np.array([0, *columns.categorical.values()])
    places_NC = encoded.categorical.numpy() + sizes.cumsum()[:-1]
    num_rows, num_columns = places_NC.shape
    codes_NV = sparse.csr_matrix(
        (
            np.ones(places_NC.size),
            places_NC.ravel(),
            np.arange(num_rows + 1) * num_columns,
        ),
        shape=(num_rows, sizes.sum()),
    )
    return sparse.hstack([codes_NV, sparse.csr_matrix(encoded.numeric.double().numpy())]).tocsr()


def _parts(columns: InputColumns) -> list[npt.NDArray[np.int64]]:
    """Columns of `_one_hot` of each column to reconstruct."""
    starts = np.cumsum([0, *columns.categorical.values()])
    return [
        np.arange(starts[target.number], starts[target.number] + target.num_codes)
        if target.num_codes
        else starts[-1:] + target.number
        for target in columns.located()
    ]


if __name__ == "__main__":
    main()
