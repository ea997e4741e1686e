"""Texts as vectors: one request of the embeddings API, checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from openai import AsyncOpenAI

from core.api import classification
from core.api.body import body_of, json_of
from core.api.events import counted
from core.errors import Failure, ModelError

__all__ = ["MOST_TEXTS", "Embedded", "Vectors", "request"]

MOST_TEXTS = 64  # of one request

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Embedded:
    vectors: Vectors
    """One row of length 1 for each text."""
    tokens: int
    """What it cost, by the service's own count."""


async def request(client: AsyncOpenAI, model: str, texts: Sequence[str], most: int) -> Embedded:
    """Ask once, for an answer of `most` bytes at most. Raises what the client raises, and
    `ModelError` for an answer that is none.
    """
    # The package asks for base64 unless told, which not every service knows.
    asked = client.embeddings.with_streaming_response.create(
        model=model, input=list(texts), encoding_format="float"
    )
    async with asked as answer:
        content = await body_of(answer, most)
    try:
        return _read(json_of(content), len(texts))
    except msgspec.DecodeError:
        raise ModelError("A page came instead of vectors", Failure.UNAVAILABLE) from None


def _read(payload: Any, count: int) -> Embedded:
    match payload:
        case {"data": list(rows), **rest}:
            usage = rest.get("usage")
        case {"detail": _} | {"error": _}:
            raise classification.from_payload(payload)
        case _:
            raise ModelError("The vectors cannot be understood", Failure.MALFORMED)
    try:
        placed = {int(row.get("index", at)): row["embedding"] for at, row in enumerate(rows)}
        vectors = np.array([placed[at] for at in range(count)], dtype=np.float32)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        raise ModelError("The vectors cannot be understood", Failure.MALFORMED) from None
    if vectors.ndim != 2 or not vectors.shape[1] or not np.isfinite(vectors).all():
        raise ModelError("The vectors cannot be understood", Failure.MALFORMED)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return Embedded(unit, _tokens(usage))


def _tokens(usage: Any) -> int:
    told = usage if isinstance(usage, dict) else {}
    return counted(told.get("total_tokens")) or counted(told.get("prompt_tokens")) or 0
