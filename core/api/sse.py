"""Server-sent events from bytes: split anywhere, bounded in size."""

from collections.abc import Iterator

from core.errors import ModelError, ModelFailure

__all__ = ["SSEDecoder"]

MAX_EVENT_BYTES = 8 * 1024 * 1024  # bytes


class SSEDecoder:
    """Feed bytes, get the (event, data) pairs they complete."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scan_offset = 0
        self._event_name = b""
        self._data_lines: list[bytes] = []
        self._data_size = 0

    def feed(self, chunk: bytes) -> Iterator[tuple[bytes, bytes]]:
        self._buffer += chunk
        while (end := self._buffer.find(b"\n", self._scan_offset)) >= 0:
            line = bytes(self._buffer[:end]).rstrip(b"\r")
            del self._buffer[: end + 1]
            self._scan_offset = 0
            yield from self._parse_line(line)
        self._scan_offset = len(self._buffer)
        if len(self._buffer) + self._data_size > MAX_EVENT_BYTES:
            raise ModelError("An event of the stream is too large.", ModelFailure.MALFORMED)

    def flush(self) -> Iterator[tuple[bytes, bytes]]:
        """What the stream's end completes: servers forget the last empty line."""
        if self._buffer:
            line = bytes(self._buffer).rstrip(b"\r")
            self._buffer.clear()
            yield from self._parse_line(line)
        yield from self._parse_line(b"")

    def _parse_line(self, line: bytes) -> Iterator[tuple[bytes, bytes]]:
        if not line:
            if self._data_lines:
                event, data = self._event_name, b"\n".join(self._data_lines)
                self._event_name, self._data_lines, self._data_size = b"", [], 0
                yield event, data
            self._event_name = b""
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data_lines.append(value)
            self._data_size += len(value) + 1  # an empty line of data is a line of data
            if self._data_size > MAX_EVENT_BYTES:
                raise ModelError("An event of the stream is too large.", ModelFailure.MALFORMED)
        elif name == b"event":
            self._event_name = value
