"""Turns the bytes of one chat completion stream into events.

    data: {"choices": [{"delta": {"reasoning_content": "hm"}}]}      ReasoningDelta("hm")
    data: {"choices": [{"delta": {"content": "yes"}}]}               TextDelta("yes")
    data: {"choices": [], "usage": {"prompt_tokens": 57, ...}}       UsageReport(57, ...)
    data: [DONE]                                                     Finished(FinishReason.STOP)

Services differ: some send errors inside the stream, omit `[DONE]` or the finish reason, send typed parts or a complete
answer, or end a stream without any text. An event that cannot be read leaves a gap in the answer; several end it. Each
failure raises the matching `ModelError`. Time limits belong to the client.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from core.api import errors
from core.api.content_parts import parse_content
from core.api.context_overflow import MIN_CONTEXT_TOKENS
from core.api.events import (
    Finished,
    FinishReason,
    OnlyReasoning,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    TextWasReasoning,
    UsageReport,
    parse_token_count,
)
from core.api.finish_reasons import parse_finish_reason
from core.api.growing_text import GrowingText
from core.api.json_values import SurrogateJoiner, decode_values
from core.api.plain_event import decode_plain_text
from core.api.sse import ServerSentEvent, SSEDecoder
from core.api.think_tags import ThinkTagParser
from core.errors import ModelError, ModelFailure

MAX_ANSWER_CHARS = 4_000_000
"""Limit for one answer, including its reasoning."""
MAX_UNREADABLE_EVENTS = 2
END_MARK = b"[DONE]"
KEEP_ALIVE_PATTERN = re.compile(
    rb"(?:: )?(?:\[?(?:ping|pong|heart[ _-]?beat|keep[ _-]?alive|(?:openrouter )?processing|waiting|connected|ok)\]?"
    rb"[.!]{0,3}(?: - )?)?[\dTZ.:+ -]{0,40}",
    re.IGNORECASE,
)
"""Words or a time in place of JSON, which keep the connection open. Other words may be an error."""
REASONING_FIELDS = ("reasoning_content", "reasoning", "reasoning_text", "thinking", "reasoning_details")
TEXT_FIELDS = ("content", "refusal", "text")


class StreamParser:
    """Feed it chunks until `is_done` or until the stream ends, then call `finish`."""

    def __init__(self, *, has_reasoning: bool) -> None:
        self.is_done = False
        """Whether `[DONE]` has arrived."""
        self._text_chars = 0
        self._reasoning_chars = 0
        self._sse_decoder = SSEDecoder()
        self._think_tags = ThinkTagParser(has_reasoning)
        self._text_joiner = SurrogateJoiner()
        self._reasoning_joiner = SurrogateJoiner()
        self._message_text = GrowingText()
        self._message_reasoning = GrowingText()
        self._finish_reason: FinishReason | None = None
        self._error: ModelError | None = None
        """What a choice reports instead of more text."""
        self._usage: UsageReport | None = None
        self._received_any = False
        self._unreadable_events = 0

    @property
    def content_chars(self) -> int:
        """Characters of text and reasoning so far."""
        return self._text_chars + self._reasoning_chars + self._think_tags.buffered_chars

    def feed(self, chunk: bytes) -> Iterator[StreamEvent]:
        """The events that `chunk` completes. Raises `ModelError` for an error or invalid data.

        Texts that follow each other become one event: a chunk of a busy process has several.
        """
        texts: list[str] = []
        try:
            for event in self._sse_decoder.feed(chunk):
                if not (self.is_done or event.name) and (text := decode_plain_text(event.data)) is not None:
                    texts.append(text)
                    continue
                if texts:
                    yield from self._take_texts(texts)
                yield from self._parse_event(event)
        finally:
            if texts:
                yield from self._take_texts(texts)

    def _take_texts(self, texts: list[str]) -> Sequence[StreamEvent]:
        self._received_any = True
        text = "".join(texts)
        texts.clear()
        if self._message_text.chars:
            self._message_text.add(text)
        events = self._feed_text(text)
        self._count_chars(events)
        return events

    def _parse_event(self, event: ServerSentEvent) -> Iterator[StreamEvent]:
        data = event.data.strip()
        is_error = event.name == b"error"
        if self.is_done or not data or (not is_error and KEEP_ALIVE_PATTERN.fullmatch(data) and data != END_MARK):
            return
        self._received_any = True
        if data.endswith(END_MARK):  # JSON never ends so; some services forget the empty line before it
            self.is_done = True
            data = data.removesuffix(END_MARK).rstrip()
            if not data:
                return
        payloads, is_complete = decode_values(data)
        if is_error and not is_complete:
            raise errors.from_payload(data.decode(errors="replace"))
        for payload in payloads:
            yield from self._parse_payload(payload, is_error=is_error)
            if self._error:
                raise self._error
        if not is_complete:
            self._count_unreadable()

    def _parse_payload(self, payload: Any, *, is_error: bool) -> list[StreamEvent]:
        if is_error or errors.is_error_payload(payload):
            raise errors.from_payload(payload)
        if not isinstance(payload, dict):
            return []
        try:
            return self._parse_usage(payload) + self._parse_choices(payload)
        except (AttributeError, TypeError):
            self._count_unreadable()
            return []

    def _count_unreadable(self) -> None:
        self._unreadable_events += 1
        if self._unreadable_events > MAX_UNREADABLE_EVENTS:
            raise ModelError("The stream is invalid", ModelFailure.MALFORMED)

    def _parse_usage(self, payload: dict[str, Any]) -> list[StreamEvent]:
        fields = payload.get("usage")
        if not isinstance(fields, dict) or (prompt := parse_token_count(fields.get("prompt_tokens"))) is None:
            return []
        completion = parse_token_count(fields.get("completion_tokens")) or 0
        usage = UsageReport(prompt, completion)
        if usage == self._usage:
            return []
        self._usage = usage
        return [usage]

    def _parse_choices(self, payload: dict[str, Any]) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        for choice in payload.get("choices") or ():
            if not isinstance(choice, dict) or choice.get("index") not in (0, "0", None):
                continue
            events += self._parse_delta(self._find_delta(choice, str(payload.get("object"))))
            if error := choice.get("error"):
                self._error = errors.from_payload({"error": error})
            elif reason := choice.get("finish_reason"):
                self._finish_reason = parse_finish_reason(reason)
                if self._finish_reason is None:
                    self._error = ModelError(f"The answer broke off: {reason}"[:100], ModelFailure.TRUNCATED)
        self._count_chars(events)
        return events

    def _find_delta(self, choice: dict[str, Any], object_type: str) -> dict[str, Any]:
        """The new part of the answer; of a complete answer all, unless it repeats what was streamed."""
        text = choice.get("text")
        if text and isinstance(text, str):  # the older form of completions
            return {"content": text}
        delta: dict[str, Any] = choice.get("delta") or {}
        message: dict[str, Any] = choice.get("message") or {}
        if not message or _first_value(delta, REASONING_FIELDS) or _first_value(delta, TEXT_FIELDS):
            self._count_delta(delta)
            return delta
        if object_type != "chat.completion.chunk":
            self._finish_reason = self._finish_reason or FinishReason.STOP
        is_last = object_type == "chat.completion" or bool(choice.get("finish_reason"))
        return self._read_message(message, is_last=is_last)

    def _read_message(self, message: dict[str, Any], *, is_last: bool) -> dict[str, Any]:
        """What is new in a message. After deltas with text or reasoning, it repeats these, perhaps in another form."""
        text, reasoning = _split_content(message)
        delta = {}
        if self._message_text.chars or not (self._text_chars or self._think_tags.buffered_chars):
            delta["content"] = self._message_text.feed(text, is_last=is_last)
        if self._message_reasoning.chars or not self.content_chars:
            delta["reasoning_content"] = self._message_reasoning.feed(reasoning, is_last=is_last)
        return delta

    def _count_delta(self, delta: dict[str, Any]) -> None:
        """After messages, a delta continues them, and a later message may repeat it."""
        if self._message_text.chars or self._message_reasoning.chars:
            text, reasoning = _split_content(delta)
            if self._message_text.chars:
                self._message_text.add(text)
            if self._message_reasoning.chars:
                self._message_reasoning.add(reasoning)

    def _parse_delta(self, delta: dict[str, Any]) -> list[StreamEvent]:
        reasoning = parse_content(_first_value(delta, REASONING_FIELDS))
        events: list[StreamEvent] = [self._reasoning_delta(part.text) for part in reasoning]
        for part in parse_content(_first_value(delta, TEXT_FIELDS)):
            if part.is_reasoning:
                events.append(self._reasoning_delta(part.text))
            else:
                events += self._feed_text(part.text)
        return events

    def _feed_text(self, text: str) -> Sequence[StreamEvent]:
        return self._think_tags.feed(self._text_joiner.feed(text))

    def _reasoning_delta(self, text: str) -> ReasoningDelta:
        self._think_tags.has_reasoning = False  # the service separates it, so tags are a part of the answer
        return ReasoningDelta(self._reasoning_joiner.feed(text))

    def _count_chars(self, events: Sequence[StreamEvent]) -> None:
        for event in events:
            match event:
                case TextDelta(text):
                    self._text_chars += len(text)
                case ReasoningDelta(text):
                    self._reasoning_chars += len(text)
                case TextWasReasoning():
                    self._reasoning_chars += self._text_chars
                    self._text_chars = 0
        if self.content_chars > MAX_ANSWER_CHARS:
            raise ModelError("The answer does not end", ModelFailure.MALFORMED)

    def finish(self) -> Iterator[StreamEvent]:
        """The last events. Raises `ModelError` if the stream broke off or has no answer."""
        yield from self.feed(b"\n\n")  # completes the last event, where a service omits the empty line
        rest: list[StreamEvent] = [ReasoningDelta(text) for text in [self._reasoning_joiner.flush()] if text]
        rest += [*self._think_tags.feed(self._text_joiner.flush()), *self._think_tags.flush()]
        self._count_chars(rest)
        yield from rest
        if not self._received_any:
            raise ModelError("The model service sent nothing", ModelFailure.UNAVAILABLE, status=200)
        if self._finish_reason is None and not self.is_done:
            raise ModelError("The answer broke off", ModelFailure.TRUNCATED)
        if not self._text_chars:
            yield from self._finish_without_text()
        yield Finished(self._finish_reason or FinishReason.STOP, has_gap=bool(self._unreadable_events))

    def _finish_without_text(self) -> Iterator[StreamEvent]:
        if self._think_tags.is_inside_reasoning and self._reasoning_chars:
            yield OnlyReasoning()
        else:
            raise self._no_text_error()

    def _no_text_error(self) -> ModelError:
        if self._finish_reason is FinishReason.FILTERED:
            return ModelError("The answer was withheld", ModelFailure.FILTERED)
        if self._unreadable_events:
            return ModelError("The stream is invalid", ModelFailure.MALFORMED)
        usage = self._usage
        if self._finish_reason is FinishReason.LENGTH and usage and not usage.completion_tokens:
            # Some services silently truncate a long prompt, which leaves no room for an answer.
            limit = usage.total_tokens if usage.total_tokens >= MIN_CONTEXT_TOKENS else None
            message = "The prompt fills the model's context window"
            return ModelError(message, ModelFailure.OVERFLOW, limit=limit, is_limit_counted=True)
        message = "The model reasoned without answering" if self._reasoning_chars else "The answer is empty"
        return ModelError(message, ModelFailure.EMPTY)


def _first_value(fields: dict[str, Any], names: Sequence[str]) -> Any:
    return next(filter(None, map(fields.get, names)), None)


def _split_content(fields: dict[str, Any]) -> tuple[str, str]:
    """The text and the reasoning of a delta or message."""
    parts = parse_content(_first_value(fields, TEXT_FIELDS))
    reasoning = parse_content(_first_value(fields, REASONING_FIELDS)) + [part for part in parts if part.is_reasoning]
    return "".join(part.text for part in parts if not part.is_reasoning), "".join(part.text for part in reasoning)
