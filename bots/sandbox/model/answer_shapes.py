"""Whole responses in which services send a streamed answer in another form than most."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import msgspec

from bots.sandbox.model.faults import JSON_CONTENT_TYPE, CannedResponse, Fault, UsageReporting
from bots.sandbox.model.streaming import Completion, usage_json

EVENT_STREAM = "text/event-stream"
DONE = b"data: [DONE]\n\n"
DAMAGED_EVENT = b'data: {"choices": [{"index": 0, "delta": {"content": "dam\n\n'


class AnswerShape(StrEnum):
    STREAM = "stream"
    """As most services do."""
    PARTS = "parts"
    """The content is a list of typed parts."""
    OBJECT = "object"
    """One JSON object, although a stream was requested."""
    OBJECT_EVENT = "object-event"
    """The same as the only event of a stream."""
    PAIRS = "pairs"
    """Two JSON objects in each event."""
    HALVES = "halves"
    """One UTF-16 code unit in each event, so that an emoji is cut in half."""
    DAMAGED = "damaged"
    """An event in the middle is unreadable."""
    MESSAGES = "messages"
    """Each event has a message in place of a delta."""
    PINGS = "pings"
    """Words between the events keep the connection alive."""
    COMMENTS = "comments"
    """Nothing but comments."""


def shaped_response(shape: AnswerShape, completion: Completion) -> CannedResponse:
    reasoning, text = "".join(completion.reasoning_pieces), "".join(completion.text_pieces)
    body = completion.response_body(Fault(usage_reporting=UsageReporting.EVERY_CHUNK))
    if shape is AnswerShape.OBJECT:
        return CannedResponse(200, msgspec.json.encode(body), content_type=JSON_CONTENT_TYPE)
    if shape is AnswerShape.OBJECT_EVENT:
        events = [_event(msgspec.json.encode(body))]
    elif shape is AnswerShape.COMMENTS:
        return CannedResponse(200, b": keep-alive\n\n" * 5, content_type=EVENT_STREAM)
    else:
        events = [*_events(shape, reasoning, text), _event(_last_chunk(completion))]
    return CannedResponse(200, b"".join([*events, DONE]), content_type=EVENT_STREAM)


def _events(shape: AnswerShape, reasoning: str, text: str) -> Iterator[bytes]:
    middle = len(text) // 2
    halves = [text[:middle], text[middle:]]
    match shape:
        case AnswerShape.PARTS:
            parts = [{"type": "thinking", "thinking": [{"type": "text", "text": reasoning}]}] if reasoning else []
            for content in (parts, *([{"type": "text", "text": half}] for half in halves)):
                yield _event(_chunk(content))
        case AnswerShape.PAIRS:
            yield _event(_chunk(halves[0]) + _chunk(halves[1]))
        case AnswerShape.HALVES:
            units = text.encode("utf-16-le")
            for start in range(0, len(units), 2):
                unit = int.from_bytes(units[start : start + 2], "little")
                yield _event(_chunk("#").replace(b"#", b"\\u%04x" % unit))
        case AnswerShape.MESSAGES:
            yield from (_event(_chunk(half, "message")) for half in halves)
        case AnswerShape.PINGS:
            for half in halves:
                yield from (_event(b"ping"), _event(_chunk(half)), _event(b"[HEARTBEAT]"))
        case AnswerShape.DAMAGED:
            yield from (_event(_chunk(halves[0])), DAMAGED_EVENT, _event(_chunk(halves[1])))


def _event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


def _chunk(content: Any, name: str = "delta") -> bytes:
    choice = {"index": 0, name: {"content": content}, "finish_reason": None}
    return msgspec.json.encode({"object": "chat.completion.chunk", "choices": [choice]})


def _last_chunk(completion: Completion) -> bytes:
    choice = {"index": 0, "delta": {}, "finish_reason": completion.finish_reason}
    usage = usage_json(*completion.token_usage(completion.piece_count))
    return msgspec.json.encode({"object": "chat.completion.chunk", "choices": [choice], "usage": usage})
