"""HTTP for the floor bots: keep-alive connections on raw sockets, with as little work as possible."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import msgspec

encode, decode = msgspec.json.encode, msgspec.json.decode


@dataclass(slots=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes


class _Connection(asyncio.Protocol):
    """One request at a time. `on_data` gets the parts of a chunked body as they arrive."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._status, self._headers = 0, dict[str, str]()
        self._has_head = False
        self._on_data: Callable[[bytes], None] | None = None
        self._response: asyncio.Future[Response] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has another base class

    def connection_lost(self, exc: Exception | None) -> None:
        if self._response is not None and not self._response.done():
            self._response.set_exception(exc or ConnectionResetError())

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def request(self, data: bytes, on_data: Callable[[bytes], None] | None) -> asyncio.Future[Response]:
        self._response = asyncio.get_running_loop().create_future()
        self._on_data, self._has_head, self._buffer = on_data, False, b""
        assert self._transport is not None
        self._transport.write(data)
        return self._response

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._has_head:
            head, separator, rest = self._buffer.partition(b"\r\n\r\n")
            if not separator:
                return
            self._read_head(head.decode("latin-1"))
            self._buffer = rest
        if "transfer-encoding" in self._headers:
            self._read_chunks()
        elif len(self._buffer) >= int(self._headers.get("content-length", 0)):
            self._finish(self._buffer)

    def _read_head(self, head: str) -> None:
        status_line, *lines = head.split("\r\n")
        self._status, self._has_head = int(status_line.split(" ", 2)[1]), True
        self._headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def _read_chunks(self) -> None:
        while (end := self._buffer.find(b"\r\n")) >= 0:
            size = int(self._buffer[:end], 16)
            if len(self._buffer) < end + size + 4:
                return
            chunk = self._buffer[end + 2 : end + 2 + size]
            self._buffer = self._buffer[end + size + 4 :]
            if not size:
                self._finish(b"")
                return
            if self._on_data is not None:
                self._on_data(chunk)

    def _finish(self, body: bytes) -> None:
        assert self._response is not None
        self._response.set_result(Response(self._status, self._headers, body))


@dataclass
class HttpClient:
    """Requests below a base URL."""

    base_url: str
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        url = urlsplit(self.base_url)
        self._host, self._port, self._path = url.hostname or "", url.port or 80, url.path.rstrip("/")
        self._idle: list[_Connection] = []
        self._lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())

    async def request(
        self, method: str, path: str, body: object, on_data: Callable[[bytes], None] | None = None
    ) -> Response:
        payload = encode(body)
        head = (
            f"{method} {self._path}/{path} HTTP/1.1\r\nHost: {self._host}\r\n{self._lines}"
            f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
        )
        connection = await self._connect()
        response = await connection.request(head.encode() + payload, on_data)
        self._idle.append(connection)
        return response

    async def _connect(self) -> _Connection:
        while self._idle:
            if (connection := self._idle.pop()).is_open:
                return connection
        _, new = await asyncio.get_running_loop().create_connection(_Connection, self._host, self._port)
        return new
