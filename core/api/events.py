"""The events of a model's answer while it streams: a closed set."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    FILTERED = "content_filter"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """Reasoning of the model; not part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class TextWasReasoning:
    """All text so far was reasoning: a closing tag came without an opening one."""


@dataclass(frozen=True, slots=True)
class OnlyReasoning:
    """The answer ended inside its reasoning: there is nothing else to show."""


@dataclass(frozen=True, slots=True)
class UsageReport:
    """The service's token count of the request so far. The last report counts, even if the stream breaks off."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


MAX_TOKENS_PER_REQUEST = 100_000_000
"""A larger count is the service's error and does not fit into the database."""


def parse_token_count(value: object) -> int | None:
    """A service's token count; None if the value is not a plausible one."""
    return value if type(value) is int and 0 <= value <= MAX_TOKENS_PER_REQUEST else None


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is complete. Always the last event."""

    reason: FinishReason
    has_gap: bool = False
    """A piece of the answer was unreadable and is missing."""


StreamEvent: TypeAlias = ReasoningDelta | TextDelta | TextWasReasoning | OnlyReasoning | UsageReport | Finished
