"""What each kind of evidence of the fraud scorer is worth, and whether its embedding is.

    python benchmarks/fraud_ablation.py --data data/raw

Three kinds of tables. `kinds`: no label is used, and the weighing is learnt again for each row; a
kind alone ranks transactions by its surprise. `labels`: labels 7 days late, and the trees over
them are fitted again for each row; what the labels say and what an account did in windows of time
is in every row, also in the one without evidence. `planted`: generated logs with frauds of all
kinds after the days learnt from, no labels, means over seeds. A fraud of the kind "new country" is
a day of ordinary purchases in a country where the account never was: no habit covers countries, so
that it shows in the embedding alone. One row has of the embedding the errors of such columns only;
it is left out where it is the same as another.

The logs of the first two are the whole one of Sparkov and that of the Fraud Detection Handbook,
where the folder has them (`sparkov/transactions.parquet`, `handbook/transactions.parquet`). The
days measured lie before the test window of each, so that a choice may rest on them. In one row a
principal component analysis of the same columns, as wide as the embedding, takes the place of the
autoencoder: the clusters are those of its components, and a column's error is what it fails to
reconstruct. Writes Markdown tables.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from fraud_components import PrincipalComponents
from planted_logs import FEATURES, planted_log

from pipelines.fraud.config import load_fraud_config
from pipelines.fraud.data import load_checked_transactions
from pipelines.jobs.console import Reporter
from pipelines.jobs.inputs import Inputs
from recsys.arrays import BoolArray, Float32Array, Float64Array, FloatArray
from recsys.compiled import num_threads
from recsys.datasets.transactions.days import day_number, day_of, rows_before, start_of
from recsys.datasets.transactions.labels import known_labels, load_labels
from recsys.features.vocabulary import Vocabulary
from recsys.fraud.config import FraudConfig
from recsys.fraud.embedding.observed import Observed
from recsys.fraud.evaluation.benchmark import TestRows
from recsys.fraud.evaluation.metrics import known_compromised
from recsys.fraud.fitting.episodes import is_own
from recsys.fraud.fitting.profiling import ProfiledLog, profile_log
from recsys.fraud.fitting.train import FittedFraud, fit_fraud_model
from recsys.fraud.fitting.weighing import Weighed, fit_scorer
from recsys.fraud.labels.memory import RecentTransactions
from recsys.fraud.labels.meta_model import fit_meta_model
from recsys.fraud.labels.supervised import meta_model_features
from recsys.fraud.model import FraudModel
from recsys.fraud.profiles.arrays import EVIDENCE, Passed, Rows
from recsys.fraud.profiles.passing import numbers_of, pass_over, rows_of
from recsys.fraud.scoring.tails import surprise_of
from recsys.schema import ACCOUNT_ID, COUNTERPARTY_ID, TRANSACTION_ID

CONFIGS = Path(__file__).resolve().parents[1] / "pipelines" / "configs"
DISTANCES = ("account_distance",)
DELAY_DAYS = 7.0
WARM_DAYS = 30.0 + DELAY_DAYS
"""Days at the start of a log that the library does not learn labels from either."""
MEASURES = {
    "AUC": "auc",
    "AP": "average_precision",
    "account-day AP": "account_day_average_precision",
    "card precision@100": "card_precision@100",
}
TABLES = ("kinds", "labels", "planted")


@dataclass(frozen=True, kw_only=True)
class Period:
    """The days of a log that are learnt from and measured, the last of each not included."""

    train_end: date
    plain_end: date
    """Measured without labels, from the train end on."""
    labelled: tuple[date, date]
    """Measured with labels."""
    drop_known: bool
    """Whether accounts that are known to be compromised are left out with labels."""


LOGS = {
    "sparkov": Period(
        train_end=date(2020, 2, 15),
        plain_end=date(2020, 6, 21),
        labelled=(date(2020, 2, 15), date(2020, 6, 21)),
        drop_known=False,
    ),
    "handbook": Period(
        train_end=date(2018, 6, 20),
        plain_end=date(2018, 6, 27),
        labelled=(date(2018, 6, 27), date(2018, 7, 4)),
        drop_known=True,
    ),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Cut:
    """A log, what is learnt from and what comes after it."""

    train: pa.Table
    test: pa.Table
    is_fraud_N: BoolArray  # noqa: N815 - the shape, as everywhere
    num_fit: int
    model: FraudModel
    labels: pa.Table | None = None
    period: Period | None = None
    is_known_N: BoolArray | None = None  # noqa: N815
    """Whether the account of a test row is known to be compromised."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """Evidence of both parts of a log."""

    profiled: ProfiledLog
    coded: tuple
    rows: Rows
    passed: Passed
    train: Float32Array
    test: Float32Array
    known: BoolArray


def main() -> None:
    """Print the tables of each log, then those of generated ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/raw"))
    parser.add_argument("--logs", nargs="+", choices=[*LOGS], default=[*LOGS])
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13])
    arguments = parser.parse_args()
    for name in arguments.logs if {"kinds", "labels"} & {*arguments.tables} else ():
        path = arguments.data / name / "transactions.parquet"
        if not path.is_file():
            print(f"skipped {name}: no {path}", file=sys.stderr)
            continue
        for line in _tables_of_log(name, path, arguments.tables):
            print(line, flush=True)
    if "planted" in arguments.tables:
        for line in _planted_table(arguments.seeds):
            print(line, flush=True)


