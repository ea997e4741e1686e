"""Separates the reasoning that some models write into their answer as `<think>...</think>`.

Chunks may split tags anywhere, so text that may be the beginning of a tag is buffered:

    feed("<thi")                   []
    feed("nk>hm</think>yes")       [ReasoningDelta("hm"), TextDelta("yes")]

An opening tag counts only at the beginning of the answer, so that an answer about tags stays intact.
The opening tag may be missing, because some chat templates write it into the prompt. For models known
to reason, a closing tag without it turns all text so far into reasoning:

    feed("hm")                     [TextDelta("hm")]
    feed("</think>yes")            [TextWasReasoning(), TextDelta("yes")]
"""

import re
from dataclasses import dataclass
from typing import TypeAlias

from core.api.events import ReasoningDelta, TextDelta, TextWasReasoning

ThinkTagEvent: TypeAlias = ReasoningDelta | TextWasReasoning | TextDelta

OPENING_TAGS = ("<think>", "<thinking>", "<thought>")
CLOSING_TAGS = ("</think>", "</thinking>", "</thought>")
CLOSING_TAG_PATTERN = re.compile("|".join(CLOSING_TAGS))
MAX_TAG_CHARS = max(map(len, CLOSING_TAGS))


@dataclass(slots=True)
class ThinkTagParser:
    has_reasoning: bool = False
    """Whether the model is known to reason."""
    _is_inside_tag: bool = False
    _saw_tag: bool = False
    _has_emitted_text: bool = False
    _buffer: str = ""

    def feed(self, chunk: str) -> list[ThinkTagEvent]:
        self._buffer += chunk
        if not self._has_emitted_text and not self._is_inside_tag and not self._parse_opening_tag():
            return []
        events: list[ThinkTagEvent] = []
        if self._is_inside_tag:
            events += self._emit_reasoning()
            if self._is_inside_tag:
                return events
        if not self._has_emitted_text:
            text = self._buffer.lstrip()
            # A closing tag with no text before it: the prompt contained the opening tag.
            closing = CLOSING_TAG_PATTERN.match(text)
            self._buffer = text[closing.end() :].lstrip() if closing else text
        return events + self._emit_text()

    def _parse_opening_tag(self) -> bool:
        """Remove the opening tag; False if the text so far may be the beginning of one."""
        text = self._buffer.lstrip()
        for tag in OPENING_TAGS:
            if text.startswith(tag):
                self._is_inside_tag = self._saw_tag = True
                self._buffer = text.removeprefix(tag)
                return True
        if any(tag.startswith(text) for tag in OPENING_TAGS):
            self._buffer = text
            return False
        return True

    def _emit_reasoning(self) -> list[ThinkTagEvent]:
        closing = CLOSING_TAG_PATTERN.search(self._buffer)
        if closing:
            reasoning, self._buffer = self._buffer[: closing.start()], self._buffer[closing.end() :]
            self._is_inside_tag = False
        else:
            reasoning = self._take_all_but_partial_tag()
        return [ReasoningDelta(reasoning)] if reasoning else []

    def _emit_text(self) -> list[ThinkTagEvent]:
        events: list[ThinkTagEvent] = []
        text = self._buffer
        if self.has_reasoning and not self._saw_tag:
            closing = CLOSING_TAG_PATTERN.search(text)
            if closing is None:
                text = self._take_all_but_partial_tag()
            else:
                self._saw_tag = True
                if reasoning := text[: closing.start()]:
                    events.append(TextDelta(reasoning))
                events.append(TextWasReasoning())
                text, self._buffer = text[closing.end() :].lstrip(), ""
                self._has_emitted_text = False
        else:
            self._buffer = ""
        if text:
            self._has_emitted_text = True
            events.append(TextDelta(text))
        return events

    def _take_all_but_partial_tag(self) -> str:
        """Take the buffered text, but leave an end that may begin a closing tag."""
        text = self._buffer
        start = text.rfind("<", max(0, len(text) - MAX_TAG_CHARS))
        if start < 0 or not any(tag.startswith(text[start:]) for tag in CLOSING_TAGS):
            start = len(text)
        self._buffer = text[start:]
        return text[:start]

    def flush(self) -> list[ThinkTagEvent]:
        """The rest of the buffer, at the end of the stream."""
        rest, self._buffer = self._buffer, ""
        if not rest.strip() and not self._has_emitted_text:
            return []
        return [ReasoningDelta(rest) if self._is_inside_tag else TextDelta(rest)] if rest else []
