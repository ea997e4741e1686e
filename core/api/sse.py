r"""Decodes server-sent events from a stream of bytes.

An event is a group of lines that ends with an empty line; the stream may be split anywhere:

    feed(b'data: {"a"')             nothing
    feed(b': 1}\n\nevent: err')     ServerSentEvent(b"", b'{"a": 1}')
    feed(b'or\ndata: no\n\n')       ServerSentEvent(b"error", b"no")

Comments, ids and events without data are skipped. An event larger than a limit is an error, so that an
endless event cannot fill the memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from core.errors import ModelError, ModelFailure

MAX_EVENT_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    name: bytes
    """The event's type; empty if there is none."""
    data: bytes
    """The event's data lines, joined by line feeds."""


class SSEDecoder:
    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._buffer = bytearray()
        self._scan_offset = 0
        """The position at which the search for the next line end continues."""
        self._event_name = b""
        self._data_lines: list[bytes] = []
        self._data_bytes = 0

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """The events that `chunk` completes. Raises `ModelError` for an event that is too large."""
        self._buffer += chunk
        while (end := self._buffer.find(b"\n", self._scan_offset)) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._scan_offset = 0
            yield from self._parse_line(line)
        self._scan_offset = len(self._buffer)
        self._check_size(self._data_bytes + len(self._buffer))

    def flush(self) -> Iterator[ServerSentEvent]:
        """The last event, if the stream ends without an empty line, which some services omit."""
        line = bytes(self._buffer)
        self._buffer.clear()
        yield from self._parse_line(line)
        yield from self._parse_line(b"")

    def _parse_line(self, line: bytes) -> Iterator[ServerSentEvent]:
        line = line.rstrip(b"\r")
        if not line:
            name, data_lines = self._event_name, self._data_lines
            self._event_name, self._data_lines, self._data_bytes = b"", [], 0
            if data_lines:
                yield ServerSentEvent(name, b"\n".join(data_lines))
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data_lines.append(value)
            self._data_bytes += len(value) + 1  # plus its line feed, so that empty lines count as well
            self._check_size(self._data_bytes)
        elif field == b"event":
            self._event_name = value

    def _check_size(self, event_bytes: int) -> None:
        if event_bytes > self._max_event_bytes:
            raise ModelError("An event of the stream is too large", ModelFailure.MALFORMED)
