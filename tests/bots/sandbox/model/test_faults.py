"""Every fault, as the real client or plain HTTP sees it."""

import asyncio
import json
import time
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import openai
import pytest

from bots.sandbox.model import Endpoint, Fault, ModelStandIn, ScriptedAnswer, faults
from bots.sandbox.model.faults import ReasoningFormat, UsageReporting
from bots.sandbox.model.script import long_document
from bots.sandbox.model.tokeniser import split_pieces
from tests.bots.sandbox.model.conftest import EMBEDDER, LLAMA, R1, TINY, OpenAIClient, conversation

pytestmark = pytest.mark.slow


async def packets_of(server: ModelStandIn, text: str = "repeat: one two three") -> list[bytes]:
    """The packets of a streamed answer."""
    request = {"model": LLAMA, "messages": conversation(text), "stream": True}
    headers = {"Authorization": f"Bearer {server.api_key}"}
    url = server.base_url + "chat/completions"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json=request, headers=headers) as response,
    ):
        return [data async for data, _ in response.content.iter_chunks()]


async def test_fault_applies_once_to_its_target(server: ModelStandIn, client: OpenAIClient) -> None:
    server.fail_next(faults.http_error(503), model=TINY, times=2)
    server.fail_next(faults.http_error(500), endpoint=Endpoint.EMBEDDINGS)
    assert (await client.complete("hello"))["choices"]
    for _ in range(2):
        with pytest.raises(openai.InternalServerError) as caught:
            await client.complete("hello", model=TINY)
        assert caught.value.status_code == 503
    assert (await client.complete("hello", model=TINY))["choices"]
    with pytest.raises(openai.InternalServerError):
        await client.openai.embeddings.create(model=EMBEDDER, input="x")
    assert (await client.openai.embeddings.create(model=EMBEDDER, input="x")).data
    assert server.usage.tokens_used(model=TINY) > 0


async def test_permanent_fault_ends_when_cleared(server: ModelStandIn, client: OpenAIClient) -> None:
    server.fail_next(faults.http_error(500), times=None)
    for _ in range(3):
        with pytest.raises(openai.InternalServerError):
            await client.complete("hello")
    assert server.usage[LLAMA] == 0, "failed requests use no tokens"
    assert len(server.requests) == 3
    server.planned_faults.clear()
    assert (await client.complete("hello"))["choices"]


async def test_fault_hook_sees_request(server: ModelStandIn, client: OpenAIClient) -> None:
    def hook(body: dict[str, Any]) -> Fault | None:
        return faults.gateway_error(504) if "bad" in str(body["messages"]) else None

    server.fault_hook = hook
    assert (await client.complete("good"))["choices"]
    with pytest.raises(openai.InternalServerError) as caught:
        await client.complete("bad")
    assert caught.value.status_code == 504


@pytest.mark.parametrize("code", [502, 503, 504, 521, 524])
async def test_gateway_error_page(server: ModelStandIn, client: OpenAIClient, code: int) -> None:
    server.fail_next(faults.gateway_error(code))
    request = {"model": LLAMA, "messages": conversation("hello")}
    status, body, headers = await client.http("POST", "chat/completions", request)
    assert status == code
    assert headers["content-type"] == "text/html"
    assert headers["server"] == "cloudflare"
    assert body.startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize("header_format", ["seconds", "date", "ms"])
async def test_retry_after_header(server: ModelStandIn, client: OpenAIClient, header_format: Any) -> None:
    started_at = int(time.time())
    server.fail_next(faults.rate_limited(90, header_format))
    with pytest.raises(openai.RateLimitError) as caught:
        await client.stream("hello")
    headers = caught.value.response.headers
    match header_format:
        case "seconds":
            assert headers["retry-after"] == "90"
        case "ms":
            assert headers["retry-after-ms"] == "90000"
        case "date":
            retry_at = parsedate_to_datetime(headers["retry-after"]).timestamp()
            assert started_at + 90 <= retry_at <= time.time() + 90


@pytest.mark.parametrize(
    ("fault", "content_type", "body"),
    [
        (faults.respond_with(200, {"error": "no"}), "application/json", b'{"error":"no"}'),
        (faults.respond_with(200, "<html></html>"), "text/html", b"<html></html>"),
        (faults.respond_with(200, b"", content_type="text/event-stream"), "text/event-stream", b""),
    ],
)
async def test_non_stream_body_with_status_200(
    server: ModelStandIn, client: OpenAIClient, fault: Fault, content_type: str, body: bytes
) -> None:
    server.fail_next(fault, times=2)
    request = {"model": LLAMA, "messages": conversation("hello"), "stream": True}
    _, _, headers = await client.http("POST", "chat/completions", request)
    assert headers["content-type"] == content_type
    assert b"".join(await packets_of(server)) == body


