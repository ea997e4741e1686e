import msgspec
import numpy as np
import pytest

from bots.sandbox.model import ModelStandIn
from core.api.client import ModelApi
from core.api.embedding import MAX_TEXTS_PER_REQUEST, EmbeddingResult
from core.errors import ModelError, ModelFailure
from core.timings import Timings
from tests.core.api.raw_server import raw_server, response

TIMINGS = Timings(model_retry_delay=0.01)


def answer(*vectors: object, usage: object = None, order: list[int] | None = None) -> bytes:
    data = [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    if order is not None:
        data = [data[index] for index in order]
    return response(200, msgspec.json.encode({"data": data, "usage": usage}))


async def ask(url: str, *texts: str) -> EmbeddingResult:
    api = ModelApi(url, "secret-key", timings=TIMINGS)
    try:
        return await api.embed(texts)
    finally:
        await api.close()


async def embed_answers(*answers: bytes, texts: tuple[str, ...] = ("one", "two")) -> EmbeddingResult:
    async with raw_server(lambda number: [answers[min(number, len(answers)) - 1]]) as server:
        return await ask(server.url, *texts)


async def test_vectors_are_ordered_and_normalised() -> None:
    result = await embed_answers(answer([3, 4], [0, 2], order=[1, 0], usage={"prompt_tokens": 7, "total_tokens": 7}))
    assert np.allclose(result.vectors, np.array([[0.6, 0.8], [0, 1]]))
    assert result.vectors.dtype == np.float32
    assert result.tokens == 7


async def test_requests_float_encoding() -> None:
    async with raw_server(lambda _n: [answer([1, 0])]) as server:
        await ask(server.url, "one")
    body = msgspec.json.decode(server.requests[0])
    assert body["encoding_format"] == "float"
    assert body["input"] == ["one"]
    assert body["model"] == "mixedbread-ai/mxbai-embed-large-v1"


@pytest.mark.parametrize(
    "invalid_response",
    [
        answer([1, 0]),
        answer([1, 0], [1]),
        answer([1, 0], "AAAA"),
        answer([1, 0], None),
        answer([1e300, 0], [0, 1]),
        answer([], []),
        response(200, b'{"data":[{"embedding":[1e999]},{"embedding":[1]}]}'),
        response(200, b"[]"),
        response(200, b'{"data":[1,2]}'),
    ],
)
async def test_invalid_vectors_are_error(invalid_response: bytes) -> None:
    with pytest.raises(ModelError) as caught:
        await embed_answers(invalid_response)
    assert caught.value.failure in (ModelFailure.MALFORMED, ModelFailure.UNAVAILABLE)


async def test_transient_failure_is_retried() -> None:
    busy = response(503, b'{"detail":"busy"}', "retry-after-ms: 20")
    result = await embed_answers(busy, response(200, b"<html>", content_type="text/html"), answer([1], [1]))
    assert result.vectors.shape == (2, 1)


@pytest.mark.parametrize(
    ("status", "detail", "failure"),
    [
        (401, "Invalid API Key", ModelFailure.AUTHENTICATION),
        (
            400,
            "The requested model is not available for Embeddings API.",
            ModelFailure.UNKNOWN_MODEL,
        ),
        (400, "This model's maximum context length is 512 tokens.", ModelFailure.OVERFLOW),
        (429, "Daily token quota exceeded", ModelFailure.QUOTA),
    ],
)
async def test_permanent_failure_is_not_retried(status: int, detail: str, failure: ModelFailure) -> None:
    refusal = response(status, msgspec.json.encode({"detail": detail}))
    async with raw_server(lambda _n: [refusal]) as server:
        with pytest.raises(ModelError) as caught:
            await ask(server.url, "one")
    assert caught.value.failure is failure
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        b'{"detail":"Daily token quota exceeded, code 429"}',
        b'{"success":false,"errors":[{"message":"Daily token quota exceeded"}]}',
        b'{"code":"Throttled","message":"Daily token quota exceeded"}',
    ],
)
async def test_error_with_status_200_is_error(body: bytes) -> None:
    with pytest.raises(ModelError) as caught:
        await embed_answers(response(200, body))
    assert caught.value.failure is ModelFailure.QUOTA


async def test_number_of_texts_is_limited() -> None:
    api = ModelApi("http://127.0.0.1:9/", "secret-key")
    with pytest.raises(ValueError, match="65 texts"):
        await api.embed(["text"] * (MAX_TEXTS_PER_REQUEST + 1))
    await api.close()


async def test_stand_in_ranks_similar_texts() -> None:
    model = ModelStandIn()
    await model.start()
    try:
        api = ModelApi(model.base_url, model.api_key)
        result = await api.embed(
            [
                "When does the warranty of the pump end?",
                "The warranty of the pump ends after 31 months.",
                "Bake the bread for half an hour.",
            ]
        )
        await api.close()
    finally:
        await model.close()
    related, unrelated = result.vectors[1] @ result.vectors[0], result.vectors[2] @ result.vectors[0]
    assert related > unrelated + 0.1
    assert result.tokens > 0
