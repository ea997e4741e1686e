"""Each fault on the wire, as the real client or plain bytes see it."""

import asyncio
import json
import time
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import openai
import pytest

from bots.sandbox.model import Fault, Kind, ModelStandIn, faults
from bots.sandbox.model.faults import Thinking, Usage
from bots.sandbox.model.script import long
from tests.bots.sandbox.model.conftest import EMBEDDER, LLAMA, R1, TINY, Client, said


async def wire(server: ModelStandIn, text: str = "repeat: one two three") -> list[bytes]:
    """The packets of a streamed answer."""
    asked = {"model": LLAMA, "messages": said(text), "stream": True}
    headers = {"Authorization": f"Bearer {server.api_key}"}
    url = server.base_url + "chat/completions"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json=asked, headers=headers) as answer,
    ):
        return [data async for data, _ in answer.content.iter_chunks()]


async def test_a_fault_happens_once_and_to_whom_it_is_meant(
    server: ModelStandIn, client: Client
) -> None:
    server.fail_next(faults.status(503), model=TINY, times=2)
    server.fail_next(faults.status(500), kind=Kind.EMBEDDINGS)
    assert (await client.complete("hello"))["choices"]
    for _ in range(2):
        with pytest.raises(openai.InternalServerError) as caught:
            await client.complete("hello", model=TINY)
        assert caught.value.status_code == 503
    assert (await client.complete("hello", model=TINY))["choices"]
    with pytest.raises(openai.InternalServerError):
        await client.openai.embeddings.create(model=EMBEDDER, input="x")
    assert (await client.openai.embeddings.create(model=EMBEDDER, input="x")).data
    assert server.used.of(model=TINY) > 0


async def test_a_fault_for_ever_ends_with_healing(server: ModelStandIn, client: Client) -> None:
    server.fail_next(faults.status(500), times=None)
    for _ in range(3):
        with pytest.raises(openai.InternalServerError):
            await client.complete("hello")
    assert server.used[LLAMA] == 0, "what failed is free"
    assert len(server.requests) == 3
    server.heal()
    assert (await client.complete("hello"))["choices"]


async def test_a_hook_decides_by_the_request(server: ModelStandIn, client: Client) -> None:
    def hook(body: dict[str, Any]) -> Fault | None:
        return faults.gateway(504) if "bad" in str(body["messages"]) else None

    server.hook = hook
    assert (await client.complete("good"))["choices"]
    with pytest.raises(openai.InternalServerError) as caught:
        await client.complete("bad")
    assert caught.value.status_code == 504


@pytest.mark.parametrize("code", [502, 503, 504, 521, 524])
async def test_the_page_of_a_gateway(server: ModelStandIn, client: Client, code: int) -> None:
    server.fail_next(faults.gateway(code))
    asked = {"model": LLAMA, "messages": said("hello")}
    status, body, headers = await client.http("POST", "chat/completions", asked)
    assert status == code
    assert headers["content-type"] == "text/html"
    assert headers["server"] == "cloudflare"
    assert body.startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize("form", ["seconds", "date", "ms"])
async def test_when_to_come_back(server: ModelStandIn, client: Client, form: Any) -> None:
    server.fail_next(faults.busy(90, form))
    with pytest.raises(openai.RateLimitError) as caught:
        await client.stream("hello")
    headers = caught.value.response.headers
    match form:
        case "seconds":
            assert headers["retry-after"] == "90"
        case "ms":
            assert headers["retry-after-ms"] == "90000"
        case "date":
            back = parsedate_to_datetime(headers["retry-after"]).timestamp()
            assert 85 < back - time.time() < 95


@pytest.mark.parametrize(
    ("fault", "kind", "body"),
    [
        (faults.reply(200, {"error": "no"}), "application/json", b'{"error":"no"}'),
        (faults.reply(200, "<html></html>"), "text/html", b"<html></html>"),
        (faults.reply(200, b"", content_type="text/event-stream"), "text/event-stream", b""),
    ],
)
async def test_something_else_with_status_200(
    server: ModelStandIn, client: Client, fault: Fault, kind: str, body: bytes
) -> None:
    server.fail_next(fault, times=2)
    asked = {"model": LLAMA, "messages": said("hello"), "stream": True}
    _, _, headers = await client.http("POST", "chat/completions", asked)
    assert headers["content-type"] == kind
    assert b"".join(await wire(server)) == body


