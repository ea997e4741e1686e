"""Texts as vectors: one request of the embeddings API, checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from openai import AsyncOpenAI

from core.api import errors
from core.api.events import parse_token_count
from core.api.response_body import decode_json, read_body
from core.errors import ModelError, ModelFailure

__all__ = ["MAX_TEXTS_PER_REQUEST", "EmbeddingResult", "Vectors", "request_embeddings"]

MAX_TEXTS_PER_REQUEST = 64  # of one request

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EmbeddingResult:
    vectors: Vectors
    """One row of length 1 for each text."""
    tokens: int
    """What it cost, by the service's own count."""


async def request_embeddings(client: AsyncOpenAI, model: str, texts: Sequence[str], max_bytes: int) -> EmbeddingResult:
    """Ask once, for an answer of `most` bytes at most. Raises what the client raises, and
    `ModelError` for an answer that is none.
    """
    # The package asks for base64 unless told, which not every service knows.
    response_context = client.embeddings.with_streaming_response.create(
        model=model, input=list(texts), encoding_format="float"
    )
    async with response_context as response:
        content = await read_body(response, max_bytes)
    try:
        return _parse_vectors(decode_json(content), len(texts))
    except msgspec.DecodeError:
        raise ModelError("A page came instead of vectors", ModelFailure.UNAVAILABLE) from None


def _parse_vectors(payload: Any, count: int) -> EmbeddingResult:
    match payload:
        case {"data": list(rows), **rest}:
            usage = rest.get("usage")
        case {"detail": _} | {"error": _}:
            raise errors.from_payload(payload)
        case _:
            raise ModelError("The vectors cannot be understood", ModelFailure.MALFORMED)
    try:
        by_index = {int(row.get("index", at)): row["embedding"] for at, row in enumerate(rows)}
        vectors = np.array([by_index[at] for at in range(count)], dtype=np.float32)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        raise ModelError("The vectors cannot be understood", ModelFailure.MALFORMED) from None
    if vectors.ndim != 2 or not vectors.shape[1] or not np.isfinite(vectors).all():
        raise ModelError("The vectors cannot be understood", ModelFailure.MALFORMED)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return EmbeddingResult(unit, _token_count(usage))


def _token_count(usage: Any) -> int:
    fields = usage if isinstance(usage, dict) else {}
    return parse_token_count(fields.get("total_tokens")) or parse_token_count(fields.get("prompt_tokens")) or 0
