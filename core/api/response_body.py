"""Reads responses that are not streams, with a size limit, because a broken or hostile service may send any amount."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import httpx2
import msgspec

from core.errors import ModelError, ModelFailure

MAX_BODY_BYTES = 32 * 1024 * 1024
MAX_ERROR_BODY_BYTES = 65_536


async def read_body(response: Any) -> bytes:
    """Read a whole body. Raises `ModelError` if it is too large, and the transport's exceptions."""
    body = bytearray()
    async with aclosing(response.iter_bytes()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise ModelError("The response is too large", ModelFailure.MALFORMED)
    return bytes(body)


def decode_json(content: bytes) -> Any:
    """Raises `msgspec.DecodeError` for any invalid input, including wrong encoding and deep nesting."""
    try:
        return msgspec.json.decode(content)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(type(error).__name__) from None


async def truncate_error_body(response: httpx2.Response) -> None:
    """An httpx2 event hook: the openai package reads error bodies without a limit."""
    if response.status_code >= 400:
        response.headers.pop("content-encoding", None)  # decompressing could exceed the limit again
        response.stream = _TruncatedStream(response.stream)


class _TruncatedStream(httpx2.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        remaining = MAX_ERROR_BODY_BYTES
        async for chunk in self._stream:
            yield chunk[:remaining]
            remaining -= len(chunk)
            if remaining <= 0:
                return

    async def aclose(self) -> None:
        await self._stream.aclose()
