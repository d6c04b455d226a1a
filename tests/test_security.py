"""What hostile files, names and values must not do. The static half is in test_architecture.py."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import pickle
import shutil
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent / "recommender"))
sys.path.insert(0, str(Path(__file__).parent / "fraud"))
sys.path.insert(0, str(Path(__file__).parent / "pipelines"))

from alert_example import alert, full_page
from bank import LAST, NIGHT, QUICK, first_month, score, train, write_bank
from html_page import Page
from report_example import full_content
from shop import SMALL_MODEL, UNTRACKED, run_main, shop_dataset, write_shop
from small_fraud import small_fraud
from small_models import fitted

from recsys.artifacts import read_bundle, write_bundle
from recsys.artifacts.manifest import seal
from recsys.config import config_to_dict
from recsys.errors import ArtifactError, PublishError, RecsysError
from recsys.files import FileRecord, record_files
from recsys.fraud.report import render_alert_page
from recsys.fraud.serving import load_fraud_scorer
from recsys.fraud.storage.model_bundle import save_fraud_model
from recsys.fraud.storage.state_bundle import save_state
from recsys.publishing import current_run, publish, published_runs, rollback, verify_run
from recsys.recommender.config import IndexConfig
from recsys.recommender.model_bundle import save_model
from recsys.recommender.report import render_report
from recsys.recommender.report.content import ExampleItem, ExampleList
from recsys.recommender.serving import build_index, load_recommender

ROOT = Path(__file__).parents[1]
DAY = "2026-03-01"

HOSTILE_NAMES = (
    "..", ".", "../x", "../../etc/passwd", "a/../../x", "/etc/passwd", "//host/share", "C:\\x",
    "..\\x", "a\\b", "x\0", "\0", "a\nb", "a\r", "~root", "$HOME", "`id`", "a;b", "a b", "a#b",
    "#", "a?b", "?x=1", "%2e%2e%2f", "%00", "file:///etc/passwd", "http://x/y", ".hidden",
    "_private", "-rf", "", " ", "a.tmp", "CON.x", "\u2025/x", "\uff0e\uff0e/x", "\u2215etc",
    "a\u202eb", "\u0430b", "\u00e9", "\u200bx", "x" * 10_000, "../" * 3_000 + "x",
)  # fmt: skip
"""Names that leave the folder, that a shell, an address or an eye reads otherwise, or too long."""

PAYLOADS = (
    "<script>alert(1)</script>", "</script><script>1</script>", "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>", "<svg><script>1</script></svg>", "<iframe src=javascript:alert(1)>",
    "<a href='javascript:alert(1)'>x</a>", "<body onload=alert(1)>", "<base href=//x/>",
    "<link rel=stylesheet href=//x>", "<meta http-equiv=refresh content='0;url=//x'>",
    "<form action=//x><input>", "<object data=//x>", "<embed src=//x>", "<math><mi//xlink:href=x>",
    "<style>*{background:url(//x)}</style>", "</style><script>1</script>", "</title><b>",
    "</table><h1>x</h1>", "</td></tr></table>", "</section></main></body></html>",
    "<details open>", "<!-- x", "--><script>1</script>", "<![CDATA[x]]>", "<?php x ?>",
    '" onmouseover="alert(1)', "' onfocus='alert(1)' autofocus='", 'x" style="position:fixed',
    "&lt;script&gt;", "&#60;b&#62;", "&amp;", "{{ 7*7 }}", "{% include 'x' %}", "{# x #}",
    "${7*7}", "javascript:alert(1)", "$\\frac{1}{2}$", "\u202e<b>x</b>", "<ScRiPt\x09>1</ScRiPt>",
    '=HYPERLINK("//x")', "<b\x0c/onclick=x>", "<<b>>x",
)  # fmt: skip
"""Titles, ids and names that want to be markup."""


class Canary:
    """Touches a file if it is ever unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


def write_recommender(run: Path) -> None:
    """A model and its index."""
    model = fitted("string").model
    bundle = save_model(model, run / "model", data_digests={})
    build_index(model, IndexConfig(), model_fingerprint=bundle.fingerprint, seed=0).save(
        run / "index"
    )


