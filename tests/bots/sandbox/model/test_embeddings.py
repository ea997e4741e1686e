"""Embeddings: format, limits, and similar vectors for similar texts."""

import base64

import msgspec
import numpy as np
import openai
import pytest

from bots.sandbox.model import ModelStandIn
from tests import api_specs
from tests.bots.sandbox.model.conftest import EMBEDDER, OpenAIClient


async def similarities(client: OpenAIClient, *texts: str) -> list[float]:
    """The similarity of the first text to each of the others."""
    response = await client.openai.embeddings.create(model=EMBEDDER, input=list(texts))
    vectors = np.array([row.embedding for row in response.data])
    return [float(v) for v in vectors[1:] @ vectors[0]]


async def test_response_matches_spec(server: ModelStandIn, client: OpenAIClient) -> None:
    api_specs.require_specs()
    request = {"model": EMBEDDER, "input": ["one", "two words"]}
    status, body, _ = await client.http("POST", "embeddings", request)
    assert status == 200
    assert api_specs.model_errors("CreateEmbeddingResponse", body) == []
    assert [row["index"] for row in body["data"]] == [0, 1]
    assert {len(row["embedding"]) for row in body["data"]} == {1024}
    assert body["usage"]["completion_tokens"] == 0
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] > 0
    assert server.usage[EMBEDDER] == body["usage"]["total_tokens"]


async def test_vectors_are_normalised_and_deterministic(client: OpenAIClient) -> None:
    texts = ["The warranty ends.", "这是中文", "👩‍👩‍👧‍👦", "x"]
    first = await client.openai.embeddings.create(model=EMBEDDER, input=texts)
    second = await client.openai.embeddings.create(model=EMBEDDER, input=texts)
    one, two = ([row.embedding for row in response.data] for response in (first, second))
    assert one == two
    assert np.allclose(np.linalg.norm(np.array(one), axis=1), 1.0, atol=1e-5)


async def test_float_and_base64_encodings_agree(client: OpenAIClient) -> None:
    request = {"model": EMBEDDER, "input": "hello there"}
    _, floats, _ = await client.http("POST", "embeddings", request)
    _, encoded, _ = await client.http("POST", "embeddings", {**request, "encoding_format": "base64"})
    raw = base64.b64decode(encoded["data"][0]["embedding"])
    assert np.allclose(np.frombuffer(raw, "<f4"), floats["data"][0]["embedding"], atol=1e-6)


async def test_similar_texts_are_near(client: OpenAIClient) -> None:
    same, stems, other = await similarities(
        client,
        "When does the warranty of the pump end?",
        "The warranty of the pump ends after 31 months.",
        "Our pumps and their warranties.",
        "Bake the bread for half an hour.",
    )
    assert same > stems > other + 0.1


async def test_oversized_text_is_refused(server: ModelStandIn, client: OpenAIClient) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.openai.embeddings.create(model=EMBEDDER, input=["short", "word " * 2000])
    assert "maximum context length is 512 tokens" in str(msgspec.json.encode(caught.value.body))
    assert server.usage[EMBEDDER] == 0


async def test_batch_size_is_limited(client: OpenAIClient) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        await client.openai.embeddings.create(model=EMBEDDER, input=["x"] * 2049)
    assert "at most 2048 items" in str(caught.value.body)
    with pytest.raises(openai.UnprocessableEntityError):
        await client.openai.embeddings.create(model=EMBEDDER, input=[])


@pytest.mark.parametrize(
    ("question", "right", "wrong"),
    [
        (
            "Who repaired the lighthouse lamp?",
            "The lamp of the lighthouse was repaired by Ingrid Solberg in 1931.",
            "Ferries leave the harbour every morning at seven, except on Sundays.",
        ),
        ("Где хранится ключ от архива?", "Ключ от архива хранится у Марины.", "Кофе стоит сорок."),
        ("谁修理了灯塔？", "灯塔是李明在去年修理的。", "面包需要烤半个小时。"),
        ("What is the code of locker 17?", "Locker 17 opens with code 4482.", "Room 3 is closed."),
        ("invoices of March", "The invoice for march was paid late.", "She marched to the town."),
    ],
)
async def test_answer_is_nearest_to_its_question(client: OpenAIClient, question: str, right: str, wrong: str) -> None:
    near_right, near_wrong = await similarities(client, question, right, wrong)
    assert near_right > near_wrong + 0.1


async def test_unrelated_texts_are_far(client: OpenAIClient) -> None:
    (far,) = await similarities(client, "The warranty covers every pump.", "Bake bread slowly until golden brown.")
    assert abs(far) < 0.15