@pytest.mark.parametrize("stream", [True, False])
async def test_stall_before_headers(server: ModelStandIn, client: OpenAIClient, stream: bool) -> None:
    server.fail_next(faults.stall())
    with pytest.raises(openai.APITimeoutError):
        await client.openai.chat.completions.create(
            model=LLAMA, messages=conversation("hello"), stream=stream, timeout=0.3
        )
    await server.wait_for(lambda: server.requests[-1].disconnected_at)


async def test_stall_before_and_during_answer(server: ModelStandIn, client: OpenAIClient) -> None:
    texts: list[str] = []

    async def read(timeout: float) -> None:
        stream = await client.openai.chat.completions.create(
            model=LLAMA, messages=conversation("long 500"), stream=True, timeout=timeout
        )
        async for chunk in stream:
            texts.append(chunk.choices[0].delta.content or "")

    for after_pieces, timeout in ((0, 0.5), (5, 2.0)):
        texts.clear()
        server.fail_next(faults.stall(after_pieces))
        with pytest.raises(openai.APITimeoutError):
            await read(timeout)
        assert long_document(500).startswith("".join(texts))
        assert bool("".join(texts)) == bool(after_pieces)
        await server.wait_for(lambda: server.requests[-1].disconnected_at)


async def test_temporary_stall(server: ModelStandIn, client: OpenAIClient) -> None:
    server.fail_next(faults.stall(3, seconds=0.3))
    started_at = time.monotonic()
    answer = await client.stream("long 500")
    assert time.monotonic() - started_at > 0.3
    assert (answer.text, answer.finish_reasons) == (long_document(500), ["stop"])


async def test_stream_waits_for_event(server: ModelStandIn, client: OpenAIClient) -> None:
    go_on = asyncio.Event()
    server.answer = lambda _: ScriptedAnswer("one two three four", hold_until=go_on)
    answer = asyncio.create_task(client.stream("count"))
    await server.wait_for(lambda: server.requests and server.requests[-1].piece_times)
    assert len(server.requests[-1].piece_times) == len(split_pieces("one two three four")) // 2
    go_on.set()
    assert (await answer).text == "one two three four"


@pytest.mark.parametrize("fault", [faults.reset_connection(5), faults.close_connection(5)])
async def test_broken_connection(server: ModelStandIn, client: OpenAIClient, fault: Fault) -> None:
    server.fail_next(fault)
    with pytest.raises(openai.APIConnectionError):
        await client.stream("long 500")
    record = await server.wait_for(lambda: server.requests[-1].disconnected_at and server.requests[-1])
    assert record
    assert not record.is_completed
    assert record.token_usage[1] > 0
    assert server.usage[LLAMA] == sum(record.token_usage)


@pytest.mark.parametrize("fault", [faults.reset_connection(), faults.close_connection()])
@pytest.mark.parametrize("stream", [True, False])
async def test_connection_breaks_before_headers(
    server: ModelStandIn, client: OpenAIClient, fault: Fault, stream: bool
) -> None:
    server.fail_next(fault)
    with pytest.raises(openai.APIConnectionError):
        await client.openai.chat.completions.create(model=LLAMA, messages=conversation("hello"), stream=stream)
    assert (await client.complete("hello"))["choices"]


async def test_stream_without_finish_reason(server: ModelStandIn, client: OpenAIClient) -> None:
    server.fail_next(faults.end_stream(5))
    answer = await client.stream("long 500")
    assert answer.text
    assert long_document(500).startswith(answer.text)
    assert answer.finish_reasons == []
    server.fail_next(faults.end_stream(5))
    assert b"[DONE]" not in b"".join(await packets_of(server))
    assert not server.requests[-1].is_completed


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
@pytest.mark.parametrize("after_pieces", [None, 4])
async def test_error_inside_stream(
    server: ModelStandIn, payload: dict[str, Any], event: str, after_pieces: int | None
) -> None:
    fault = faults.send_event(payload, event_type=event)
    server.fail_next(Fault(after_pieces=after_pieces, raw_bytes=fault.raw_bytes, action=fault.action))
    events = b"".join(await packets_of(server, "long 500")).split(b"\n\n")
    assert events.pop() == b""
    *before, last = events
    assert bool(before) == (after_pieces is not None)
    if event:
        name, _, last = last.partition(b"\n")
        assert name == b"event: error"
    assert json.loads(last.removeprefix(b"data: ")) == payload


async def test_malformed_event_bytes(server: ModelStandIn, client: OpenAIClient) -> None:
    server.fail_next(faults.send_raw(b"data: {oops\n\n", after_pieces=2))
    with pytest.raises(json.JSONDecodeError):
        await client.stream("long 500")


async def test_characters_split_across_packets(server: ModelStandIn, client: OpenAIClient) -> None:
    text = "это 中文 👩‍👩‍👧‍👦"
    server.fail_next(Fault(packet_bytes=3), times=2)
    packets = await packets_of(server, f"repeat: {text}")
    split_characters = 0
    for packet in packets:
        try:
            packet.decode()
        except UnicodeDecodeError:
            split_characters += 1
    assert split_characters
    assert (await client.stream(f"repeat: {text}")).text == text


