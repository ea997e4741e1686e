r"""Decodes server-sent events from a stream of bytes.

An event is a group of lines that ends with an empty line; the stream may be split anywhere:

    feed(b'data: {"a"')             nothing
    feed(b': 1}\n\nevent: err')     ServerSentEvent(b"", b'{"a": 1}')
    feed(b'or\ndata: no\n\n')       ServerSentEvent(b"error", b"no")

Comments, ids and events without data are skipped. JSON without field names, which some services call a stream, is an
event as well. An event larger than a limit is an error, so that an endless event cannot fill the memory.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from core.errors import ModelError, ModelFailure

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
USUAL_LINE_START = b"data: {"
EVENT_END = b"\n\n"
MAX_EVENT_BYTES = 8 * 1024 * 1024


class ServerSentEvent(NamedTuple):
    name: bytes
    """The event's type; empty if there is none."""
    data: bytes
    """The event's data lines, joined by line feeds."""


class SSEDecoder:
    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._buffer = bytearray()
        """The beginning of a line."""
        self._event_name = b""
        self._data_lines: list[bytes] = []
        self._data_bytes = 0
        self._is_bare_json = False
        """Whether the lines of the current event have no field names."""

    def feed(self, chunk: bytes) -> Iterable[ServerSentEvent]:
        """The events that `chunk` completes. Raises `ModelError` for an event that is too large."""
        if chunk.startswith(USUAL_LINE_START) and chunk.endswith(EVENT_END) and not self._is_inside_event():
            events = chunk[len(USUAL_LINE_START) : -len(EVENT_END)].split(EVENT_END + USUAL_LINE_START)
            has_other_lines = chunk.count(b"\n") != len(EVENT_END) * len(events) or b"\r" in chunk
            if not has_other_lines and len(chunk) <= self._max_event_bytes:
                return [ServerSentEvent(b"", b"{" + rest) for rest in events]  # in half the time
        return self._feed_lines(chunk)

    def _is_inside_event(self) -> bool:
        return bool(self._buffer or self._data_lines or self._event_name)

    def _feed_lines(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        *lines, rest = chunk.split(b"\n")
        if lines and self._buffer:
            lines[0] = bytes(self._buffer) + lines[0]
            self._buffer.clear()
        for line in lines:
            if line.startswith(USUAL_LINE_START) and not self._is_bare_json:
                self._add_data(line[len(b"data: ") :].rstrip(b"\r"))
            elif event := self._parse_line(line):
                yield event
        self._buffer += rest
        self._check_size(self._data_bytes + len(self._buffer))

    def _parse_line(self, line: bytes) -> ServerSentEvent | None:
        line = line.rstrip(b"\r")
        if not line:
            name, data_lines = self._event_name, self._data_lines
            self._event_name, self._data_lines, self._data_bytes, self._is_bare_json = b"", [], 0, False
            return ServerSentEvent(name, b"\n".join(data_lines)) if data_lines else None
        field, _, value = line.partition(b":")
        field = field.removeprefix(BYTE_ORDER_MARK)
        if line.startswith(b"{") or self._is_bare_json:
            self._is_bare_json = True
            field, value = b"data", line
        if field == b"data":
            value = value.removeprefix(b" ").removeprefix(b"data:")  # which some proxies repeat
            self._add_data(value)
        elif field == b"event":
            self._event_name = value.removeprefix(b" ")
        return None

    def _add_data(self, value: bytes) -> None:
        self._data_lines.append(value)
        self._data_bytes += len(value) + 1  # plus its line feed, so that empty lines count as well
        self._check_size(self._data_bytes)

    def _check_size(self, event_bytes: int) -> None:
        if event_bytes > self._max_event_bytes:
            raise ModelError("An event of the stream is too large", ModelFailure.MALFORMED)
