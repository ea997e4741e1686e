"""What a model has produced so far in answer to one request."""

from dataclasses import dataclass, field

from core.api.events import (
    Finished,
    FinishReason,
    OnlyReasoning,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    TextWasReasoning,
    UsageReport,
)

MAX_ANSWER_CHARS = 400_000
"""Ends the answers of models that never stop."""
MAX_REASONING_CHARS = 200_000
CHARS_PER_TOKEN = 4
"""A rough average, for display."""


@dataclass(slots=True)
class StreamedAnswer:
    text: str = ""
    reasoning: str = ""
    usage: UsageReport = field(default_factory=UsageReport)
    reached_token_limit: bool = False
    """The model stopped at the longest answer it was allowed."""
    is_reasoning: bool = False
    """`text` is the reasoning, because the model wrote nothing else."""
    has_gap: bool = False
    """A piece could not be read and is missing."""

    def add(self, event: StreamEvent) -> None:
        match event:
            case TextDelta(text):
                self.text += text[: MAX_ANSWER_CHARS - len(self.text)]
            case ReasoningDelta(text):
                self.reasoning += text[: MAX_REASONING_CHARS - len(self.reasoning)]
            case TextWasReasoning():
                self.reasoning, self.text = (self.reasoning + self.text)[:MAX_REASONING_CHARS], ""
            case OnlyReasoning():
                self.reasoning, self.text, self.is_reasoning = "", self.reasoning, True
            case UsageReport():
                self.usage = event
            case Finished(reason, has_gap):
                self.reached_token_limit = reason is FinishReason.LENGTH
                self.has_gap = has_gap

    @property
    def reached_char_limit(self) -> bool:
        return len(self.text) >= MAX_ANSWER_CHARS

    @property
    def reasoning_tokens(self) -> int:
        """As the service reports them, or else estimated."""
        return self.usage.completion_tokens or round(len(self.reasoning) / CHARS_PER_TOKEN)