@pytest.mark.parametrize("stream", [True, False])
async def test_silence_before_the_headers(
    server: ModelStandIn, client: Client, stream: bool
) -> None:
    server.fail_next(faults.silent())
    with pytest.raises(openai.APITimeoutError):
        await client.openai.chat.completions.create(
            model=LLAMA, messages=said("hello"), stream=stream, timeout=0.3
        )
    await server.wait(lambda: server.requests[-1].disconnected_at, 2)


async def test_silence_before_the_first_token_and_in_the_middle(
    server: ModelStandIn, client: Client
) -> None:
    heard: list[str] = []

    async def read() -> None:
        stream = await client.openai.chat.completions.create(
            model=LLAMA, messages=said("long 500"), stream=True, timeout=0.5
        )
        async for chunk in stream:
            heard.append(chunk.choices[0].delta.content or "")

    for after in (0, 5):
        heard.clear()
        server.fail_next(faults.silent(after))
        with pytest.raises(openai.APITimeoutError):
            await read()
        assert long(500).startswith("".join(heard))
        assert bool("".join(heard)) == bool(after)
        await server.wait(lambda: server.requests[-1].disconnected_at, 2)


async def test_a_silence_that_ends(server: ModelStandIn, client: Client) -> None:
    server.fail_next(faults.silent(3, seconds=0.3))
    began = time.monotonic()
    heard = await client.stream("long 500")
    assert time.monotonic() - began > 0.3
    assert (heard.text, heard.finishes) == (long(500), ["stop"])


@pytest.mark.parametrize("fault", [faults.reset(5), faults.closed(5)])
async def test_a_broken_connection(server: ModelStandIn, client: Client, fault: Fault) -> None:
    server.fail_next(fault)
    with pytest.raises(openai.APIConnectionError):
        await client.stream("long 500")
    record = await server.wait(lambda: server.requests[-1].disconnected_at and server.requests[-1])
    assert record
    assert not record.completed
    assert record.usage[1] > 0
    assert server.used[LLAMA] == sum(record.usage)


@pytest.mark.parametrize("fault", [faults.reset(), faults.closed()])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_connection_that_breaks_before_the_headers(
    server: ModelStandIn, client: Client, fault: Fault, stream: bool
) -> None:
    server.fail_next(fault)
    with pytest.raises(openai.APIConnectionError):
        await client.openai.chat.completions.create(
            model=LLAMA, messages=said("hello"), stream=stream
        )
    assert (await client.complete("hello"))["choices"]


async def test_a_stream_that_ends_without_a_reason(server: ModelStandIn, client: Client) -> None:
    server.fail_next(faults.ended(5))
    heard = await client.stream("long 500")
    assert heard.text
    assert long(500).startswith(heard.text)
    assert heard.finishes == []
    server.fail_next(faults.ended(5))
    assert b"[DONE]" not in b"".join(await wire(server))
    assert not server.requests[-1].completed


@pytest.mark.parametrize(
    ("payload", "event"),
    [
        ({"error": {"message": "broken", "type": "InternalServerError", "code": 500}}, ""),
        ({"error": "broken"}, ""),
        ({"object": "error", "message": "broken", "code": 50001}, ""),
        ({"detail": "broken"}, ""),
        ({"message": "broken"}, "error"),
    ],
)
@pytest.mark.parametrize("after", [None, 4])
async def test_an_error_inside_a_stream(
    server: ModelStandIn, payload: dict[str, Any], event: str, after: int | None
) -> None:
    fault = faults.said(payload, event=event)
    server.fail_next(Fault(after=after, raw=fault.raw, then=fault.then))
    events = b"".join(await wire(server, "long 500")).split(b"\n\n")
    assert events.pop() == b""
    *before, last = events
    assert bool(before) == (after is not None)
    if event:
        name, _, last = last.partition(b"\n")
        assert name == b"event: error"
    assert json.loads(last.removeprefix(b"data: ")) == payload


async def test_bytes_that_are_no_event(server: ModelStandIn, client: Client) -> None:
    server.fail_next(faults.raw(b"data: {oops\n\n", after=2))
    with pytest.raises(json.JSONDecodeError):
        await client.stream("long 500")


