"""What a model's stream is made of: a closed set."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

__all__ = [
    "FinishReason",
    "Finished",
    "ReasoningDelta",
    "StreamEvent",
    "TextDelta",
    "TextWasReasoning",
    "UsageReport",
    "parse_token_count",
]


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    FILTERED = "content_filter"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """What a model thinks before it answers; never part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class TextWasReasoning:
    """All text so far was thought: its closing tag came without an opening one."""


@dataclass(frozen=True, slots=True)
class UsageReport:
    """Tokens so far, cumulative: the last one counts, also of a stream that broke."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


MAX_TOKENS_PER_REQUEST = 100_000_000
"""Of one request: no service means more, and no column holds what it may say."""


def parse_token_count(value: object) -> int | None:
    """A number of tokens as a service tells it; None for what cannot be one."""
    return value if type(value) is int and 0 <= value <= MAX_TOKENS_PER_REQUEST else None


@dataclass(frozen=True, slots=True)
class Finished:
    """The stream came to its end. Always the last event."""

    reason: FinishReason


StreamEvent: TypeAlias = ReasoningDelta | TextDelta | TextWasReasoning | UsageReport | Finished