@pytest.mark.parametrize("reporting", UsageReporting)
async def test_usage_placement(server: ModelStandIn, client: OpenAIClient, reporting: UsageReporting) -> None:
    server.fail_next(Fault(usage_reporting=reporting))
    answer = await client.stream("long 500")
    with_usage = [index for index, chunk in enumerate(answer.chunks) if chunk.get("usage")]
    without_choices = [index for index, chunk in enumerate(answer.chunks) if not chunk["choices"]]
    last = len(answer.chunks) - 1
    assert (
        with_usage
        == {
            UsageReporting.EVERY_CHUNK: list(range(last + 1)),
            UsageReporting.FINAL_CHUNK: [last],
            UsageReporting.FINISH_CHUNK: [last],
            UsageReporting.NONE: [],
        }[reporting]
    )
    assert without_choices == ([last] if reporting in (UsageReporting.EVERY_CHUNK, UsageReporting.FINAL_CHUNK) else [])
    assert server.usage[LLAMA] == sum(server.requests[-1].token_usage), "the tokens are used anyway"
    if with_usage:
        assert answer.usages[-1] == server.requests[-1].token_usage


@pytest.mark.parametrize("reasoning_format", ReasoningFormat)
async def test_reasoning_placement(
    server: ModelStandIn, client: OpenAIClient, reasoning_format: ReasoningFormat
) -> None:
    plain = await client.stream("repeat: yes", model=R1)
    server.fail_next(Fault(reasoning_format=reasoning_format), times=2)
    answer = await client.stream("repeat: yes", model=R1)
    whole = await client.complete("repeat: yes", model=R1)
    message = whole["choices"][0]["message"]
    assert answer.usages[-1] == plain.usages[-1]
    reasoning = plain.reasoning
    expected = {
        ReasoningFormat.REASONING_CONTENT_FIELD: "\n\nyes",
        ReasoningFormat.REASONING_FIELD: "\n\nyes",
        ReasoningFormat.THINK_TAGS: f"<think>{reasoning}</think>\n\nyes",
        ReasoningFormat.CLOSING_TAG_ONLY: f"{reasoning}</think>\n\nyes",
        ReasoningFormat.OPENING_TAG_ONLY: f"<think>{reasoning}\n\nyes",
        ReasoningFormat.BRACKET_TAGS: f"[THINK]{reasoning}[/THINK]\n\nyes",
        ReasoningFormat.PREFIXED_TAGS: f"<mm:think>{reasoning}</mm:think>\n\nyes",
        ReasoningFormat.UPPERCASE_TAGS: f"<THINK>{reasoning}</THINK>\n\nyes",
        ReasoningFormat.FINAL_TAG: f"<think>{reasoning}<final>\n\nyes",
        ReasoningFormat.SILENT: "\n\nyes",
    }[reasoning_format]
    assert answer.text == message["content"] == expected
    has_field = reasoning_format in (ReasoningFormat.REASONING_CONTENT_FIELD, ReasoningFormat.REASONING_FIELD)
    assert answer.reasoning == (reasoning if has_field else "")
    assert message.get(reasoning_format.value, "") == answer.reasoning


async def test_reasoning_exhausts_budget(server: ModelStandIn, client: OpenAIClient) -> None:
    server.fail_next(Fault(only_reasoning=True))
    answer = await client.stream("repeat: yes", model=R1)
    assert answer.reasoning
    assert (answer.text, answer.finish_reasons) == ("", ["length"])


@pytest.mark.parametrize("reason", ["length", "content_filter", "tool_calls", "eos", None])
async def test_other_finish_reasons(server: ModelStandIn, client: OpenAIClient, reason: str | None) -> None:
    server.fail_next(Fault(finish_reason=reason))
    answer = await client.stream("repeat: yes")
    assert answer.text == "yes"
    assert answer.finish_reasons == ([] if reason is None else [reason])


@pytest.mark.parametrize("options", [{"reasoning": {"effort": "none"}}, {"reasoning_effort": "none"}])
async def test_reasoning_can_be_disabled(server: ModelStandIn, client: OpenAIClient, options: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.stream("repeat: yes", model=R1, extra_body=options)
    assert "Reasoning" in str(caught.value.body)
    server.optional_reasoning_models.add(R1)
    answer = await client.stream("repeat: yes", model=R1, extra_body=options)
    assert (answer.reasoning, answer.text) == ("", "yes")
    assert (await client.stream("repeat: yes", extra_body=options)).text == "yes"
    low = {"reasoning": {"effort": "low"}}
    assert (await client.stream("repeat: yes", model=R1, extra_body=low)).reasoning


async def test_server_closes_with_open_request() -> None:
    server = ModelStandIn()
    await server.start()
    client = OpenAIClient(server)
    server.fail_next(faults.stall())
    task = asyncio.create_task(client.complete("hello"))
    await server.wait_for(lambda: server.requests)
    async with asyncio.timeout(5):
        await server.close()
    with pytest.raises(openai.APIConnectionError):
        await task
    await client.close()
