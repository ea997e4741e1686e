"""What a model's stream is made of: a closed set."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

__all__ = [
    "Event",
    "FinishReason",
    "Finished",
    "Reasoning",
    "Reconsidered",
    "Text",
    "Usage",
    "counted",
]


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    FILTERED = "content_filter"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What a model thinks before it answers; never part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Reconsidered:
    """All text so far was thought: its closing tag came without an opening one."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens so far, cumulative: the last one counts, also of a stream that broke."""

    prompt: int
    completion: int
    total: int


MOST_TOKENS = 100_000_000
"""Of one request: no service means more, and no column holds what it may say."""


def counted(given: object) -> int | None:
    """A number of tokens as a service tells it; None for what cannot be one."""
    return given if type(given) is int and 0 <= given <= MOST_TOKENS else None


@dataclass(frozen=True, slots=True)
class Finished:
    """The stream came to its end. Always the last event."""

    reason: FinishReason


Event: TypeAlias = Reasoning | Text | Reconsidered | Usage | Finished
