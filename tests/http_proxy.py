"""An HTTP proxy on loopback: it alone knows where the hosts of a test are."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class HttpProxy:
    ports: Mapping[str, int]
    """The port on this machine by host name. Other hosts cannot be reached through the proxy."""
    url: str = ""
    hosts: set[str] = field(default_factory=set)
    """HOST:PORT of every request, or HOST without a port."""
    heads: list[str] = field(default_factory=list)
    """The request line and headers of every connection's first request."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head.decode())
            method, target = head.decode().split(" ")[:2]
            host = target if method == "CONNECT" else re.sub(r"^\w+://([^/]*).*", r"\1", target)
            self.hosts.add(host)
            port = self.ports.get(host.partition(":")[0])
            if port is None:
                writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
            else:
                await self._forward(port, b"" if method == "CONNECT" else head, reader, writer)
        writer.close()

    async def _forward(
        self, port: int, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
        server_writer.write(head)
        if not head:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_copy(reader, server_writer), _copy(server_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def http_proxy(ports: Mapping[str, int], credentials: str = "") -> AsyncIterator[HttpProxy]:
    """`credentials`: USER:PASSWORD@ in the proxy's URL."""
    proxy = HttpProxy(ports)
    connections: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(proxy.serve(reader, writer))
        connections.add(task)
        await asyncio.gather(task, return_exceptions=True)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy.url = f"http://{credentials}127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
