"""Runs commands, in this process or in one of their own."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import structlog

from bots.cli import main as cli

TOKEN = "123456789:AAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"


class Result(NamedTuple):
    exit_code: int
    stdout: str
    stderr: str


def parley_process(folder: Path, *arguments: str, **environment: str) -> Result:
    """Run a command as a process, in `folder`."""
    completed = subprocess.run(
        [sys.executable, "-m", "bots.cli", *arguments],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[3]),
            "DATABASE_URL": f"sqlite:///{folder / 'parley.sqlite3'}",
            **environment,
        },
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Result(completed.returncode, completed.stdout, completed.stderr)


Parley = Callable[..., Result]


@pytest.fixture
def parley(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Parley:
    """Run a command in this process, in `tmp_path`."""
    configure_logging = structlog.configure

    def configure(**options: Any) -> None:
        configure_logging(**options | {"cache_logger_on_first_use": False})

    def run(*arguments: str, **environment: str) -> Result:
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", ["parley", *arguments])
            patch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'parley.sqlite3'}")
            for name, value in environment.items():
                patch.setenv(name, value)
            # Loggers that are cached now would keep this configuration in all later tests of this process.
            patch.setattr(structlog, "configure", configure)
            handlers, level = logging.root.handlers[:], logging.root.level
            with pytest.raises(SystemExit) as exit_info:
                cli.main()
            logging.root.handlers[:] = handlers
            logging.root.setLevel(level)
            structlog.reset_defaults()
        return Result(int(exit_info.value.code or 0), *capsys.readouterr())

    return run
