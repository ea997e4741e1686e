"""Sends one request for the vectors of texts, and checks and normalises the response."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from core.api import errors
from core.api.events import parse_token_count
from core.api.response_body import decode_json, read_body
from core.errors import ModelError, ModelFailure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from openai import AsyncOpenAI

MAX_TEXTS_PER_REQUEST = 64


@dataclass(frozen=True, slots=True)
class EmbeddingResult:
    vectors: "NDArray[np.float32]"
    """One row for each text, of Euclidean length 1."""
    tokens: int
    """The service's token count; 0 if it reports none."""


async def request_embeddings(client: "AsyncOpenAI", model: str, texts: Sequence[str]) -> EmbeddingResult:
    """Raises the client's exceptions, and `ModelError` for an invalid response."""
    # The package's default, base64, is unknown to some services.
    response_context = client.embeddings.with_streaming_response.create(
        model=model, input=list(texts), encoding_format="float"
    )
    async with response_context as response:
        content = await read_body(response)
    try:
        return _parse_vectors(decode_json(content), len(texts))
    except msgspec.DecodeError:
        raise ModelError("The model service sent a page instead of vectors", ModelFailure.UNAVAILABLE) from None


def _parse_vectors(payload: Any, count: int) -> EmbeddingResult:
    match payload:
        case {"data": list(rows), **rest}:
            matrix = _to_matrix(rows, count)
            if matrix is not None:
                return EmbeddingResult(_normalise(matrix), _token_count(rest.get("usage")))
        case _ if errors.is_error_payload(payload):
            raise errors.from_payload(payload)
    raise ModelError("The vectors are invalid", ModelFailure.MALFORMED)


def _to_matrix(rows: list[Any], count: int) -> "NDArray[np.float32] | None":
    """The first `count` vectors in the order of the texts; None if any number is not finite."""
    import numpy as np

    try:
        vectors_by_index = {int(row.get("index", position)): row["embedding"] for position, row in enumerate(rows)}
        with np.errstate(over="ignore"):  # too large a number becomes infinite
            matrix = np.array([vectors_by_index[index] for index in range(count)], dtype=np.float32)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        return None
    return matrix if matrix.ndim == 2 and matrix.shape[1] and np.isfinite(matrix).all() else None


def _normalise(matrix: "NDArray[np.float32]") -> "NDArray[np.float32]":
    import numpy as np

    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.asarray(matrix / np.maximum(lengths, 1e-12), dtype=np.float32)


def _token_count(usage: Any) -> int:
    fields = usage if isinstance(usage, dict) else {}
    return parse_token_count(fields.get("total_tokens")) or parse_token_count(fields.get("prompt_tokens")) or 0
