"""The shape of the code: layers, sizes, and what no module may do."""

from __future__ import annotations

import ast
import itertools
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIBRARY = sorted((ROOT / "recsys").rglob("*.py"))
SOURCES = [*LIBRARY, *sorted((ROOT / "pipelines").rglob("*.py"))]
MAX_FILE_LINES, MAX_BODY_LINES, MAX_MODULES = 300, 40, 16

UNSAFE_MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "yaml",
}
"""Modules that run code when they read data."""
UNSAFE_CALLS = {
    "torch.load", "torch.save", "torch.jit.load", "np.load", "numpy.load", "eval", "exec",
    "compile", "__import__", "os.system", "os.popen",
}  # fmt: skip
"""Functions that run what they are given, or may."""
ARCHIVES = {"tarfile", "zipfile", "shutil.unpack_archive"}
"""What unpacks names that somebody else chose."""
PROCESS_STARTERS = {
    "recsys/recommender/index/child.py",
    "pipelines/schedule/dagster_definitions.py",
}
"""The only modules that start processes."""
LOADERS = {"load_dataset", "load_ids", "load_transactions", "load_labels", "read_table"}
"""What reads the tables of a run."""
READERS_WITHOUT_A_RUN = {"benchmark.py", "demo.py", "init.py", "validate.py"}
"""Modules of `pipelines` that publish nothing of a day, and so are never done already."""
CSV_WRITERS = {"csv", "to_csv", "write_csv", "CSVWriter"}
"""What writes tables for spreadsheets, in which a cell can be a formula."""
CLOCKS = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time"}
"""Calls that make a result depend on when it was computed."""
GLOBAL_RANDOMNESS = {"np.random.seed", "random.seed", "np.random.rand", "np.random.randn"}
"""Calls that draw from, or reset, random numbers that others use too."""
FRAMEWORK_BASES = {
    "nn.Module",
    "torch.autograd.Function",
    "mlflow.pyfunc.PythonModel",
    "Protocol",
    "NamedTuple",
}
"""What a class may inherit from, errors and generics apart."""


def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def found(paths: list[Path], kind: type[ast.AST]) -> Iterator[tuple[Path, ast.AST]]:
    """Each node of a kind with the file that it is in."""
    for path in paths:
        yield from ((path, node) for node in ast.walk(parsed(path)) if isinstance(node, kind))


def place(path: Path, node: ast.AST) -> str:
    """File and line."""
    return f"{path.relative_to(ROOT)}:{node.lineno}"


def imported(node: ast.AST) -> set[str]:
    """Top-level names of the modules that a statement imports."""
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        return {(node.module or "").split(".")[0]}
    return set()