def read_recommender(run: Path) -> object:
    """Lists of a few users."""
    found = load_recommender(run / "model", run / "index", in_child=True)
    return found.recommend_table(pa.array(found.model.users.terms[:5]), k=3).to_pydict()


def write_fraud(run: Path) -> None:
    """A fraud scorer and its state."""
    scored = small_fraud("bare")
    bundle = save_fraud_model(scored.model, run / "model", data_digests={})
    save_state(scored.state, run / "state", model_fingerprint=bundle.fingerprint)


def read_fraud(run: Path) -> object:
    """Scores of a day."""
    scorer = load_fraud_scorer(run / "model", run / "state")
    scores, _ = scorer.model.score(small_fraud("bare").days[0], scorer.state, num_threads=1)
    return np.asarray(scores.calibrated.anomaly_score).tolist()


PRODUCTS = {
    "recommender": (write_recommender, read_recommender),
    "fraud": (write_fraud, read_fraud),
}
each_product = pytest.mark.parametrize("product", PRODUCTS)


@functools.cache
def expected(product: str, root: Path) -> tuple[Path, object]:
    """A published run of a product, and what it answers."""
    write, read = PRODUCTS[product]
    run = publish(root / product, DAY, write, run_id="sound").folder
    return run, read(run)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the published runs of both halves lie."""
    return tmp_path_factory.mktemp("published")


@each_product
def test_nothing_is_loaded_that_could_run_code(
    product: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models load and answer where every function that unpickles raises."""
    run, answer = expected(product, root)  # numba has compiled by now: its own cache holds pickles

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a function that runs code was called")

    for module, name in (
        (pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load"),
        (torch.jit, "load"), (np, "load"), (joblib, "load"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, refuse)

    assert PRODUCTS[product][1](run) == answer


def with_canary(run: Path, name: str, data: bytes, *, is_sealed: bool) -> None:
    """Put bytes in place of a file; sealed, with digests that fit in the manifests around it."""
    (run / name).write_bytes(data)
    bundle = run / name.partition("/")[0]
    if is_sealed and (bundle / "manifest.json").is_file() and not name.endswith("manifest.json"):
        fields = json.loads((bundle / "manifest.json").read_text())
        files = record_files(bundle)
        del files["manifest.json"]
        keys = ("kind", "config", "parents", "data_digests")
        manifest = seal(files=files, **{key: fields[key] for key in keys})
        (bundle / "manifest.json").write_text(json.dumps(config_to_dict(manifest)))


@each_product
@pytest.mark.parametrize("is_sealed", [False, True])
def test_pickles_in_any_file_stay_data(
    product: str, is_sealed: bool, root: Path, tmp_path: Path
) -> None:
    """A pickle in place of any file of a run is never run, whether its digests fit or not."""
    sound, _ = expected(product, root)
    names = [path.relative_to(sound).as_posix() for path in sound.rglob("*") if path.is_file()]
    canary = tmp_path / "canary"
    for protocol, name in enumerate(names):
        run = shutil.copytree(sound, tmp_path / "run")
        data = pickle.dumps(Canary(canary), protocol=protocol % 6)
        with_canary(run, name, data, is_sealed=is_sealed)

        refusals = Exception if is_sealed else RecsysError
        if name != "_manifest.json":
            with pytest.raises(refusals):
                PRODUCTS[product][1](run)
        with pytest.raises(PublishError):
            verify_run(run)
        assert not canary.exists(), name
        shutil.rmtree(run)
    with pytest.raises(FileNotFoundError):
        canary.rmdir()
    pickle.loads(data)  # noqa: S301  the canary does sing
    assert canary.is_dir()


hostile = st.sampled_from(HOSTILE_NAMES) | st.tuples(
    st.sampled_from(["", "a", "tables/", "../"]),
    st.text(st.sampled_from("./\\#?%\0 \n\u2215\uff0e\u0430~"), min_size=1, max_size=6),
).map("".join)


@given(name=hostile)
def test_hostile_names_are_no_names_of_parts_and_runs(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Names in a bundle and names of runs are letters, digits, `_` and `-`; nothing is written."""
    folder = tmp_path_factory.mktemp("names")

    with pytest.raises(ArtifactError):
        write_bundle(folder / "bundle", kind="x", blobs={name: b""})
    for attempt in (
        lambda: publish(folder / "out", DAY, lambda run: None, run_id=name),  # noqa: ARG005
        lambda: publish(folder / "out", name, lambda run: None, run_id="a"),  # noqa: ARG005
        lambda: rollback(folder / "out", name),
    ):
        with pytest.raises(PublishError):
            attempt()
    assert [*folder.iterdir()] == []


@given(name=hostile)
def test_hostile_names_in_manifests_lead_nowhere(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A manifest that lists a file elsewhere is refused, even where that has the right digest."""
    folder = tmp_path_factory.mktemp("manifests")
    outside = folder / "x"
    outside.write_bytes(b"secret")
    record = FileRecord(size=6, sha256=hashlib.sha256(b"secret").hexdigest())
    files = {**write_bundle(folder / "bundle", kind="x", blobs={"a": b"x"}).manifest.files}
    manifest = seal(kind="x", config={}, parents={}, data_digests={}, files={**files, name: record})
    (folder / "bundle/manifest.json").write_text(json.dumps(config_to_dict(manifest)))
    run = publish(folder / "out", DAY, lambda run: put(run / "b", b"secret"), run_id="a").folder
    listed = json.loads((run / "_manifest.json").read_text())
    listed["files"][name] = config_to_dict(record)
    (run / "_manifest.json").write_text(json.dumps(listed))

    with pytest.raises(ArtifactError):
        read_bundle(folder / "bundle", kind="x")
    with pytest.raises(PublishError):
        verify_run(run)


def put(path: Path, data: bytes) -> None:
    """Write a file."""
    path.write_bytes(data)


@given(name=hostile)
def test_hostile_pointers_are_refused(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A pointer names a day and a run, or the reader is told that it names none."""
    folder = tmp_path_factory.mktemp("pointers")
    for text in (name, f"runs/{DAY}/{name}\n", f"runs/{name}/a\n", f"runs/{DAY}/a\n{name}\n"):
        with contextlib.suppress(UnicodeEncodeError):
            (folder / "CURRENT").write_bytes(text.encode())

        with pytest.raises(PublishError):
            current_run(folder)


@pytest.mark.parametrize("linked", ["CURRENT", f"runs/{DAY}/a", f"runs/{DAY}", "runs"])
def test_links_out_of_the_outputs_are_refused(tmp_path: Path, linked: str) -> None:
    """A pointer, a run or its day that is a link to another place is not followed."""
    out = tmp_path / "out"
    publish(out, DAY, lambda run: put(run / "b", b"x"), run_id="a")
    elsewhere = tmp_path / "elsewhere"
    (out / linked).rename(elsewhere)
    (out / linked).symlink_to(elsewhere)

    with pytest.raises(PublishError, match="link"):
        current_run(out)
    with contextlib.suppress(PublishError):
        assert published_runs(out) == []


def test_outputs_may_lie_behind_a_link(tmp_path: Path) -> None:
    """The folder of the outputs itself may be a link: its owner made it."""
    out = tmp_path / "disk"
    publish(out, DAY, lambda run: put(run / "b", b"x"), run_id="a")
    (tmp_path / "out").symlink_to(out)

    assert current_run(tmp_path / "out").is_dir()
    assert len(published_runs(tmp_path / "out")) == 1


@contextlib.contextmanager
def umask(mask: int) -> Iterator[None]:
    """A block with another umask, whatever the command sets."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_outputs_are_for_their_owner_alone(mask: int, tmp_path: Path) -> None:
    """Every file that jobs leave is 0600 and every folder 0700, whatever the umask was."""
    shop, bank = tmp_path / "shop", tmp_path / "bank"
    shop.mkdir()
    shop_config = write_shop(shop, shop_dataset("int64"), "parquet", SMALL_MODEL, UNTRACKED)
    bank_config = write_bank(bank, table=first_month())
    before = set(tmp_path.rglob("*"))
    with umask(mask):
        for command in ("train-recommender", "write-recommendations", "similar-items"):
            assert run_main(command, shop_config) == 0
        assert train(bank_config, NIGHT, *QUICK).code == 0
        assert score(bank_config, LAST, "--set", "tracking.enabled=false").code == 0

    written = [path for path in tmp_path.rglob("*") if path not in before]
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in written}
    files = [path for path in written if path.is_file()]
    assert len(files) > 50
    private = {path: 0o700 if path.is_dir() else 0o600 for path in written}
    assert modes == private


def structure(html: str) -> tuple[Counter[str], set[str]]:
    """How often each tag stands in a page, and the names of attributes."""
    tags = Page(html).tags
    return Counter(tag for tag, _ in tags), {name for _, attrs in tags for name in attrs}


def alert_page(words: tuple[str, ...]) -> str:
    """A page of alerts with one word after the other in each place of the user's."""
    alerts = [alert(rank, word=word, num_normal=3) for rank, word in enumerate(words, start=1)]
    return render_alert_page(replace(full_page(" ".join(words)), alerts=tuple(alerts)))


def report_page(words: tuple[str, ...]) -> str:
    """A report with one word after the other in the lists, and all of them everywhere else."""
    lists = tuple(
        ExampleList(
            user=word,
            source=word,
            history=(ExampleItem(title=word, detail=word),),
            recommendations=(ExampleItem(title=word, detail=word, is_hit=True),),
        )
        for word in words
    )
    return render_report(replace(full_content(" ".join(words)), examples=lists))


@pytest.mark.parametrize("render", [alert_page, report_page])
def test_values_never_become_markup(render: Callable[[tuple[str, ...]], str]) -> None:
    """Ids, titles and names that are markup change no tag of a page, and are shown as they are."""
    assert len(PAYLOADS) >= 40
    html = render(PAYLOADS)

    assert structure(html) == structure(render(tuple(f"word {i}" for i in range(len(PAYLOADS)))))
    text = Page(html).text
    for payload in PAYLOADS:
        assert " ".join(payload.split()) in text


def started_server(tmp_path: Path, **variables: str) -> tuple[int, list[str], dict[str, str]]:
    """Exit code, arguments and environment with which `serve.sh` starts the server."""
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > "{tmp_path}/args"\nenv > "{tmp_path}/env"\n'
    )
    python.chmod(0o755)
    settings = {"MLFLOW_SERVER_PYTHON": str(python), "MLFLOW_SERVER_STORE": str(tmp_path / "store")}
    path = {"PATH": os.environ["PATH"]}
    script = ROOT / "mlflow" / "serve.sh"
    done = subprocess.run(
        [script], env=path | settings | variables, capture_output=True, check=False
    )
    if done.returncode:
        return done.returncode, [], {}
    lines = (tmp_path / "env").read_text().splitlines()
    environment = dict(line.split("=", 1) for line in lines if "=" in line)
    return 0, (tmp_path / "args").read_text().splitlines(), environment


def test_the_tracking_server_stays_closed(tmp_path: Path) -> None:
    """Loopback, listed hosts, checks on, no jobs, no pickles, private files: whatever is set."""
    code, arguments, environment = started_server(
        tmp_path,
        MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE="true",
        MLFLOW_SERVER_CORS_ALLOWED_ORIGINS="*",
        MLFLOW_HOST="0.0.0.0",  # noqa: S104  what must not come through
    )

    options = dict(zip(arguments[3::2], arguments[4::2], strict=True))
    assert (code, arguments[:3]) == (0, ["-m", "mlflow", "server"])
    assert options["--host"] == "127.0.0.1"
    assert options["--allowed-hosts"] == "localhost:5000,127.0.0.1:5000"
    assert "--disable-security-middleware" not in arguments
    assert "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE" not in environment
    assert "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS" not in environment
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert environment["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    assert stat.S_IMODE((tmp_path / "store").stat().st_mode) == 0o700
    assert "0.0.0.0" not in (ROOT / "mlflow/serve.sh").read_text()  # noqa: S104


@pytest.mark.parametrize("hosts", ["*", "localhost,*", "*.example.com"])
def test_the_tracking_server_answers_no_pattern_of_hosts(tmp_path: Path, hosts: str) -> None:
    """A star among the host names ends the script before the server starts."""
    assert started_server(tmp_path, MLFLOW_SERVER_ALLOWED_HOSTS=hosts)[0] == 2
