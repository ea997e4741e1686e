"""What can go wrong with one request, made on purpose.

A `Fault` is given to `ModelStandIn.fail_next`, or returned by `ModelStandIn.hook`, and made by one
of the functions here:

    status(500)  gateway(502)  busy(3)  reply(200, b"")      something else instead of an answer
    silent()  silent(0)  silent(5, seconds=1)                a stall: before the headers, before
                                                             the first token, after five tokens
    warm(0)                                                  only comments, that keep the line warm
    reset(5)  closed(5)  ended(5)                            the connection reset, closed inside
                                                             the answer, or ended without a reason
    said({"error": ...}, after=5)  raw(b"data: {oops")       a payload, or any bytes, in the stream
    usage(Usage.NONE)  thinking(Thinking.INLINE)             another way to say the same
    pieces(3)  finish("content_filter")  only_thinking()
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import StrEnum
from http import HTTPStatus
from typing import Literal

import msgspec

from bots.sandbox.model.errors import ERROR_PAGE

__all__ = [
    "CannedResponse",
    "Fault",
    "ReasoningFormat",
    "StreamAction",
    "UsageReporting",
    "close_connection",
    "end_stream",
    "finish_with",
    "format_reasoning",
    "gateway_error",
    "http_error",
    "keep_alive",
    "only_reasoning",
    "rate_limited",
    "report_usage",
    "reset_connection",
    "respond_with",
    "send_event",
    "send_raw",
    "split_packets",
    "stall",
]

FOREVER_SECONDS = 3600.0  # seconds; a stand-in does not live as long
JSON_CONTENT_TYPE = "application/json"


class StreamAction(StrEnum):
    """How a stream goes on from the place of the fault."""

    CONTINUE = "on"
    STALL = "stall"
    KEEP_ALIVE = "warm"
    """A stall with a comment now and then."""
    RESET = "reset"
    """The connection is reset (RST)."""
    CLOSE = "close"
    """The connection is closed inside the body (FIN)."""
    END = "end"
    """The body ends properly, without a finish reason and without [DONE]."""


class UsageReporting(StrEnum):
    """Which chunks tell the tokens used."""

    EVERY_CHUNK = "every"
    """All, cumulative, and one of its own at the end: what was recorded."""
    FINAL_CHUNK = "last"
    """One of its own at the end."""
    FINISH_CHUNK = "finish"
    """The one with the finish reason."""
    NONE = "none"


class ReasoningFormat(StrEnum):
    """Where a model's thoughts are."""

    REASONING_CONTENT_FIELD = "reasoning_content"
    REASONING_FIELD = "reasoning"
    THINK_TAGS = "<think>...</think> before the answer"
    CLOSING_TAG_ONLY = "...</think> before the answer"
    OPENING_TAG_ONLY = "<think>... and then the answer"


@dataclass(frozen=True, slots=True)
class CannedResponse:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON_CONTENT_TYPE


@dataclass(frozen=True, slots=True)
class Fault:
    """`after`: pieces of the text said before it, thoughts counted; None: not even headers."""

    response: CannedResponse | None = None
    after_pieces: int | None = 0
    raw_bytes: bytes = b""
    """Said there."""
    action: StreamAction = StreamAction.CONTINUE
    seconds: float = FOREVER_SECONDS
    """How long a stall is."""
    usage_reporting: UsageReporting = UsageReporting.EVERY_CHUNK
    reasoning_format: ReasoningFormat = ReasoningFormat.REASONING_CONTENT_FIELD
    packet_bytes: int = 0
    """Bytes to a packet; 0: an event."""
    finish_reason: str = ""
    """The reason given for the end; "": the true one, "null": none, [DONE] alone."""
    only_reasoning: bool = False
    """Half of the thoughts and then no more tokens: `length`."""


def respond_with(
    status: int,
    body: bytes | str | object = b"",
    headers: Mapping[str, str] | None = None,
    content_type: str = "",
) -> Fault:
    """Bytes or text as they are, anything else as JSON."""
    content = body.encode() if isinstance(body, str) else body
    plain = isinstance(content, bytes)
    sent = content if isinstance(content, bytes) else msgspec.json.encode(content)
    kind = content_type or ("text/html" if plain else JSON_CONTENT_TYPE)
    return Fault(CannedResponse(status, sent, headers or {}, kind))


def http_error(code: int, detail: object = "", headers: Mapping[str, str] | None = None) -> Fault:
    """A refusal in the service's own shape."""
    return respond_with(code, {"detail": detail or f"Scripted error {code}"}, headers)


def gateway_error(code: int = 502) -> Fault:
    """The page that stands before a service that is down."""
    words = HTTPStatus(code).phrase if code in set(HTTPStatus) else "Web server is down"
    return respond_with(code, ERROR_PAGE.format(status=code, words=words))


def rate_limited(
    wait: float | None = None,
    header_format: Literal["seconds", "date", "ms"] = "seconds",
    detail: str = "You've been rate-limited. Back off and retry.",
) -> Fault:
    """429; `wait` in seconds, said in one of three ways or not at all."""
    headers: dict[str, str] = {}
    if wait is not None:
        headers = {
            "seconds": {"retry-after": f"{wait:g}"},
            "date": {"retry-after": formatdate(time.time() + wait, usegmt=True)},
            "ms": {"retry-after-ms": f"{wait * 1000:g}"},
        }[header_format]
    return http_error(429, detail, headers)


def stall(after_pieces: int | None = None, *, seconds: float = FOREVER_SECONDS) -> Fault:
    """Nothing more for `seconds`, then on as if nothing had been."""
    return Fault(after_pieces=after_pieces, action=StreamAction.STALL, seconds=seconds)


def keep_alive(after_pieces: int = 0, *, seconds: float = FOREVER_SECONDS) -> Fault:
    return Fault(after_pieces=after_pieces, action=StreamAction.KEEP_ALIVE, seconds=seconds)


def reset_connection(after_pieces: int | None = None) -> Fault:
    return Fault(after_pieces=after_pieces, action=StreamAction.RESET)


def close_connection(after_pieces: int | None = None) -> Fault:
    return Fault(after_pieces=after_pieces, action=StreamAction.CLOSE)


def end_stream(after_pieces: int = 0) -> Fault:
    return Fault(after_pieces=after_pieces, action=StreamAction.END)


def send_raw(raw_bytes: bytes, *, after_pieces: int = 0, action: StreamAction = StreamAction.END) -> Fault:
    return Fault(after_pieces=after_pieces, raw_bytes=raw_bytes, action=action)


def send_event(
    payload: object,
    *,
    after_pieces: int = 0,
    event_type: str = "",
    action: StreamAction = StreamAction.END,
) -> Fault:
    """An event with this payload."""
    name = f"event: {event_type}\n".encode() if event_type else b""
    return send_raw(
        name + b"data: " + msgspec.json.encode(payload) + b"\n\n",
        after_pieces=after_pieces,
        action=action,
    )


def report_usage(usage_reporting: UsageReporting) -> Fault:
    return Fault(usage_reporting=usage_reporting)


def format_reasoning(reasoning_format: ReasoningFormat) -> Fault:
    return Fault(reasoning_format=reasoning_format)


def split_packets(packet_bytes: int) -> Fault:
    """`size` bytes to a packet: characters and events are split anywhere."""
    return Fault(packet_bytes=packet_bytes)


def finish_with(finish_reason: str) -> Fault:
    return Fault(finish_reason=finish_reason)


def only_reasoning() -> Fault:
    return Fault(only_reasoning=True)
