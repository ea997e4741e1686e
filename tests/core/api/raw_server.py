"""A server that says exactly the bytes a test gives it, and sees when the client goes."""

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


def response(status: int, body: bytes, *headers: str, kind: str = "application/json") -> bytes:
    head = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, *headers, "", ""]).encode() + body


class RawServer:
    def __init__(self) -> None:
        self.url = ""
        self.requests: list[bytes] = []
        self.disconnected = asyncio.Event()


@asynccontextmanager
async def raw_server(answer: Callable[[int], list[bytes | float]]) -> AsyncIterator[RawServer]:
    """`answer(n)` gives the pieces said to request n: bytes to send, a float to be silent for;
    afterwards the connection is closed."""
    wire = RawServer()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (int(h.split(b":")[1]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-length")),
                0,
            )
            body = await reader.readexactly(length)
            wire.requests.append(body)
            watch = asyncio.create_task(reader.read(1))
            for piece in answer(len(wire.requests)):
                if isinstance(piece, bytes):
                    writer.write(piece)
                    await writer.drain()
                else:
                    await asyncio.wait({watch}, timeout=piece)
                if watch.done():
                    wire.disconnected.set()
                    return
            watch.cancel()
        except (ConnectionError, asyncio.IncompleteReadError):
            wire.disconnected.set()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    wire.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/v1/"
    async with server:
        yield wire
