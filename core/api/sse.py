"""Server-sent events from bytes: split anywhere, bounded in size."""

from collections.abc import Iterator

from core.errors import Failure, ModelError

__all__ = ["Events"]

LONGEST_EVENT = 8 * 1024 * 1024  # bytes


class Events:
    """Feed bytes, get the (event, data) pairs they complete."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._event = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> Iterator[tuple[bytes, bytes]]:
        self._buffer += piece
        while (end := self._buffer.find(b"\n", self._searched)) >= 0:
            line = bytes(self._buffer[:end]).rstrip(b"\r")
            del self._buffer[: end + 1]
            self._searched = 0
            yield from self._line(line)
        self._searched = len(self._buffer)
        if len(self._buffer) + self._size > LONGEST_EVENT:
            raise ModelError("An event of the stream is too large.", Failure.MALFORMED)

    def end(self) -> Iterator[tuple[bytes, bytes]]:
        """What the stream's end completes: servers forget the last empty line."""
        if self._buffer:
            line = bytes(self._buffer).rstrip(b"\r")
            self._buffer.clear()
            yield from self._line(line)
        yield from self._line(b"")

    def _line(self, line: bytes) -> Iterator[tuple[bytes, bytes]]:
        if not line:
            if self._data:
                event, data = self._event, b"\n".join(self._data)
                self._event, self._data, self._size = b"", [], 0
                yield event, data
            self._event = b""
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(value) + 1  # an empty line of data is a line of data
            if self._size > LONGEST_EVENT:
                raise ModelError("An event of the stream is too large.", Failure.MALFORMED)
        elif name == b"event":
            self._event = value
