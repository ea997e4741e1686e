"""Runs pytest again and again without loading the libraries each time.

`ForkServer` starts this module as a process, which loads the libraries once. For each run, it forks: the child loads the
product, with its mutant, and the tests.
"""

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

OWN_PACKAGES = ("core", "bots", "tests", "conftest", "__main__", "__mp_main__")
RUN_SECONDS = 600.0
OPTIONS = ("-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")
"""The plugins are loaded before pytest could rewrite their assertions."""


class ForkServer:
    """Runs pytest in `folder`. One run at a time."""

    def __init__(self, folder: Path) -> None:
        self._output = folder / ".tmp/output"
        self._child = 0
        environment = os.environ | {"PYTHONPATH": str(folder), "TMPDIR": str(folder / ".tmp"), "COLUMNS": "400"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.mutation.fork_server", str(self._output)],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run_pytest(self, arguments: Sequence[str]) -> tuple[int | None, str]:
        """The exit status, negative for a signal, or None after `RUN_SECONDS`; and what was printed."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([*OPTIONS, *arguments]) + "\n")
        self._process.stdin.flush()
        self._child = self._read_number()
        timer = threading.Timer(RUN_SECONDS, self._kill_child)
        timer.start()
        status = self._read_number()
        timer.cancel()
        self._child = 0
        return None if status == -signal.SIGKILL else status, self._output.read_text(errors="replace")

    def _read_number(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def _kill_child(self) -> None:
        """Kill pytest and what it started. A PostgreSQL server of the tests notices and ends itself."""
        if self._child:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child, signal.SIGKILL)

    def close(self) -> None:
        self._process.kill()
        self._kill_child()
        self._process.wait()


def main(output: str) -> None:
    _load_libraries()
    for line in sys.stdin:
        child = os.fork()
        if not child:
            os.setsid()
            _print_to(output)
            status = int(pytest.main(json.loads(line)))
            sys.stdout.flush()
            os._exit(status)
        _answer(child)
        _answer(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _load_libraries() -> None:
    """Collect the tests in a child, and import what it has imported."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        _print_to(os.devnull)
        pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", "tests/core", "tests/bots", "tests/contract"])
        with os.fdopen(writer, "w") as pipe:
            pipe.write("\n".join(sys.modules))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        names = pipe.read().split("\n")
    os.waitpid(child, 0)
    for name in names:
        if name.partition(".")[0] not in OWN_PACKAGES:
            with contextlib.suppress(Exception):  # some modules exist only after others have created them
                importlib.import_module(name)


def _print_to(path: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)


def _answer(number: int) -> None:
    print(number, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
