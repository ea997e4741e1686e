"""`parley run` exits in time after a signal, whatever hangs."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.bots.cli.conftest import TOKEN

pytestmark = pytest.mark.slow


@contextmanager
def running_process(*command: str, folder: Path, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, *command],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "DATABASE_URL": f"sqlite:///{folder / 'parley.sqlite3'}",
            "IOINTELLIGENCE_API_KEY": "k",
            "TELEGRAM_BOT_TOKEN": TOKEN,
            "PARLEY_ACCESS": "open",
            **environment,
        },
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("what", ["loop", "task"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_exits_whatever_hangs(tmp_path: Path, what: str, number: signal.Signals) -> None:
    with running_process("-m", "tests.bots.hanging_bot", what, folder=tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "serving\n"
        process.send_signal(number)
        assert process.wait(15) == 1


def test_sigterm_ends_wait_for_process_lock(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    with (tmp_path / "parley.sqlite3.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with running_process("-m", "bots.cli", "run", folder=tmp_path) as process:
            assert process.stderr is not None
            assert "store.waiting_for_process" in process.stderr.readline()
            process.terminate()
            assert process.wait(10) == 0


def test_sigterm_ends_wait_for_silent_database(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(20)
        url = f"postgresql://ann:x@127.0.0.1:{silent.getsockname()[1]}/parley"
        with running_process("-m", "bots.cli", "run", folder=tmp_path, DATABASE_URL=url) as process:
            connection, _ = silent.accept()
            with connection:
                process.terminate()
                assert process.wait(10) == 0