def _tables_of_log(name: str, path: Path, tables: Sequence[str]) -> Iterator[str]:
    """Both tables; what the embedding and the components say is computed once."""
    cut = _cut(name, path)
    period = LOGS[name]
    evidence = _evidence(cut, cut.model.observe(cut.train), cut.model.observe(cut.test))
    replaced = _replaced(cut)
    name = name.capitalize()
    if "kinds" in tables:
        days = f"{period.train_end} to {period.plain_end}, the latter not included"
        yield f"{name}, {days}:\n"
        yield from _header("evidence", [*list(MEASURES)[:3], "trees"])
        yield from _rows(cut, evidence, replaced)
        yield ""
    if "labels" in tables:
        days = "{} to {}, the latter not included".format(*period.labelled)
        learnt = f"labels {DELAY_DAYS:g} days late, learnt before {period.train_end}"
        yield f"{name}, {learnt}, {days}:\n"
        yield from _header("evidence", MEASURES)
        yield from _labelled_rows(cut, evidence, replaced)
        yield ""


def _header(first: str, others: Iterable[str]) -> Iterator[str]:
    names = [first, *others]
    yield f"| {' | '.join(names)} |"
    yield "|---" * len(names) + "|"


def _cut(name: str, path: Path) -> Cut:
    """Fit on the days before those measured."""
    period = LOGS[name]
    config = load_fraud_config(CONFIGS / f"{name}.toml", data={"transactions": path})
    config = replace(config, data=replace(config.data, labels=path))
    log, checked = load_checked_transactions(Inputs(), config, Reporter(quiet=True))
    table = rows_before(checked.table, start_of(max(period.plain_end, period.labelled[1])))
    train = rows_before(table, start_of(period.train_end))
    labels = load_labels(config.data, config.columns, log)
    latest = datetime.max.replace(tzinfo=UTC)
    is_fraud_N = known_labels(table, labels, delay_days=0, at=latest) == 1
    fitted = fit_fraud_model(train, config.features, config.fraud, num_threads=num_threads())
    return Cut(
        train=train,
        test=table.slice(train.num_rows),
        is_fraud_N=is_fraud_N[train.num_rows :],
        num_fit=_num_fit(fitted),
        model=fitted.model,
        labels=labels,
        period=period,
        is_known_N=_known(table, is_fraud_N, period)[train.num_rows :],
    )


