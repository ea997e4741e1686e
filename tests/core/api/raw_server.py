"""An HTTP server that sends exactly the bytes a test gives it and notices when the client disconnects."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec

SSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def chunk(**delta: object) -> bytes:
    return sse_event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})


def final_chunk(reason: str = "stop", **delta: object) -> bytes:
    return sse_event({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})


def sse_event(payload: object) -> bytes:
    return b"data: " + msgspec.json.encode(payload) + b"\n\n"


DONE = b"data: [DONE]\n\n"


def response(status: int, body: bytes, *headers: str, content_type: str = "application/json") -> bytes:
    head = [f"HTTP/1.1 {status} X", f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, *headers, "", ""]).encode() + body


class RawServer:
    def __init__(self) -> None:
        self.url = ""
        self.requests: list[bytes] = []
        """The bodies of the requests."""
        self.disconnected = asyncio.Event()


@asynccontextmanager
async def raw_server(script: Callable[[int], list[bytes | float]]) -> AsyncIterator[RawServer]:
    """`script(n)` is the response to request n: bytes to send, and floats, seconds to stay silent.

    The connection is closed after the response."""
    server = RawServer()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            headers = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
            lengths = (int(line.split(b":")[1]) for line in headers if line.startswith(b"content-length"))
            server.requests.append(await reader.readexactly(next(lengths, 0)))
            disconnection = asyncio.create_task(reader.read(1))
            for step in script(len(server.requests)):
                if isinstance(step, bytes):
                    writer.write(step)
                    await writer.drain()
                else:
                    await asyncio.wait({disconnection}, timeout=step)
                if disconnection.done():
                    server.disconnected.set()
                    return
            disconnection.cancel()
        except (ConnectionError, asyncio.IncompleteReadError):
            server.disconnected.set()
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/api/v1/"
    async with listener:
        yield server
