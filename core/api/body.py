"""The body of an answer that is no stream, bounded in size."""

from contextlib import aclosing
from typing import Any

import msgspec

from core.errors import Failure, ModelError

__all__ = ["body_of", "json_of"]


async def body_of(answer: Any, most: int) -> bytes:
    """All of it. Raises what the transport raises, and `ModelError` for more than `most` bytes."""
    body = bytearray()
    async with aclosing(answer.iter_bytes()) as pieces:
        async for piece in pieces:
            body += piece
            if len(body) > most:
                raise ModelError("The answer is too large", Failure.MALFORMED)
    return bytes(body)


def json_of(content: bytes) -> Any:
    """Raises `msgspec.DecodeError` for whatever is none: bad characters and depth, too."""
    try:
        return msgspec.json.decode(content)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(type(error).__name__) from None
