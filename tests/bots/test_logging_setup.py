"""Logs tell what happened, not what people wrote."""

import io
import logging
import sys

import pytest
import structlog

from bots import logging_setup
from core.errors import ModelFailure


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def raise_error(text: str) -> None:
    raise ValueError(f"{len(text)} letters are too many")


@pytest.mark.parametrize("kind", [Terminal, io.StringIO])
def test_traceback_hides_variables(kind: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    stream = kind()
    monkeypatch.setattr(sys, "stderr", stream)
    handlers, level = logging.root.handlers[:], logging.root.level
    try:
        logging_setup.configure("info")
        try:
            raise_error("my " + "secret")
        except ValueError:
            structlog.get_logger("test").exception("broke")
    finally:
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
        structlog.reset_defaults()
    assert "9 letters are too many" in stream.getvalue()
    assert "my secret" not in stream.getvalue()


@pytest.mark.parametrize("kind", [Terminal, io.StringIO])
def test_failure_is_logged_as_text(kind: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    stream = kind()
    monkeypatch.setattr(sys, "stderr", stream)
    handlers, level = logging.root.handlers[:], logging.root.level
    try:
        logging_setup.configure("info")
        structlog.get_logger("test").warning("model failed", failure=ModelFailure.UNKNOWN_MODEL)
    finally:
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
        structlog.reset_defaults()
    assert "unknown model" in stream.getvalue()
    assert "<Failure" not in stream.getvalue()
