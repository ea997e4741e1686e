"""Vectors on the wire: what comes back, what goes wrong."""

import msgspec
import numpy as np
import pytest

from bots.sandbox.model import ModelStandIn
from core.api.client import ModelApi
from core.api.embedding import MOST_TEXTS, Embedded
from core.errors import Failure, ModelError
from tests.core.api.wire import plain, serving


def answer(*vectors: object, usage: object = None, order: list[int] | None = None) -> bytes:
    data = [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    if order is not None:
        data = [data[at] for at in order]
    return plain(200, msgspec.json.encode({"data": data, "usage": usage}))


async def ask(url: str, *texts: str) -> Embedded:
    api = ModelApi(url, "secret-key")
    try:
        return await api.embed(texts)
    finally:
        await api.close()


async def get(*answers: bytes, texts: tuple[str, ...] = ("one", "two")) -> Embedded:
    async with serving(lambda number: [answers[min(number, len(answers)) - 1]]) as wire:
        return await ask(wire.url, *texts)


async def test_vectors_come_in_the_order_of_the_texts_and_of_length_one() -> None:
    made = await get(
        answer([3, 4], [0, 2], order=[1, 0], usage={"prompt_tokens": 7, "total_tokens": 7})
    )
    assert np.allclose(made.vectors, np.array([[0.6, 0.8], [0, 1]]))
    assert made.vectors.dtype == np.float32
    assert made.tokens == 7


async def test_floats_are_asked_for() -> None:
    async with serving(lambda _n: [answer([1, 0])]) as wire:
        await ask(wire.url, "one")
    body = msgspec.json.decode(wire.requests[0])
    assert body["encoding_format"] == "float"
    assert body["input"] == ["one"]
    assert body["model"] == "mixedbread-ai/mxbai-embed-large-v1"


@pytest.mark.parametrize(
    "said",
    [
        answer([1, 0]),
        answer([1, 0], [1]),
        answer([1, 0], "AAAA"),
        answer([1, 0], None),
        answer([], []),
        plain(200, b'{"data":[{"embedding":[1e999]},{"embedding":[1]}]}'),
        plain(200, b"[]"),
        plain(200, b'{"data":[1,2]}'),
    ],
)
async def test_what_is_no_vectors_is_an_error(said: bytes) -> None:
    with pytest.raises(ModelError) as caught:
        await get(said)
    assert caught.value.failure in (Failure.MALFORMED, Failure.UNAVAILABLE)


async def test_what_passes_is_tried_again() -> None:
    busy = plain(503, b'{"detail":"busy"}', "retry-after-ms: 20")
    made = await get(busy, plain(200, b"<html>", kind="text/html"), answer([1], [1]))
    assert made.vectors.shape == (2, 1)


@pytest.mark.parametrize(
    ("status", "detail", "failure"),
    [
        (401, "Invalid API Key", Failure.AUTHENTICATION),
        (400, "The requested model is not available for Embeddings API.", Failure.UNKNOWN_MODEL),
        (400, "This model's maximum context length is 512 tokens.", Failure.OVERFLOW),
        (429, "Daily token quota exceeded", Failure.QUOTA),
    ],
)
async def test_what_does_not_pass_is_not(status: int, detail: str, failure: Failure) -> None:
    said = plain(status, msgspec.json.encode({"detail": detail}))
    async with serving(lambda _n: [said]) as wire:
        with pytest.raises(ModelError) as caught:
            await ask(wire.url, "one")
    assert caught.value.failure is failure
    assert len(wire.requests) == 1


async def test_an_error_with_status_200_is_one() -> None:
    with pytest.raises(ModelError) as caught:
        await get(plain(200, b'{"detail":"Daily token quota exceeded, code 429"}'))
    assert caught.value.failure in (Failure.QUOTA, Failure.UNAVAILABLE)


async def test_a_request_is_bounded() -> None:
    api = ModelApi("http://127.0.0.1:9/", "secret-key")
    with pytest.raises(ValueError, match="65 texts"):
        await api.embed(["text"] * (MOST_TEXTS + 1))
    await api.close()


async def test_the_stand_in_finds_near_texts_near() -> None:
    model = ModelStandIn()
    await model.start()
    try:
        api = ModelApi(model.base_url, model.api_key)
        made = await api.embed(
            [
                "When does the warranty of the pump end?",
                "The warranty of the pump ends after 31 months.",
                "Bake the bread for half an hour.",
            ]
        )
        await api.close()
    finally:
        await model.close()
    near, far = made.vectors[1] @ made.vectors[0], made.vectors[2] @ made.vectors[0]
    assert near > far + 0.1
    assert made.tokens > 0
