"""Answers in unusual forms are still answers."""

import msgspec
import pytest

from core.api.client import StreamTimeouts
from core.api.events import Finished, FinishReason, OnlyReasoning, ReasoningDelta, TextDelta
from core.api.sse import MAX_EVENT_BYTES
from core.api.stream_parser import StreamParser
from core.errors import ModelError, ModelFailure
from tests.core.api.raw_server import DONE, SSE_HEAD, chunk, final_chunk, raw_server, response, sse_event
from tests.core.api.stream_result import StreamResult, read_stream

COMPLETION = (
    b'{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hi",'
    b'"reasoning_content":"hm"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2}}'
)
UNREADABLE = b'data: {"choices":[{"index":0,"delta":{"content":"da\n\n'


def raw_chunk(content: str) -> bytes:
    """A chunk whose content is written exactly so."""
    return b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % content.encode()


async def receive(content: bytes) -> StreamResult:
    async with raw_server(lambda _n: [content]) as server:
        return await read_stream(server.url)


async def receive_stream(content: bytes) -> StreamResult:
    return await receive(SSE_HEAD + content)


@pytest.mark.parametrize(
    ("parts", "reasoning", "text"),
    [
        ([{"type": "text", "text": "Hi"}], "", "Hi"),
        (
            [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "Hi"}],
            "hm",
            "Hi",
        ),
        ([{"type": "thinking", "thinking": "hm"}, "Hi"], "hm", "Hi"),
        ([{"type": "reasoning", "text": "hm"}, {"type": "output_text", "text": "Hi"}], "hm", "Hi"),
        ({"type": "text", "text": "Hi"}, "", "Hi"),
        ([{"type": "text", "text": {"value": "Hi", "annotations": []}}], "", "Hi"),
        ([{"type": "image_url", "image_url": {"url": "x"}}, {"type": "text", "text": "Hi"}], "", "Hi"),
    ],
)
async def test_typed_parts(parts: object, reasoning: str, text: str) -> None:
    result = await receive_stream(chunk(content=parts) + final_chunk())
    assert (result.reasoning, result.text, result.error) == (reasoning, text, None)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(response(200, COMPLETION), id="JSON"),
        pytest.param(response(200, COMPLETION, content_type="text/plain"), id="text"),
        pytest.param(response(200, b"[" + COMPLETION + b"]"), id="array"),
        pytest.param(SSE_HEAD + b"data: " + COMPLETION + b"\n\n" + DONE, id="event"),
        pytest.param(SSE_HEAD + b"data: " + COMPLETION + b"\n\n", id="event without [DONE]"),
        pytest.param(SSE_HEAD + COMPLETION, id="JSON called event"),
        pytest.param(SSE_HEAD + COMPLETION.replace(b",", b",\n  ") + b"\n\n" + DONE, id="indented JSON called event"),
        pytest.param(SSE_HEAD + chunk(reasoning_content="hm", content="Hi") + b"data: " + COMPLETION, id="repeated"),
        pytest.param(
            response(
                200, chunk(reasoning_content="hm") + chunk(content="Hi") + final_chunk(), content_type="text/plain"
            ),
            id="a stream called text",
        ),
    ],
)
async def test_complete_answer(answer: bytes) -> None:
    result = await receive(answer)
    assert (result.reasoning, result.text, result.error) == ("hm", "Hi", None)
    assert result.last_event == Finished(FinishReason.STOP)


def endless_stream(content_type: bytes, beginning: bytes) -> list[bytes | float]:
    """A service that falls silent after the first words."""
    return [SSE_HEAD.replace(b"text/event-stream", content_type), b" \n", beginning + chunk(content="Hi"), 60.0]


