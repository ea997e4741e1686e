"""Faults that a test injects into one request.

The functions here create a `Fault` for `ModelStandIn.fail_next` or `ModelStandIn.fault_hook`:

    http_error(500)  gateway_error(502)  rate_limited(3)     an error in place of the answer
    respond_with(200, b"")                                   any response
    stall()  stall(0)  stall(5, seconds=1)                   no data: before the headers, before the
                                                             first piece, after five pieces
    Fault(after_pieces=5, hold_until=event)                  no data until the event
    keep_alive(0)                                            only comments
    reset_connection(5)  close_connection(5)                 the connection breaks inside the answer
    end_stream(5)                                            an end without finish reason and [DONE]
    send_event({"error": ...}, after_pieces=5)               an event inside the stream
    send_raw(b"data: {oops")                                 any bytes inside the stream
    Fault(usage_reporting=UsageReporting.NONE)               other formats of a good answer
    Fault(reasoning_format=ReasoningFormat.THINK_TAGS)
    Fault(packet_bytes=3)  Fault(finish_reason="length")
    Fault(only_reasoning=True)
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import StrEnum
from http import HTTPStatus
from typing import Literal

import msgspec

FOREVER_SECONDS = 3600.0
"""No stand-in runs as long."""
JSON_CONTENT_TYPE = "application/json"
TRUE_REASON = ""
ERROR_PAGE = """<!DOCTYPE html>
<html><head><title>api.intelligence.io.solutions | {status}: {words}</title></head>
<body><h1>{words}</h1><span>Error code {status}</span><p>cloudflare</p></body></html>
"""


class StreamAction(StrEnum):
    """What a stream does at the position of the fault."""

    CONTINUE = "continue"
    STALL = "stall"
    KEEP_ALIVE = "keep_alive"
    """A stall, with comments."""
    RESET = "reset"
    """Reset the connection (RST)."""
    CLOSE = "close"
    """Close the connection inside the body (FIN)."""
    END = "end"
    """End the body properly, without a finish reason and without [DONE]."""


class UsageReporting(StrEnum):
    """Which chunks report the used tokens."""

    EVERY_CHUNK = "every"
    """All, cumulatively, and a separate chunk at the end; recorded from the service."""
    FINAL_CHUNK = "final"
    """A separate chunk at the end."""
    FINISH_CHUNK = "finish"
    """The chunk with the finish reason."""
    NONE = "none"


class ReasoningFormat(StrEnum):
    """Where an answer has its reasoning."""

    REASONING_CONTENT_FIELD = "reasoning_content"
    REASONING_FIELD = "reasoning"
    THINK_TAGS = "<think>...</think> before the answer"
    CLOSING_TAG_ONLY = "...</think> before the answer"
    OPENING_TAG_ONLY = "<think>... and then the answer"
    BRACKET_TAGS = "[THINK]...[/THINK] before the answer"
    PREFIXED_TAGS = "<mm:think>...</mm:think> before the answer"
    UPPERCASE_TAGS = "<THINK>...</THINK> before the answer"
    FINAL_TAG = "<think>...<final> and then the answer"
    SILENT = "nothing while the model reasons"


@dataclass(frozen=True, slots=True)
class CannedResponse:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON_CONTENT_TYPE


@dataclass(frozen=True, slots=True)
class Fault:
    response: CannedResponse | None = None
    """Replaces the answer; the other fields do not matter then."""
    after_pieces: int | None = 0
    """Position of the fault: pieces before it, including reasoning. None: before the headers."""
    hold_until: asyncio.Event | None = None
    """The stream waits for this event at the position."""
    raw_bytes: bytes = b""
    """Sent at the position, before `action`."""
    action: StreamAction = StreamAction.CONTINUE
    seconds: float = FOREVER_SECONDS
    """Length of a stall."""
    usage_reporting: UsageReporting = UsageReporting.EVERY_CHUNK
    reasoning_format: ReasoningFormat = ReasoningFormat.REASONING_CONTENT_FIELD
    packet_bytes: int = 0
    """Size of packets, which split characters and events anywhere; 0: a packet for each event."""
    finish_reason: str | None = TRUE_REASON
    """Replaces the true finish reason. None: [DONE] alone."""
    only_reasoning: bool = False
    """The answer ends after half of its reasoning, for its length."""


def respond_with(
    status: int, body: bytes | str | object = b"", headers: Mapping[str, str] | None = None, content_type: str = ""
) -> Fault:
    """Another response. Bytes and text are sent unchanged, as HTML by default; anything else as JSON."""
    is_json = not isinstance(body, bytes | str)
    content = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else msgspec.json.encode(body)
    default_type = JSON_CONTENT_TYPE if is_json else "text/html"
    return Fault(CannedResponse(status, content, headers or {}, content_type or default_type))


def http_error(code: int, detail: object = "", headers: Mapping[str, str] | None = None) -> Fault:
    """An error in the format of the service."""
    return respond_with(code, {"detail": detail or f"Scripted error {code}"}, headers)


def gateway_error(code: int = 502) -> Fault:
    """The HTML page that Cloudflare sends while the service is down."""
    words = HTTPStatus(code).phrase if code in set(HTTPStatus) else "Web server is down"
    return respond_with(code, ERROR_PAGE.format(status=code, words=words))


def rate_limited(
    wait: float | None = None,
    header_format: Literal["seconds", "date", "ms"] = "seconds",
    detail: str = "You've been rate-limited. Back off and retry.",
) -> Fault:
    """429 with `wait` (seconds) in one of three headers, or without any."""
    headers: dict[str, str] = {}
    if wait is not None:
        headers = {
            "seconds": {"retry-after": f"{wait:g}"},
            "date": {"retry-after": formatdate(time.time() + wait, usegmt=True)},
            "ms": {"retry-after-ms": f"{wait * 1000:g}"},
        }[header_format]
    return http_error(429, detail, headers)


def stall(after_pieces: int | None = None, *, seconds: float = FOREVER_SECONDS) -> Fault:
    """Send nothing for `seconds`, then continue."""
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
    payload: object, *, after_pieces: int = 0, event_type: str = "", action: StreamAction = StreamAction.END
) -> Fault:
    """Send an event with this payload inside the stream."""
    name = f"event: {event_type}\n".encode() if event_type else b""
    return send_raw(name + b"data: " + msgspec.json.encode(payload) + b"\n\n", after_pieces=after_pieces, action=action)