def test_the_layers_hold() -> None:
    """import-linter keeps every contract of pyproject.toml."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_module_stands_in_a_layer() -> None:
    """No module of the library escapes the contracts by being new."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    named = {name.strip() for layer in layers for name in layer.split("|")}
    modules = {
        f"recsys.{path.stem}"
        for path in (ROOT / "recsys").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert modules - {"recsys.__init__"} == named - {"pipelines"}


def test_layers_within_are_told_in_full() -> None:
    """A new module of the jobs or of a product breaks the contracts until it has its layer."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    inner = {one["containers"][0]: one["exhaustive"] for one in contracts if "containers" in one}
    rooms = ("pipelines", "recsys.datasets", "recsys.fraud", "recsys.recommender")
    assert inner == dict.fromkeys(rooms, True)


def test_the_folder_of_the_tracking_server_hides_no_library() -> None:
    """A Python file in `mlflow/` would be imported in place of the library of that name."""
    folder = ROOT / "mlflow"
    assert folder.is_dir()
    assert [path for path in folder.rglob("*.py") if "store" not in path.parts] == []


def test_no_data_can_run_code() -> None:
    """Neither pickles nor the functions that read them: a bundle is data, whoever made it."""
    for path, node in itertools.chain(found(SOURCES, ast.Import), found(SOURCES, ast.ImportFrom)):
        assert not imported(node) & UNSAFE_MODULES, place(path, node)
    for path, node in found(SOURCES, ast.ImportFrom):
        names = {f"{node.module}.{alias.name}" for alias in node.names}
        assert not names & UNSAFE_CALLS, place(path, node)
    for path, node in found(SOURCES, ast.Call):
        called = ast.unparse(node.func)
        assert called not in UNSAFE_CALLS, place(path, node)
        assert "read_pickle" not in called, place(path, node)
        assert all(keyword.arg != "allow_pickle" for keyword in node.keywords), place(path, node)


def test_no_archive_is_unpacked() -> None:
    """A bundle is a folder: no name that an archive holds becomes a path."""
    for path, node in itertools.chain(found(SOURCES, ast.Import), found(SOURCES, ast.ImportFrom)):
        assert not imported(node) & ARCHIVES, place(path, node)
    for path, node in found(SOURCES, ast.Call):
        assert ast.unparse(node.func) not in ARCHIVES, place(path, node)


def test_processes_are_started_in_few_places_and_without_a_shell() -> None:
    """No text becomes a command line; benchmarks start the real commands, without a shell too."""
    importers = {
        path.relative_to(ROOT).as_posix()
        for kind in (ast.Import, ast.ImportFrom)
        for path, node in found(SOURCES, kind)
        if imported(node) & {"subprocess", "multiprocessing", "pty"}
    }
    assert importers == PROCESS_STARTERS
    for path, node in found([*SOURCES, *sorted((ROOT / "benchmarks").rglob("*.py"))], ast.Call):
        assert all(keyword.arg != "shell" for keyword in node.keywords), place(path, node)
        called = ast.unparse(node.func)
        assert not called.startswith(("os.exec", "os.spawn", "os.posix_spawn")), place(path, node)


def test_jobs_read_their_tables_through_one_door() -> None:
    """No job can forget an input when it asks whether its work is done: `Inputs` reads them all."""
    for path, node in found(sorted((ROOT / "pipelines").rglob("*.py")), ast.ImportFrom):
        if {alias.name for alias in node.names} & LOADERS and "recsys" in str(node.module):
            is_door = path.relative_to(ROOT).as_posix() == "pipelines/jobs/inputs.py"
            assert is_door or path.name in READERS_WITHOUT_A_RUN, place(path, node)


def test_nothing_is_written_for_spreadsheets() -> None:
    """Outputs are Parquet, JSON and HTML: no id that begins with `=` ever becomes a formula."""
    for path, node in found(SOURCES, ast.Import):
        assert "csv" not in imported(node), place(path, node)
    for path, node in found(SOURCES, ast.ImportFrom):
        assert node.module != "csv", place(path, node)
    for path, node in found(SOURCES, ast.Call):
        assert ast.unparse(node.func).split(".")[-1] not in CSV_WRITERS, place(path, node)


def test_the_library_knows_no_clock_and_no_shared_randomness() -> None:
    """Dates and generators are passed in, so that a run can be repeated on another day."""
    for path, node in found(LIBRARY, ast.Call):
        called = ast.unparse(node.func)
        assert called not in CLOCKS | GLOBAL_RANDOMNESS, place(path, node)
        if called == "np.random.default_rng":
            assert node.args or node.keywords, place(path, node)
    for path, node in found(LIBRARY, ast.Import):
        assert "random" not in imported(node), place(path, node)


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function, its signature and docstring apart."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return int(body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_functions_are_short() -> None:
    """At most 40 lines, in the jobs too."""
    functions = itertools.chain(
        found(SOURCES, ast.FunctionDef), found(SOURCES, ast.AsyncFunctionDef)
    )
    long = {
        f"{path.relative_to(ROOT).as_posix()}:{node.name}"
        for path, node in functions
        if body_lines(node) > MAX_BODY_LINES
    }
    assert sorted(long) == [], "shorten them"


def test_files_are_short() -> None:
    """At most 300 lines."""
    long = {
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        if len(path.read_text(encoding="utf-8").splitlines()) > MAX_FILE_LINES
    }
    assert sorted(long) == [], "divide them"


FOLDERS = sorted({path.parent for path in SOURCES})


def test_folders_are_small() -> None:
    """At most 16 modules, so that a reader sees at a glance what a folder holds."""
    large = {
        folder.relative_to(ROOT).as_posix()
        for folder in FOLDERS
        if len([path for path in folder.glob("*.py") if path.stem != "__init__"]) > MAX_MODULES
    }
    assert sorted(large) == [], "divide them"


def test_folders_say_what_they_hold() -> None:
    """The docstring of each `__init__` begins with one sentence, and a blank line before more."""
    said = {
        folder.relative_to(ROOT).as_posix(): ast.get_docstring(parsed(folder / "__init__.py"))
        for folder in FOLDERS
    }
    first = {folder: (text or "").split("\n\n")[0] for folder, text in said.items()}
    assert [
        folder for folder, text in first.items() if not text.endswith((".", ":")) or ". " in text
    ] == []


def test_classes_inherit_from_frameworks_and_errors_alone() -> None:
    """No tree of classes: only errors inherit from each other."""
    errors = {node.name for _, node in found([ROOT / "recsys" / "errors.py"], ast.ClassDef)}
    for path, node in found(SOURCES, ast.ClassDef):
        for base in node.bases:
            name = ast.unparse(base.value if isinstance(base, ast.Subscript) else base)
            assert name in FRAMEWORK_BASES | errors | {"Exception", "Generic"}, place(path, node)