@pytest.mark.parametrize("beginning", [b"", b": wait\n\n", b"retry: 3000\n\n", b"event: message\n", b"id: 1\n"])
@pytest.mark.parametrize("content_type", [b"text/plain; charset=utf-8", b"application/json", b"text/html"])
async def test_stream_called_something_else_is_shown_as_it_grows(content_type: bytes, beginning: bytes) -> None:
    timeouts = StreamTimeouts(first_token=0.5, between_tokens=0.5)
    async with raw_server(lambda _n: endless_stream(content_type, beginning)) as server:
        result = await read_stream(server.url, timeouts=timeouts)
    assert result.text == "Hi"
    assert result.error is not None
    assert result.error.failure is ModelFailure.STALLED


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(sse_event({"choices": [{"text": "Hi"}]}) + DONE, id="completion"),
        pytest.param(
            b'data: {"choices":[{"delta":{"content":"H"}}]}\n' + chunk(content="i") + DONE, id="no empty line"
        ),
        pytest.param(chunk(content="Hi").rstrip() + b"\n" + DONE, id="no empty line before the end"),
        pytest.param(chunk(content="Hi").rstrip() + b" [DONE]\n\n", id="end in the last event"),
        pytest.param(b"\xef\xbb\xbf" + chunk(content="Hi") + DONE, id="byte order mark"),
        pytest.param(b"data: " + chunk(content="Hi") + DONE, id="repeated field name"),
        pytest.param(sse_event([{"choices": [{"delta": {"content": part}}]} for part in "Hi"]) + DONE, id="array"),
        pytest.param(sse_event({"choices": [{"index": "0", "delta": {"content": "Hi"}}]}) + DONE, id="index as text"),
        pytest.param(chunk(text="Hi") + DONE, id="delta named text"),
    ],
)
async def test_answer_in_other_framing(answer: bytes) -> None:
    result = await receive_stream(answer)
    assert (result.text, result.last_event) == ("Hi", Finished(FinishReason.STOP))


@pytest.mark.parametrize("field", ["reasoning", "reasoning_text", "thinking"])
async def test_reasoning_in_other_fields(field: str) -> None:
    result = await receive_stream(chunk(**{field: "hm"}) + chunk(content="Hi") + final_chunk())
    assert (result.reasoning, result.text) == ("hm", "Hi")


async def test_reasoning_in_details() -> None:
    details = [{"type": "reasoning.text", "text": "hm"}, {"type": "reasoning.encrypted", "data": "x"}]
    result = await receive_stream(chunk(reasoning_details=details) + chunk(content="Hi") + final_chunk())
    assert (result.reasoning, result.text) == ("hm", "Hi")


@pytest.mark.parametrize(
    "body",
    [
        {"code": "Arrearage", "message": "Access denied.", "request_id": "1"},
        {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}},
    ],
)
async def test_error_with_status_200(body: dict[str, object]) -> None:
    for answer in (SSE_HEAD + sse_event(body), response(200, msgspec.json.encode(body))):
        result = await receive(answer)
        assert result.error is not None
        assert result.error.failure is ModelFailure.CREDIT


async def test_state_of_service_beside_answer_is_no_error() -> None:
    state = {"base_resp": {"status_code": 0, "status_msg": ""}}
    events = sse_event({"code": 0, "message": "ok"}), sse_event({"choices": [{"delta": {"content": "Hi"}}], **state})
    result = await receive_stream(b"".join(events) + DONE)
    assert (result.text, result.error) == ("Hi", None)


async def test_large_complete_answer_is_whole() -> None:
    text = "word " * 100_000
    body = COMPLETION.replace(b"Hi", text.encode())
    assert (await receive(response(200, body))).text == text


@pytest.mark.parametrize("separator", [b"", b" ", b"\ndata: ", b"data: ", b",", b", ", b" data:", b"\n,\n"])
async def test_two_objects_in_one_event(separator: bytes) -> None:
    two = chunk(content="one ").strip() + separator + chunk(content="two").removeprefix(b"data: ")
    result = await receive_stream(two + final_chunk())
    assert (result.text, result.last_event) == ("one two", Finished(FinishReason.STOP))


@pytest.mark.parametrize(
    ("contents", "text"),
    [
        (["a\\ud83d", "\\ude00b"], "a😀b"),
        (["\\ud83d", "", "\\ude00"], "😀"),
        (["\\ud83d\\ude00"], "😀"),
        (["\\ud83d", "x"], "\ufffdx"),
        (["\\ude00x"], "\ufffdx"),
        (["x\\ud83d"], "x\ufffd"),
    ],
)
async def test_halves_of_characters(contents: list[str], text: str) -> None:
    result = await receive_stream(b"".join(map(raw_chunk, contents)) + final_chunk())
    assert (result.text, result.error) == (text, None)
    result.text.encode()