def _num_fit(fitted: FittedFraud) -> int:
    return fitted.report.num_rows - fitted.report.num_calibration_rows


def _known(table: pa.Table, is_fraud_N: BoolArray, period: Period) -> BoolArray:
    """Rows of accounts that are known to be compromised, where these are left out."""
    if not period.drop_known:
        return np.zeros(table.num_rows, dtype=np.bool_)
    return known_compromised(
        Vocabulary.fit(table[ACCOUNT_ID]).numbers(table[ACCOUNT_ID]),
        np.floor(day_of(table)).astype(np.int64),
        is_fraud_N,
        train_end_day=day_number(period.train_end),
        test_start_day=day_number(period.labelled[0]),
    )


def _choices(cut: Cut) -> dict[str, tuple[list[str], bool]]:
    """Kinds of evidence of the rows that ask about the embedding, and whether it is replaced."""
    kinds = list(cut.model.evidence_names)
    ours = [kind for kind in kinds if kind in DISTANCES or kind not in EVIDENCE]
    rest = [kind for kind in kinds if kind not in ours]
    uncovered = [kind for kind in ours if is_own(kind, cut.model.inputs.covered)]
    return {
        "everything": (kinds, False),
        "without the embedding": (rest, False),
        "no embedding but columns that no habit covers": (rest + uncovered, False),
        "the embedding alone": (ours, False),
        "components in place of the embedding": (kinds, True),
        "components alone": (ours, True),
    }


def _different(choices: dict[str, tuple[list[str], bool]]) -> dict[str, tuple[list[str], bool]]:
    """The first of the rows that are the same."""
    seen = [*choices.values()]
    return {
        name: choice for place, (name, choice) in enumerate(choices.items())
        if choice not in seen[:place]
    }  # fmt: skip


def _rows(cut: Cut, evidence: Evidence, replaced: Evidence) -> Iterator[str]:
    """A row a choice of evidence, without labels."""
    first = None
    for name, (used, is_replaced) in _different(_choices(cut)).items():
        line, weighed = _row(name, used, cut, replaced if is_replaced else evidence)
        first = first or weighed
        yield line
    kinds = list(cut.model.evidence_names)
    for kind in kinds:
        yield _row(f"all but {kind}", [k for k in kinds if k != kind], cut, evidence)[0]
    surprise_NJ = surprise_of(first.scorer.tails, evidence.test)
    for place, kind in enumerate(kinds):
        figures = _plain_figures(surprise_NJ[:, place], cut, evidence)
        yield f"| {kind} alone | {figures} |  |"


def _replaced(cut: Cut) -> Evidence:
    """Evidence with components in the place of the embedding."""
    principal = PrincipalComponents.fit(cut.model, cut.train.slice(0, cut.num_fit))
    return _evidence(cut, principal.observe(cut.train), principal.observe(cut.test))


def _evidence(cut: Cut, train: Observed, test: Observed) -> Evidence:
    """Send both parts through the pass."""
    model = cut.model
    profiled = profile_log(cut.train, train, model.inputs, cut.num_fit, model.config)
    layout = replace(model, priors=profiled.priors).layout
    state = profiled.state.grown(*_ids(cut))
    rows = rows_of(numbers_of(cut.test, state), test.coded, test.log_density)
    passed = pass_over(rows, state, layout, profiled.priors, profiled.excess)
    return Evidence(
        profiled=profiled,
        coded=(train.coded, test.coded),
        rows=rows,
        passed=passed,
        train=np.hstack([profiled.passed.evidence, train.reconstruction]),
        test=np.hstack([passed.evidence, test.reconstruction]),
        known=profiled.passed.num_known >= model.config.profiles.cold_transactions,
    )


