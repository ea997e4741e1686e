"""What a check of `parley doctor` reports."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """The bot works, but something is missing or will fail."""
    UNAVAILABLE = "unavailable"
    """A service does not answer. It may come back by itself."""
    ERROR = "error"
    """The bot, or a platform, cannot work before the operator changes something."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line. Its texts hold no secret, and `text` is a sentence if advice follows."""

    check: str
    """`area.subject`, such as `telegram.token`."""
    severity: Severity
    text: str
    advice: str = ""
    """What to do; empty if nothing."""


def as_sentence(text: str) -> str:
    """With a full stop, which texts of other programs often lack."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def ok(check: str, text: str) -> Finding:
    return Finding(check, Severity.OK, text)


def warning(check: str, text: str, advice: str) -> Finding:
    return Finding(check, Severity.WARNING, as_sentence(text), advice)


def unavailable(check: str, text: str, advice: str) -> Finding:
    return Finding(check, Severity.UNAVAILABLE, as_sentence(text), advice)


def error(check: str, text: str, advice: str) -> Finding:
    return Finding(check, Severity.ERROR, as_sentence(text), advice)