async def test_control_character_does_not_end_answer() -> None:
    result = await receive_stream(raw_chunk("a\tb") + final_chunk())
    assert (result.text, result.last_event) == ("a\tb", Finished(FinishReason.STOP))


@pytest.mark.parametrize(
    "data",
    [
        "ping",
        "[HEARTBEAT]",
        "keep-alive",
        ": ping",
        "OPENROUTER PROCESSING",
        "Processing...",
        "12:30:05",
        "ping - 2026-01-02 12:30:05",
        "2026-01-02T12:30:05.123Z",
        "null",
    ],
)
async def test_words_that_keep_connection_alive_are_no_damage(data: str) -> None:
    alive = f"data: {data}\n\n".encode() * 4
    result = await receive_stream(alive + chunk(content="one ") + alive + chunk(content="two") + final_chunk())
    assert (result.text, result.last_event) == ("one two", Finished(FinishReason.STOP))


async def test_stream_of_words_is_no_broken_answer() -> None:
    result = await receive_stream(b"data: ping\n\n" * 3)
    assert result.error is not None
    assert result.error.failure is ModelFailure.UNAVAILABLE


async def test_invalid_encoding_does_not_end_answer() -> None:
    result = await receive_stream(chunk(content="a") + chunk(content="?").replace(b"?", b"\xff") + final_chunk())
    assert (result.text, result.error) == ("a\ufffd", None)


def choice_event(**fields: object) -> bytes:
    return sse_event({"choices": [{"index": 0, **fields}]})


@pytest.mark.parametrize(
    ("fields", "failure"),
    [
        ({"error": {"code": 502, "message": "Provider disconnected"}}, ModelFailure.UNAVAILABLE),
        ({"error": {"code": 429, "message": "slow down"}, "finish_reason": "error"}, ModelFailure.RATE_LIMITED),
        ({"error": "The engine is overloaded"}, ModelFailure.UNAVAILABLE),
        ({"error": None, "finish_reason": "error"}, ModelFailure.TRUNCATED),
        ({"finish_reason": "abort"}, ModelFailure.TRUNCATED),
        ({"finish_reason": "Cancelled"}, ModelFailure.TRUNCATED),
        ({"finish_reason": "network-error"}, ModelFailure.TRUNCATED),
        ({"finish_reason": "insufficient_system_resource"}, ModelFailure.TRUNCATED),
    ],
)
async def test_error_inside_choice_ends_answer(fields: dict[str, object], failure: ModelFailure) -> None:
    result = await receive_stream(chunk(content="Hel") + choice_event(delta={"content": "lo"}, **fields) + DONE)
    assert result.text == "Hello"
    assert result.error is not None
    assert result.error.failure is failure


async def test_error_beside_usual_text_is_seen() -> None:
    event = {"object": "chat.completion.chunk", "choices": [{"delta": {"content": "Hel"}, "error": {"code": 502}}]}
    result = await receive_stream(sse_event(event) + DONE)
    assert result.text == "Hel"
    assert result.error is not None
    assert result.error.failure is ModelFailure.UNAVAILABLE


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", FinishReason.STOP),
        ("STOP", FinishReason.STOP),
        ("end_turn", FinishReason.STOP),
        ("FINISH_REASON_STOP", FinishReason.STOP),
        ("model_length", FinishReason.LENGTH),
        ("max_tokens", FinishReason.LENGTH),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("max-output-tokens", FinishReason.LENGTH),
        ("SAFETY", FinishReason.FILTERED),
        ("sensitive", FinishReason.FILTERED),
        ("content-filter", FinishReason.FILTERED),
        ("content_filtered", FinishReason.FILTERED),
        ("PROHIBITED_CONTENT", FinishReason.FILTERED),
        ("refusal", FinishReason.FILTERED),
        ("tool_calls", FinishReason.OTHER),
        ("error_free", FinishReason.OTHER),
        ({"type": "stop"}, FinishReason.OTHER),
    ],
)
async def test_finish_reasons(word: object, reason: FinishReason) -> None:
    result = await receive_stream(chunk(content="Hi") + choice_event(delta={}, finish_reason=word))
    assert result.last_event == Finished(reason)