def _ids(cut: Cut) -> tuple[pa.ChunkedArray, pa.ChunkedArray | None]:
    has_counterparty = cut.model.inputs.has_counterparty
    return cut.test[ACCOUNT_ID], cut.test[COUNTERPARTY_ID] if has_counterparty else None


def _weighed(used: Sequence[str], cut: Cut, evidence: Evidence) -> tuple[Weighed, list[int]]:
    """Learn to weigh some kinds."""
    places = [cut.model.evidence_names.index(kind) for kind in used]
    weighed = fit_scorer(
        tuple(used), evidence.train[:, places], evidence.coded[0], evidence.profiled.rows.account,
        evidence.profiled.state, covered=cut.model.inputs.covered, silent=evidence.profiled.silent,
        known_N=evidence.known, num_fit=cut.num_fit, config=cut.model.config,
        num_threads=num_threads(),
    )  # fmt: skip
    return weighed, places


def _scored(used: Sequence[str], cut: Cut, evidence: Evidence) -> tuple[Float64Array, Weighed]:
    """Scores of the test rows from some kinds."""
    weighed, places = _weighed(used, cut, evidence)
    calibrated = weighed.scorer.score(
        evidence.test[:, places], evidence.coded[1], evidence.rows.account,
        weighed.state.grown(*_ids(cut)), num_threads=num_threads(),
    )  # fmt: skip
    return calibrated.combined, weighed


def _row(name: str, used: Sequence[str], cut: Cut, evidence: Evidence) -> tuple[str, Weighed]:
    """Learn to weigh some kinds and measure."""
    score_N, weighed = _scored(used, cut, evidence)
    trees = "no" if weighed.scorer.booster is None else "yes"
    return f"| {name} | {_plain_figures(score_N, cut, evidence)} | {trees} |", weighed


def _plain_figures(score_N: FloatArray, cut: Cut, evidence: Evidence) -> str:
    """Measures without labels as cells."""
    chosen_N = day_of(cut.test) < day_number(cut.period.plain_end)
    values = _measured(score_N, chosen_N, cut, evidence)
    return " | ".join(f"{values[key]:.4f}" for key in list(MEASURES.values())[:3])


def _measured(
    score_N: FloatArray, chosen_N: BoolArray, cut: Cut, evidence: Evidence
) -> dict[str, float]:
    """Measures of some of the test rows."""
    rows = TestRows(
        account=evidence.rows.account[chosen_N],
        day=day_of(cut.test)[chosen_N],
        is_fraud=cut.is_fraud_N[chosen_N],
        keep=np.ones(int(chosen_N.sum()), dtype=np.bool_),
    )
    return rows.measure(score_N[chosen_N].astype(np.float64)).values


def _labelled_rows(cut: Cut, evidence: Evidence, replaced: Evidence) -> Iterator[str]:
    """A row a choice of evidence beside what labels and windows say."""
    own = [kind for kind in EVIDENCE if kind not in DISTANCES]
    weighed, places = _weighed(own, cut, evidence)  # windows hold what is no embedding's
    recent = [
        RecentTransactions.of(table[TRANSACTION_ID], rows, evidence_NJ[:, places], weighed.scorer)
        for table, rows, evidence_NJ in (
            (cut.train, evidence.profiled.rows, evidence.train),
            (cut.test, evidence.rows, evidence.test),
        )
    ]
    choices = {**_different(_choices(cut)), "no evidence": ([], False)}
    for name, (used, is_replaced) in choices.items():
        score_N = _labelled_scores(
            used, cut, replaced if is_replaced else evidence, recent, weighed
        )
        start, end = map(day_number, cut.period.labelled)
        day_N = day_of(cut.test)
        chosen_N = (day_N >= start) & (day_N < end) & ~cut.is_known_N
        values = _measured(score_N, chosen_N, cut, evidence)
        figures = " | ".join(f"{values[key]:.4f}" for key in MEASURES.values())
        yield f"| {name} | {figures} |"


