"""Thoughts written into the answer as `<think>...</think>`: told apart while they stream.

Tags may be split anywhere, the opening one missing (the model's template wrote it) or the closing
one. An opening tag counts only where the answer begins, so that a text about tags stays whole. A
closing tag without an opening one makes all before it thought (`Reconsidered`), of models that
are known to think: of others it is part of what they say.
"""

import re
from dataclasses import dataclass
from typing import TypeAlias

from core.api.events import ReasoningDelta, TextDelta, TextWasReasoning

__all__ = ["ThinkTagParser"]

ThinkTagEvent: TypeAlias = ReasoningDelta | TextWasReasoning | TextDelta

OPENING_TAGS = ("<think>", "<thinking>", "<thought>")
CLOSING_TAG_PATTERN = re.compile(r"</(?:think|thinking|thought)>")
MAX_TAG_CHARS = len("</thinking>")


@dataclass(slots=True)
class ThinkTagParser:
    has_reasoning: bool = False
    _is_inside_tag: bool = False
    _saw_tag: bool = False
    _has_emitted_text: bool = False
    """Some text of the answer was given out."""
    _buffer: str = ""

    def feed(self, chunk: str) -> list[ThinkTagEvent]:
        self._buffer += chunk
        events: list[ThinkTagEvent] = []
        if not self._has_emitted_text and not self._is_inside_tag:
            start = self._buffer.lstrip()
            tag = next((tag for tag in OPENING_TAGS if start.startswith(tag)), None)
            if tag is not None:
                self._is_inside_tag = self._saw_tag = True
                self._buffer = start[len(tag) :]
            elif any(tag.startswith(start) for tag in OPENING_TAGS):
                self._buffer = start  # an answer begins with its first word
                return events  # nothing, or the beginning of a tag
        if self._is_inside_tag:
            closing = CLOSING_TAG_PATTERN.search(self._buffer)
            if closing is None:
                partial_chars = _partial_tag_chars(self._buffer)
                reasoning = self._buffer[: len(self._buffer) - partial_chars]
                self._buffer = self._buffer[len(reasoning) :]
                if reasoning:
                    events.append(ReasoningDelta(reasoning))
                return events
            if closing.start():
                events.append(ReasoningDelta(self._buffer[: closing.start()]))
            self._buffer = self._buffer[closing.end() :]
            self._is_inside_tag = False
        if not self._has_emitted_text:
            # A closing tag whose opening one the template wrote.
            stray = CLOSING_TAG_PATTERN.match(self._buffer.lstrip())
            if stray is not None:
                self._buffer = self._buffer.lstrip()[stray.end() :]
            self._buffer = self._buffer.lstrip()
        return events + self._emit_text()

    def _emit_text(self) -> list[ThinkTagEvent]:
        """What is held, as far as it is certain what it is."""
        text, partial_chars, events = self._buffer, 0, list[ThinkTagEvent]()
        if self.has_reasoning and not self._saw_tag:
            closing = CLOSING_TAG_PATTERN.search(text)
            if closing is not None:
                self._saw_tag = True
                events = [TextDelta(text[: closing.start()]), TextWasReasoning()]
                text = text[closing.end() :].lstrip()
                self._has_emitted_text = bool(text)
            else:
                partial_chars = _partial_tag_chars(text)
        self._buffer = text[len(text) - partial_chars :]
        if visible := text[: len(text) - partial_chars]:
            self._has_emitted_text = True
            events.append(TextDelta(visible))
        return events

    def flush(self) -> list[ThinkTagEvent]:
        """The rest, when the stream is over."""
        rest, self._buffer = self._buffer, ""
        if not rest.strip() and not self._has_emitted_text:
            return []
        return [ReasoningDelta(rest) if self._is_inside_tag else TextDelta(rest)] if rest else []


def _partial_tag_chars(text: str) -> int:
    """How many characters at the end may be the beginning of a closing tag."""
    start = text.rfind("<", max(0, len(text) - MAX_TAG_CHARS))
    if start < 0:
        return 0
    tail = text[start:]
    closing = ("</think>", "</thinking>", "</thought>")
    return len(tail) if any(tag.startswith(tail) for tag in closing) else 0