HELLO = {"role": "assistant", "content": "Hello"}


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([{"delta": {"role": "assistant"}, "message": HELLO}], id="message beside a delta without text"),
        pytest.param([{"delta": {"content": ""}, "message": HELLO}], id="message beside an empty delta"),
        pytest.param([{"message": {"content": part}} for part in ("He", "l", "l", "o")], id="messages like deltas"),
        pytest.param(
            [{"message": {"content": "Hel"}}, {"message": {"content": "lo"}, "finish_reason": "stop"}],
            id="last message is a piece",
        ),
        pytest.param(
            [{"delta": {"content": "Hel"}}, {"delta": {"content": "lo"}}, {"message": HELLO, "finish_reason": "stop"}],
            id="last message repeats",
        ),
        pytest.param(
            [{"delta": HELLO}, {"delta": {}, "message": {"role": "assistant"}, "finish_reason": "stop"}],
            id="last message is empty",
        ),
        pytest.param([{"text": "", "delta": HELLO}], id="empty text beside a delta"),
        pytest.param(
            [{"delta": {"content": ""}, "message": {"content": part}} for part in ("Hel", "Hel", "Hello", "Hello")],
            id="growing messages",
        ),
        pytest.param(
            [
                *({"message": {"content": part}} for part in ("\nHel", "lo")),
                {"message": HELLO, "finish_reason": "stop"},
            ],
            id="last message repeats pieces",
        ),
        pytest.param(
            [
                {"message": {"content": "Hel"}},
                {"delta": {"content": "lo"}},
                {"message": HELLO, "finish_reason": "stop"},
            ],
            id="last message repeats a message and a delta",
        ),
        pytest.param(
            [{"message": {"content": "He"}}, {"delta": {"content": "l"}}, {"message": {"content": "lo"}}],
            id="a piece follows a message and a delta",
        ),
    ],
)
async def test_messages_in_streams(events: list[dict[str, object]]) -> None:
    result = await receive_stream(b"".join(choice_event(**event) for event in events) + final_chunk())
    assert (result.text, result.last_event) == ("Hello", Finished(FinishReason.STOP))


@pytest.mark.parametrize(
    ("contents", "message", "text"),
    [
        (["\n\n", "Hello wor", "ld"], "Hello world", "Hello world"),
        (["<think>hm</think>Hello world"], "Hello world", "Hello world"),
        (["Hello [1] world"], "Hello world", "Hello [1] world"),
        (["Hello world"], "<think>hm</think>Hello world", "Hello world"),
        (["Hello"], "Good morning", "Hello"),
        (["\n"], "Hello", "Hello"),
    ],
)
async def test_last_message_does_not_repeat_deltas(contents: list[str], message: str, text: str) -> None:
    events = b"".join(chunk(content=content) for content in contents)
    result = await receive_stream(events + choice_event(message={"content": message}, finish_reason="stop") + DONE)
    assert (result.text, result.last_event) == (text, Finished(FinishReason.STOP))


async def test_growing_messages_with_reasoning() -> None:
    messages = [
        {"reasoning": "h"},
        {"reasoning": "hm"},
        {"reasoning": "hm", "content": "H"},
        HELLO | {"reasoning": "hm"},
    ]
    result = await receive_stream(b"".join(choice_event(message=message) for message in messages) + DONE)
    assert (result.reasoning, result.text) == ("hm", "Hello")


async def test_last_message_repeats_messages_and_deltas_with_reasoning() -> None:
    last = HELLO | {"reasoning": "so hm"}
    events = choice_event(message={"reasoning": "so"}) + chunk(reasoning=" hm") + choice_event(message={"content": "H"})
    result = await receive_stream(events + usual_event("ello") + choice_event(message=last, finish_reason="stop"))
    assert (result.reasoning, result.text) == ("so hm", "Hello")


async def test_message_with_text_after_deltas_with_reasoning() -> None:
    message = HELLO | {"reasoning_content": "hm"}
    result = await receive_stream(chunk(reasoning_content="hm") + choice_event(message=message) + DONE)
    assert (result.reasoning, result.text) == ("hm", "Hello")