def _labelled_scores(
    used: Sequence[str],
    cut: Cut,
    evidence: Evidence,
    recent: Sequence[RecentTransactions],
    weighed: Weighed,
) -> Float64Array:
    """Log odds of the test rows from trees that were fitted to the labels known at their start."""
    before, after = recent
    places = [cut.model.evidence_names.index(kind) for kind in used]
    scorer = replace(weighed.scorer, kinds=tuple(used))
    is_late_N = before.day + DELAY_DAYS > day_number(cut.period.labelled[0])
    label_N = np.where(is_late_N, -1, before.labels(cut.labels)).astype(np.int8)
    features_NF, names = meta_model_features(
        scorer, evidence.train[:, places], evidence.profiled.passed, evidence.coded[0].hour,
        before, label_N, DELAY_DAYS,
    )  # fmt: skip
    learnt_N = np.where(before.day < before.day[0] + WARM_DAYS, -1, label_N).astype(np.int8)
    config = cut.model.config
    meta_model = fit_meta_model(
        features_NF, names, learnt_N, config.labels.meta_model, seed=config.seed,
        num_threads=num_threads(),
    )  # fmt: skip
    memory = before.followed_by(after).with_labels(cut.labels, DELAY_DAYS)
    memory = memory.remembered(after.day[0], DELAY_DAYS)
    features_NF, _ = meta_model_features(
        scorer, evidence.test[:, places], evidence.passed, evidence.coded[1].hour, memory,
        memory.label, DELAY_DAYS,
    )  # fmt: skip
    return meta_model.score(features_NF, num_threads=num_threads())


def _planted_table(seeds: Sequence[int]) -> Iterator[str]:
    """Average precision of each kind of fraud, the others left out; means over seeds."""
    found: dict[str, list[dict[str, float]]] = {}
    for seed in seeds:
        cut, plant_N = _planted_cut(seed)
        evidence = _evidence(cut, cut.model.observe(cut.train), cut.model.observe(cut.test))
        replaced = _replaced(cut)
        for name, (used, is_replaced) in _choices(cut).items():
            chosen = replaced if is_replaced else evidence
            score_N, _ = _scored(used, cut, chosen)
            found.setdefault(name, []).append(_by_plant(score_N, plant_N, cut, chosen))
    yield f"Generated logs of the seeds {', '.join(map(str, seeds))}, average precision:\n"
    columns = [*next(iter(found.values()))[0]]
    yield from _header("evidence", columns)
    for name, rows in found.items():
        means = [np.mean([row[column] for row in rows]) for column in columns]
        yield f"| {name} | {' | '.join(f'{mean:.3f}' for mean in means)} |"


def _by_plant(
    score_N: Float64Array, plant_N: npt.NDArray[np.object_], cut: Cut, evidence: Evidence
) -> dict[str, float]:
    """Measures of all frauds, and of each kind with the others left out."""
    everything = _measured(score_N, np.ones(len(score_N), dtype=np.bool_), cut, evidence)
    values = {name: everything[MEASURES[name]] for name in ("AP", "account-day AP")}
    for kind in sorted({plant for plant in plant_N if plant is not None}):
        chosen_N = ~cut.is_fraud_N | (plant_N == kind)
        key = kind.replace("_", " ")
        values[key] = _measured(score_N, chosen_N, cut, evidence)[MEASURES["AP"]]
    return values


def _planted_cut(seed: int) -> tuple[Cut, npt.NDArray[np.object_]]:
    """A generated log, fitted before the first plant; the kind of each fraud after that."""
    log = planted_log(seed=seed)
    fitted = fit_fraud_model(log.train, FEATURES, FraudConfig(), num_threads=num_threads())
    cut = Cut(
        train=log.train,
        test=log.test,
        is_fraud_N=log.is_fraud,
        num_fit=_num_fit(fitted),
        model=fitted.model,
    )
    return cut, log.plant


if __name__ == "__main__":
    main()
