"""The body of an answer that is no stream, bounded in size."""

from contextlib import aclosing
from typing import Any

import msgspec

from core.errors import ModelError, ModelFailure

__all__ = ["decode_json", "read_body"]


async def read_body(response: Any, max_bytes: int) -> bytes:
    """All of it. Raises what the transport raises, and `ModelError` for more than `most` bytes."""
    body = bytearray()
    async with aclosing(response.iter_bytes()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > max_bytes:
                raise ModelError("The answer is too large", ModelFailure.MALFORMED)
    return bytes(body)


def decode_json(content: bytes) -> Any:
    """Raises `msgspec.DecodeError` for whatever is none: bad characters and depth, too."""
    try:
        return msgspec.json.decode(content)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(type(error).__name__) from None