async def test_last_message_does_not_repeat_usual_events() -> None:
    result = await receive_stream(
        usual_event("Hel") + usual_event("lo") + choice_event(message=HELLO, finish_reason="stop")
    )
    assert result.text == "Hello"


async def test_last_message_does_not_repeat_reasoning() -> None:
    message = {"role": "assistant", "content": "Hi", "reasoning_content": "hm"}
    events = chunk(reasoning_content="hm") + chunk(content="Hi") + choice_event(message=message, finish_reason="stop")
    result = await receive_stream(events)
    assert (result.reasoning, result.text) == ("hm", "Hi")


@pytest.mark.parametrize(
    "unreadable",
    [
        pytest.param(UNREADABLE, id="half an object"),
        pytest.param(b'data: nt": "da"}}]}\n\n', id="no JSON"),
        pytest.param(b"data: Internal Server Error\n\n", id="words"),
        pytest.param(b"data: error: upstream timed out\n\n", id="words with a colon"),
        pytest.param(b"data: Rate limit exceeded. Try again in 30 s\n\n", id="a sentence"),
        pytest.param(b"data: [\n\n", id="a bracket"),
        pytest.param(b"data: error processing\n\n", id="words that end like a word to wait"),
        pytest.param(sse_event({"choices": [{"delta": "x"}]}), id="no delta"),
        pytest.param(sse_event({"choices": 5}), id="no choices"),
        pytest.param(chunk(content=5), id="no content"),
    ],
)
async def test_unreadable_event_leaves_gap(unreadable: bytes) -> None:
    result = await receive_stream(chunk(content="one ") + unreadable + chunk(content="three") + final_chunk())
    assert (result.text, result.error) == ("one three", None)
    assert result.last_event == Finished(FinishReason.STOP, has_gap=True)


async def test_several_unreadable_events_end_answer() -> None:
    result = await receive_stream(chunk(content="one ") + UNREADABLE * 3 + chunk(content="three") + final_chunk())
    assert result.text == "one "
    assert result.error is not None
    assert result.error.failure is ModelFailure.MALFORMED


async def test_answer_of_unreadable_events_is_malformed() -> None:
    result = await receive_stream(UNREADABLE + final_chunk())
    assert result.error is not None
    assert result.error.failure is ModelFailure.MALFORMED


async def test_stream_of_comments_is_no_lost_connection() -> None:
    result = await receive_stream(b": alive\n\n" * 3)
    assert result.error is not None
    assert (result.error.failure, result.error.status) == (ModelFailure.UNAVAILABLE, 200)


async def test_unclosed_reasoning_is_all_there_is() -> None:
    result = await receive_stream(chunk(content="<think>hm") + final_chunk())
    assert result.events == [ReasoningDelta("hm"), OnlyReasoning(), Finished(FinishReason.STOP)]


@pytest.mark.parametrize(
    ("content", "reason"), [("<think>hm</think>", "reasoned without answering"), ("", "answer is empty")]
)
async def test_stream_without_text_is_no_answer(content: str, reason: str) -> None:
    result = await receive_stream(chunk(content=content) + final_chunk())
    assert result.error is not None
    assert result.error.failure is ModelFailure.EMPTY
    assert reason in str(result.error)


async def test_reasoning_in_field_leaves_tags_alone() -> None:
    result = await receive_stream(chunk(reasoning_content="hm") + chunk(content="a </think> b") + final_chunk())
    assert TextDelta("a </think> b") in result.events


def usual_event(text: str) -> bytes:
    return sse_event({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]})


def test_texts_that_arrive_together_are_one_event() -> None:
    parser = StreamParser(has_reasoning=False)
    assert [*parser.feed(usual_event("one") + usual_event(" two"))] == [TextDelta("one two")]


@pytest.mark.parametrize(
    "bad_event", [sse_event({"error": {"message": "overloaded"}}), b"data: " + b"x" * (MAX_EVENT_BYTES + 1)]
)
def test_text_that_arrives_with_an_error_is_kept(bad_event: bytes) -> None:
    events = StreamParser(has_reasoning=False).feed(usual_event("one") + usual_event(" two") + bad_event)
    assert next(events) == TextDelta("one two")
    with pytest.raises(ModelError):
        next(events)
