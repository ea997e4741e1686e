"""Each of the ways to say that a request is too long, on the wire."""

import pytest

from bots.sandbox.model import OVERFLOWS, ModelStandIn, Overflow, Tokeniser
from tests.bots.sandbox.model.conftest import EMBEDDER, TINY, Client, said

LONG = "word " * 6000


@pytest.mark.parametrize(
    "wording", [pytest.param(o, id=n) for n, o in OVERFLOWS.items() if not o.silent]
)
@pytest.mark.parametrize("stream", [True, False])
async def test_the_wording_can_be_chosen(
    server: ModelStandIn, client: Client, wording: Overflow, stream: bool
) -> None:
    server.overflow = wording
    status, body, headers = await client.http(
        "POST", "chat/completions", {"model": TINY, "messages": said(LONG), "stream": stream}
    )
    assert status == wording.status
    assert headers["content-type"].startswith("text/html" if wording.html else "application/json")
    text = str(body)
    for name, number in (("limit", 4000), ("prompt", Tokeniser(TINY).prompt(said(LONG)))):
        assert (f"{{{name}}}" in wording.text) == (str(number) in text)
    if wording.error:
        assert body["error"]["type"] == wording.error
    assert server.used[TINY] == 0


async def test_some_cut_the_prompt_silently(server: ModelStandIn, client: Client) -> None:
    server.overflow = OVERFLOWS["silent"]
    heard = await client.stream(LONG, model=TINY)
    assert (heard.text, heard.finishes) == ("", ["length"])
    prompt, completion = heard.usages[-1]
    assert 3960 <= prompt <= 4000
    assert completion == 0


async def test_no_room_for_an_answer(client: Client) -> None:
    status, body, _ = await client.http(
        "POST", "chat/completions", {"model": TINY, "messages": said("x"), "max_tokens": -186}
    )
    assert (status, body) == (400, {"detail": "max_tokens must be at least 1, got -186"})


async def test_embeddings_use_the_same_words(server: ModelStandIn, client: Client) -> None:
    server.overflow = OVERFLOWS["sglang"]
    asked = {"model": EMBEDDER, "input": LONG}
    status, body, _ = await client.http("POST", "embeddings", asked)
    assert status == 400
    assert body["detail"].endswith("is longer than the model's context length (512 tokens).")
