"""Logs tell what happened, not what people wrote."""

import io
import logging
import sys

import pytest
import structlog

from bots import log
from core.errors import Failure


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def broken(said: str) -> None:
    raise ValueError(f"{len(said)} letters are too many")


@pytest.mark.parametrize("kind", [Terminal, io.StringIO])
def test_an_exception_is_shown_without_the_variables(
    kind: type[io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = kind()
    monkeypatch.setattr(sys, "stderr", stream)
    handlers, level = logging.root.handlers[:], logging.root.level
    try:
        log.configure("info")
        try:
            broken("my " + "secret")
        except ValueError:
            structlog.get_logger("test").exception("broke")
    finally:
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
        structlog.reset_defaults()
    assert "9 letters are too many" in stream.getvalue()
    assert "my secret" not in stream.getvalue()


@pytest.mark.parametrize("kind", [Terminal, io.StringIO])
def test_a_failure_is_told_in_words(
    kind: type[io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = kind()
    monkeypatch.setattr(sys, "stderr", stream)
    handlers, level = logging.root.handlers[:], logging.root.level
    try:
        log.configure("info")
        structlog.get_logger("test").warning("model failed", failure=Failure.UNKNOWN_MODEL)
    finally:
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
        structlog.reset_defaults()
    assert "unknown model" in stream.getvalue()
    assert "<Failure" not in stream.getvalue()
