"""Logs say what happened, not what people wrote."""

import io
import json
import logging
import re
import sys
from collections.abc import Iterator

import pytest
import structlog
from rich.console import Console

from bots import logging_setup
from core.errors import ModelFailure


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(params=[Terminal, io.StringIO])
def stream(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Where log lines go, as a terminal and as a file."""
    stream: io.StringIO = request.param()
    monkeypatch.setattr(sys, "stderr", stream)
    handlers, level = logging.root.handlers[:], logging.root.level
    logging_setup.configure("info")
    yield stream
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()


def strip_ansi(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


def raise_error(text: str) -> None:
    raise ValueError(f"{len(text)} letters are too many")


def test_traceback_hides_variables(stream: io.StringIO) -> None:
    try:
        raise_error("my " + "secret")
    except ValueError:
        structlog.get_logger("test").exception("test.failed")
    assert "9 letters are too many" in stream.getvalue()
    assert "my secret" not in stream.getvalue()


def test_lines_are_readable_on_a_terminal_and_json_elsewhere(stream: io.StringIO) -> None:
    structlog.get_logger("test").warning("turn.failed", turn=7)
    line = stream.getvalue()
    if stream.isatty():
        assert re.search(r"\[warning *\] turn\.failed .*turn=7", strip_ansi(line))
        assert "{" not in line
    else:
        entry = json.loads(line)
        assert (entry["level"], entry["event"], entry["turn"]) == ("warning", "turn.failed", 7)


def test_failure_is_logged_as_text(stream: io.StringIO) -> None:
    structlog.get_logger("test").warning("model.failed", failure=ModelFailure.UNKNOWN_MODEL)
    assert "unknown model" in stream.getvalue()
    assert "<ModelFailure" not in stream.getvalue()


def test_lines_are_printed_above_live_display(stream: io.StringIO) -> None:
    screen = Terminal()
    with Console(file=screen, force_terminal=True).status("waiting"):
        structlog.get_logger("core.test").warning("test.during")
    structlog.get_logger("core.test").warning("test.after")
    assert "test.during" in screen.getvalue()
    assert "test.during" not in stream.getvalue()
    assert "test.after" in stream.getvalue()