async def test_characters_split_between_packets(server: ModelStandIn, client: Client) -> None:
    text = "это 中文 👩‍👩‍👧‍👦"
    server.fail_next(faults.pieces(3), times=2)
    packets = await wire(server, f"repeat: {text}")
    broken = 0
    for packet in packets:
        try:
            packet.decode()
        except UnicodeDecodeError:
            broken += 1
    assert broken
    assert (await client.stream(f"repeat: {text}")).text == text


@pytest.mark.parametrize("style", Usage)
async def test_where_the_use_is_told(server: ModelStandIn, client: Client, style: Usage) -> None:
    server.fail_next(faults.usage(style))
    heard = await client.stream("long 500")
    telling = [at for at, chunk in enumerate(heard.chunks) if chunk.get("usage")]
    ends = [at for at, chunk in enumerate(heard.chunks) if not chunk["choices"]]
    last = len(heard.chunks) - 1
    assert (
        telling
        == {
            Usage.EVERY: list(range(last + 1)),
            Usage.LAST: [last],
            Usage.FINISH: [last],
            Usage.NONE: [],
        }[style]
    )
    assert ends == ([last] if style in (Usage.EVERY, Usage.LAST) else [])
    assert server.used[LLAMA] == sum(server.requests[-1].usage), "it is counted all the same"
    if telling:
        assert heard.usages[-1] == server.requests[-1].usage


@pytest.mark.parametrize("style", Thinking)
async def test_where_the_thoughts_are(
    server: ModelStandIn, client: Client, style: Thinking
) -> None:
    plain = await client.stream("repeat: yes", model=R1)
    server.fail_next(faults.thinking(style), times=2)
    heard = await client.stream("repeat: yes", model=R1)
    whole = await client.complete("repeat: yes", model=R1)
    message = whole["choices"][0]["message"]
    assert heard.usages[-1] == plain.usages[-1]
    thought = plain.thought
    expected = {
        Thinking.FIELD: "\n\nyes",
        Thinking.RENAMED: "\n\nyes",
        Thinking.INLINE: f"<think>{thought}</think>\n\nyes",
        Thinking.UNOPENED: f"{thought}</think>\n\nyes",
        Thinking.UNCLOSED: f"<think>{thought}\n\nyes",
    }[style]
    assert heard.text == message["content"] == expected
    apart = thought if style in (Thinking.FIELD, Thinking.RENAMED) else ""
    assert heard.thought == apart
    assert message.get(style.value, "") == apart


async def test_a_budget_eaten_by_thoughts(server: ModelStandIn, client: Client) -> None:
    server.fail_next(faults.only_thinking())
    heard = await client.stream("repeat: yes", model=R1)
    assert heard.thought
    assert (heard.text, heard.finishes) == ("", ["length"])


@pytest.mark.parametrize("reason", ["length", "content_filter", "tool_calls", "eos", "null"])
async def test_other_reasons_for_the_end(server: ModelStandIn, client: Client, reason: str) -> None:
    server.fail_next(faults.finish(reason))
    heard = await client.stream("repeat: yes")
    assert heard.text == "yes"
    assert heard.finishes == ([] if reason == "null" else [reason])


@pytest.mark.parametrize("off", [{"reasoning": {"effort": "none"}}, {"reasoning_effort": "none"}])
async def test_reasoning_can_be_left_where_a_model_can(
    server: ModelStandIn, client: Client, off: dict[str, Any]
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.stream("repeat: yes", model=R1, extra_body=off)
    assert "Reasoning" in str(caught.value.body)
    server.unthinking.add(R1)
    heard = await client.stream("repeat: yes", model=R1, extra_body=off)
    assert (heard.thought, heard.text) == ("", "yes")
    assert (await client.stream("repeat: yes", extra_body=off)).text == "yes"
    low = {"reasoning": {"effort": "low"}}
    assert (await client.stream("repeat: yes", model=R1, extra_body=low)).thought


async def test_a_stand_in_ends_while_someone_waits() -> None:
    server = ModelStandIn()
    await server.start()
    client = Client(server)
    server.fail_next(faults.silent())
    task = asyncio.create_task(client.complete("hello"))
    await server.wait(lambda: server.requests)
    async with asyncio.timeout(5):
        await server.close()
    with pytest.raises(openai.APIConnectionError):
        await task
    await client.close()
