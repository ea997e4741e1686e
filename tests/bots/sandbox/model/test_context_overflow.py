"""Every error answer to a request that is too long."""

import pytest

from bots.sandbox.model import OVERFLOW_RESPONSES, ModelStandIn, OverflowResponse, Tokeniser
from tests.bots.sandbox.model.conftest import EMBEDDER, TINY, OpenAIClient, conversation

LONG = "word " * 6000


@pytest.mark.parametrize(
    "overflow",
    [pytest.param(o, id=n) for n, o in OVERFLOW_RESPONSES.items() if not o.truncates_silently],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_overflow_wording_is_configurable(
    server: ModelStandIn, client: OpenAIClient, overflow: OverflowResponse, stream: bool
) -> None:
    server.overflow_response = overflow
    status, body, headers = await client.http(
        "POST",
        "chat/completions",
        {"model": TINY, "messages": conversation(LONG), "stream": stream},
    )
    assert status == overflow.status
    assert headers["content-type"].startswith(
        "text/html" if overflow.message_template.startswith("<") else "application/json"
    )
    text = str(body)
    for name, number in (
        ("limit", 4000),
        ("prompt", Tokeniser(TINY).count_prompt(conversation(LONG))),
    ):
        assert (f"{{{name}}}" in overflow.message_template) == (str(number) in text)
    if overflow.error_type:
        assert body["error"]["type"] == overflow.error_type
    assert server.usage[TINY] == 0


async def test_prompt_can_be_truncated_silently(server: ModelStandIn, client: OpenAIClient) -> None:
    server.overflow_response = OVERFLOW_RESPONSES["silent"]
    answer = await client.stream(LONG, model=TINY)
    assert (answer.text, answer.finish_reasons) == ("", ["length"])
    prompt, completion = answer.usages[-1]
    assert 3960 <= prompt <= 4000
    assert completion == 0


async def test_no_room_for_an_answer(client: OpenAIClient) -> None:
    status, body, _ = await client.http(
        "POST",
        "chat/completions",
        {"model": TINY, "messages": conversation("x"), "max_tokens": -186},
    )
    assert (status, body) == (400, {"detail": "max_tokens must be at least 1, got -186"})


async def test_embeddings_use_same_wording(server: ModelStandIn, client: OpenAIClient) -> None:
    server.overflow_response = OVERFLOW_RESPONSES["sglang"]
    body = {"model": EMBEDDER, "input": LONG}
    status, error, _ = await client.http("POST", "embeddings", body)
    assert status == 400
    assert error["detail"].endswith("is longer than the model's context length (512 tokens).")
