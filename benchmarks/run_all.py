"""Run the benchmarks and write what they print to `docs/benchmarks.md`, a section each.

    python benchmarks/run_all.py --data data/raw --only "a million"

Without `--only` all of them run, which takes hours. A section that is not run, or that fails, stays
as it was. Data that may not be redistributed is used where the folder of `--data` has it.
"""

from __future__ import annotations

import argparse
import ast
import os
import platform
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
LIBRARIES = ("torch", "numpy", "faiss-cpu", "numba", "scikit-learn", "lightgbm")
HEAD = """# Benchmarks

What the scripts in `benchmarks/` printed when they ran last; `make bench` runs them all and writes
this page. Machines are noisy: compare the rows of one table, which ran side by side.
"""


@dataclass(frozen=True)
class Section:
    """A script and its place on the page."""

    title: str
    script: str
    takes_data: bool = False


SECTIONS = (
    Section("The recommender beside its peers", "peers/compare.py", takes_data=True),
    Section("The recommender with its defaults", "recommender_quality.py", takes_data=True),
    Section("What a user takes next", "next_item.py", takes_data=True),
    Section("Where the time of training goes", "training_profile.py", takes_data=True),
    Section("Users that training did not have", "cold_start.py", takes_data=True),
    Section("Exact search", "scoring.py", takes_data=True),
    Section("A million users, a million items", "million.py"),
    Section("Growth with the log", "growth.py"),
    Section("Kinds of index", "index_recall.py"),
    Section("A large catalogue, trained", "large_catalogue.py"),
    Section("The fraud scorer", "fraud_quality.py", takes_data=True),
    Section("The fraud scorer on logs of strangers", "fraud_suite.py", takes_data=True),
    Section("How far late labels can lead", "handbook_bound.py", takes_data=True),
    Section("Fraud detectors side by side", "peers/fraud_detectors.py", takes_data=True),
    Section("What each kind of evidence is worth", "fraud_ablation.py", takes_data=True),
    Section("Which cause of a fraud is named first", "planted_causes.py"),
    Section("Growth with the transactions, and a day of a million accounts", "fraud_growth.py"),
    Section("Vectors of accounts", "account_vectors.py", takes_data=True),
    Section("Whether fraud scores are calibrated", "fraud_calibration.py"),
    Section("Days that the gates hold", "input_checks.py", takes_data=True),
)


def main() -> None:
    """Run what is asked for; the exit code says whether all of it succeeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/raw"))
    parser.add_argument("--only", help="a part of the titles to run")
    arguments = parser.parse_args()
    failed = []
    for section in SECTIONS:
        if arguments.only and arguments.only.lower() not in section.title.lower():
            continue
        print(f"\n## {section.title}\n", flush=True)
        output = _run(section, arguments.data)
        if output is None:
            failed.append(section.title)
        else:
            text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else HEAD
            PAGE.write_text(with_section(text, section, output), encoding="utf-8")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def with_section(page: str, section: Section, output: str) -> str:
    """The page with one section new and the others as they were, in the order of `SECTIONS`."""
    found = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", page, flags=re.MULTILINE))
    found[section.title] = _body(section, output)
    parts = [f"## {one.title}\n{found[one.title]}" for one in SECTIONS if one.title in found]
    return HEAD + "\n" + "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _body(section: Section, output: str) -> str:
    """What the script says of itself, what it printed, when and where."""
    source = (HERE / section.script).read_text(encoding="utf-8")
    text = ast.get_docstring(ast.parse(source)) or ""
    commands = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    prose = "\n".join(line for line in text.splitlines() if not line.startswith("    "))
    paragraphs = [part.replace("\n", " ") for part in re.split(r"\n\s*\n", prose.strip())]
    lines = [textwrap.fill(part, 118) for part in paragraphs]
    lines += ["```sh\n" + "\n".join(commands) + "\n```"]
    printed = output.strip()
    lines += [f"```json\n{printed}\n```" if printed.startswith("{") else printed]
    lines += [f"*{_where()}*"]
    return "\n" + "\n\n".join(lines) + "\n"


def _where() -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({_processor()}), "
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB, Python {platform.python_version()}, "
        f"{versions}"
    )


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = re.findall(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), flags=re.MULTILINE)
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def _run(section: Section, data: Path) -> str | None:
    """What a script prints, shown as it comes; None where it fails."""
    command = [sys.executable, str(HERE / section.script)]
    command += ["--data", str(data)] if section.takes_data else []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101  for the type checker
        lines = []
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    return "".join(lines) if process.returncode == 0 else None


if __name__ == "__main__":
    main()
