"""The real command in a process of its own that need not import everything anew.

Importing takes several times as long as most commands on small data. So one process imports all
once, and every command is a fork of it with arguments, folder, environment and files of its own.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import select
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path

HANG_S = 600
"""Only what hangs takes so long, however busy the machine is."""
_AT_WORK = 1000
_IMPORTED = (
    "lightgbm",
    "faiss",
    "torch._dynamo",
    "matplotlib.figure",
    "pipelines.drift.check_drift",
    "pipelines.fraud.embed_accounts",
    "pipelines.fraud.score_accounts",
    "pipelines.fraud.train",
    "pipelines.recommender.train",
    "pipelines.recommender.write_lists",
    "pipelines.recommender.similar_items",
)


class WarmCommands:
    """A process that starts commands, and tells how they ended."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, *arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder) / "out", Path(folder) / "err"
            number = self.start(*arguments, cwd=cwd, env=env, stdout=out, stderr=err)
            code = self.wait(number)
            return subprocess.CompletedProcess(
                arguments, code, *(path.read_text(encoding="utf-8") for path in (out, err))
            )

    def start(
        self,
        *arguments: object,
        stdout: Path,
        stderr: Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> int:
        """Start a command; gives the number of its process."""
        request = {
            "arguments": [str(one) for one in arguments],
            "cwd": str(cwd or Path.cwd()),
            "env": dict(os.environ if env is None else env),
            "files": [os.devnull, str(stdout), str(stderr)],
        }
        return self._ask(request)

    def wait(self, number: int) -> int:
        """The exit code of a command when it has ended, negative for a signal."""
        return self._ask({"wait": number, "options": 0})

    def ended(self, number: int) -> int | None:
        """Its exit code if it has ended; that is said once."""
        code = self._ask({"wait": number, "options": os.WNOHANG})
        return None if code == _AT_WORK else code

    def close(self) -> None:
        """Let it end, as nothing more is asked."""
        self._process.stdin.close()
        self._process.wait()

    def _ask(self, request: Mapping[str, object]) -> int:
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], HANG_S)
        if not ready:
            self._process.kill()
        return int(self._process.stdout.readline())


@cache
def warm_commands() -> WarmCommands:
    """The one of this process; it ends with it."""
    commands = WarmCommands()
    atexit.register(commands.close)
    return commands


def _serve() -> dict[str, object] | None:
    """Answer requests until there are no more; in the process of a command, its own request."""
    with os.fdopen(os.dup(0), encoding="utf-8") as requests:
        for line in requests:
            request = json.loads(line)
            if "wait" in request:
                number, status = os.waitpid(request["wait"], request["options"])
                answer = os.waitstatus_to_exitcode(status) if number else _AT_WORK
            else:
                with warnings.catch_warnings():  # of libraries with threads of their own
                    warnings.simplefilter("ignore", DeprecationWarning)
                    answer = os.fork()
                if answer == 0:
                    return dict(request)
            sys.stdout.write(f"{answer}\n")
            sys.stdout.flush()
    return None


def _become(arguments: list[str], cwd: str, env: dict[str, str], files: list[str]) -> None:
    """Be the command: its place, its environment, its streams."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, path in enumerate(files):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC if number else os.O_RDONLY
        descriptor = os.open(path, flags, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.argv = ["recsys", *arguments]


def main() -> None:
    """Import what commands import, then start them."""
    from recsys.tracking.client import load_mlflow

    load_mlflow()
    for name in _IMPORTED:
        importlib.import_module(name)
    from pipelines.cli import run

    request = _serve()
    if request is not None:
        _become(**request)
        run()


if __name__ == "__main__":
    sys.path.pop(0)  # this folder: a command does not see it
    main()
