"""Every error of the service that is known, one row each: what it is taken for, what people read.

Also what looks like an error and is none (`failure` None).
"""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest

from bots.sandbox.model import (
    OVERFLOW_RESPONSES,
    Fault,
    ModelStandIn,
    OverflowResponse,
    Tokeniser,
    faults,
)
from bots.sandbox.model.faults import FOREVER_SECONDS, ReasoningFormat, StreamAction, UsageReporting
from core.api.client import ChatRequest, Message, ModelApi, StreamTimeouts
from core.api.events import (
    Finished,
    FinishReason,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    TextWasReasoning,
)
from core.api.events import UsageReport as Spent
from core.errors import ModelError, ModelFailure
from core.turns import texts

SECRET = "io-v2-0123456789abcdef-secret"
LLAMA = "meta-llama/Llama-3.3-70B-Instruct"
R1 = "deepseek-ai/DeepSeek-R1"
TINY = "nvidia/AceMath-7B-Instruct"
YES = ChatRequest(LLAMA, (Message("user", "repeat: one two three"),))
THOUGHT = replace(YES, model=R1, has_reasoning=True)
LONG = ChatRequest(TINY, (Message("user", "word " * 6000),))
SAID = "one two three"
LEAK = f"key {SECRET} at https://api.intelligence.io.solutions/api/v1/"
TIMEOUTS = StreamTimeouts(connect=5, first_token=0.4, between_tokens=0.4, total=10)


# What the words for a person must speak of.
FITTING = {
    ModelFailure.AUTHENTICATION: "key",
    ModelFailure.PAYMENT: "plan",
    ModelFailure.RATE_LIMITED: "too often",
    ModelFailure.QUOTA: "quota",
    ModelFailure.UNKNOWN_MODEL: "not available",
    ModelFailure.OVERFLOW: "too long",
    ModelFailure.REFUSED: "did not take",
    ModelFailure.FILTERED: "withheld",
    ModelFailure.UNAVAILABLE: "cannot be reached",
    ModelFailure.STALLED: "did not go on",
    ModelFailure.TRUNCATED: "broke off",
    ModelFailure.MALFORMED: "cannot be understood",
    ModelFailure.EMPTY: "no answer",
}


@dataclass(frozen=True)
class Case:
    name: str
    arrange: Fault | Callable[[ModelStandIn], None]
    """What the stand-in does, to every request or as it says."""
    failure: ModelFailure | None
    request: ChatRequest = YES
    attempts: int = 1
    """Requests the server sees: what passes is tried three times, a begun answer once."""
    text: str | None = None
    """The text that was shown; None: whatever is whole for a good end, nothing for a bad one."""
    contains: dict[str, Any] = field(default_factory=dict)
    """Attributes of the error."""
    key: str = SECRET
    finish: FinishReason = FinishReason.STOP
    reasoning: bool = False


def inject(*given: Fault) -> Callable[[ModelStandIn], None]:
    def plan(server: ModelStandIn) -> None:
        for fault in given:
            server.fail_next(fault)

    return plan


def fail_first_chunk(payload: object, event: str = "") -> Fault:
    """An event before anything else."""
    return replace(faults.send_event(payload, event_type=event), after_pieces=None)


def overflowing(wording: OverflowResponse) -> Callable[[ModelStandIn], None]:
    def plan(server: ModelStandIn) -> None:
        server.overflow_response = wording

    return plan


def out_of_quota(server: ModelStandIn) -> None:
    server.quotas[LLAMA] = 0


def chunk(text: str, index: int = 0) -> bytes:
    choice = {"index": index, "delta": {"content": text}, "finish_reason": None}
    return b"data: " + msgspec.json.encode({"choices": [choice]}) + b"\n\n"


FLOAT = {
    "type": "float_parsing",
    "loc": ["body", "temperature"],
    "msg": "Input should be a valid number, unable to parse string as a number",
    "input": LEAK,
}
FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
DONE = b"data: [DONE]\n\n"
BROKEN = {"message": LEAK, "type": "InternalServerError", "param": None, "code": 500}

REFUSALS = [
    Case(
        "401 invalid key",
        inject(),
        ModelFailure.AUTHENTICATION,
        key="wrong",
        contains={"status": 401},
    ),
    Case("403", faults.http_error(403, LEAK), ModelFailure.AUTHENTICATION),
    Case(
        "400 unknown model",
        lambda server: server.remove_model(LLAMA),
        ModelFailure.UNKNOWN_MODEL,
        contains={"status": 400},
    ),
    Case(
        "404 unknown model",
        faults.http_error(404, "The model `x` does not exist."),
        ModelFailure.UNKNOWN_MODEL,
    ),
    Case(
        "422 wrong type in a field",
        faults.respond_with(422, {"detail": [FLOAT]}),
        ModelFailure.REFUSED,
        contains={"status": 422, "field": "temperature"},
    ),
    Case("400 anything else", faults.http_error(400, LEAK), ModelFailure.REFUSED),
    Case("402 higher tier", lambda server: server.paid_models.add(LLAMA), ModelFailure.PAYMENT),
    Case(
        "400 reasoning cannot be left",
        inject(),
        ModelFailure.REFUSED,
        replace(THOUGHT, reasoning_effort="none"),
    ),
    Case("413 too large", faults.http_error(413, "Payload too large"), ModelFailure.OVERFLOW),
    Case("429 for a while", faults.rate_limited(), ModelFailure.RATE_LIMITED, attempts=3),
    Case("429 quota", out_of_quota, ModelFailure.QUOTA, attempts=0, contains={"status": 429}),
    Case("429 seconds", faults.rate_limited(90), ModelFailure.RATE_LIMITED, contains={"retry_after": 90}),
    Case(
        "429 date",
        # Made when it is asked for: dates grow old.
        lambda server: server.fail_next(faults.rate_limited(90, "date")),
        ModelFailure.RATE_LIMITED,
        contains={"retry_after": 90},
    ),
    Case("429 ms", faults.rate_limited(90, "ms"), ModelFailure.RATE_LIMITED, contains={"retry_after": 90}),
    Case(
        "429 above two minutes",
        faults.rate_limited(3600),
        ModelFailure.QUOTA,
        contains={"retry_after": 3600},
    ),
    Case(
        "429 unreadable wait",
        faults.http_error(429, "no", {"retry-after": "soon"}),
        ModelFailure.RATE_LIMITED,
        attempts=3,
    ),
    Case(
        "429 that speaks of windows",
        faults.http_error(429, "Rate limit reached. Please reduce the length of the messages."),
        ModelFailure.RATE_LIMITED,
        attempts=3,
    ),
    Case(
        "429 quota by its code",
        faults.respond_with(429, {"error": {"message": LEAK, "code": "insufficient_quota"}}),
        ModelFailure.QUOTA,
    ),
    Case(
        "429 endless",
        faults.http_error(429, "no", {"retry-after-ms": "inf"}),
        ModelFailure.RATE_LIMITED,
        attempts=3,
    ),
    Case(
        "429 that passes",
        inject(faults.rate_limited(0.05, "ms"), faults.rate_limited(0.05)),
        None,
        attempts=3,
    ),
    Case("408", faults.http_error(408), ModelFailure.UNAVAILABLE, attempts=3),
    Case("409", faults.http_error(409), ModelFailure.UNAVAILABLE, attempts=3),
    Case("500", faults.http_error(500, LEAK), ModelFailure.UNAVAILABLE, attempts=3),
    *(
        Case(f"{code} page", faults.gateway_error(code), ModelFailure.UNAVAILABLE, attempts=3)
        for code in (502, 503, 504, 520, 521, 522, 523, 524)
    ),
    Case("503 that passes", inject(faults.gateway_error(503)), None, attempts=2),
]

INSTEAD = [
    Case(
        "200 JSON error",
        faults.respond_with(200, {"error": BROKEN}),
        ModelFailure.UNAVAILABLE,
        attempts=3,
    ),
    Case(
        "200 JSON detail",
        faults.respond_with(200, {"detail": LEAK}),
        ModelFailure.UNAVAILABLE,
        attempts=3,
    ),
    Case(
        "200 JSON overflow",
        faults.respond_with(200, OVERFLOW_RESPONSES["llama.cpp"].body(512, 10820, 0)),
        ModelFailure.OVERFLOW,
        contains={"limit": 512, "prompt_tokens": 10820},
    ),
    Case(
        "200 page",
        faults.respond_with(200, f"<html>{LEAK}</html>"),
        ModelFailure.UNAVAILABLE,
        attempts=3,
    ),
    Case("200 empty body", faults.respond_with(200, b""), ModelFailure.UNAVAILABLE, attempts=3),
    Case(
        "200 empty stream",
        faults.respond_with(200, b"", content_type="text/event-stream"),
        ModelFailure.UNAVAILABLE,
        attempts=3,
    ),
    Case(
        "redirect",
        inject(faults.respond_with(307, headers={"location": "/api/v1/chat/completions"})),
        None,
        attempts=2,
    ),
]

ERRORS_IN_STREAMS: list[tuple[str, object, str]] = [
    ("error object", {"error": BROKEN}, ""),
    ("error text", {"error": LEAK}, ""),
    ("old vLLM", {"object": "error", "message": LEAK, "code": 50001}, ""),
    ("detail", {"detail": LEAK}, ""),
    ("event: error", {"message": LEAK}, "error"),
]
IN_STREAMS = [
    *(
        Case(
            f"{name} in mid-stream",
            faults.send_event(payload, after_pieces=2, event_type=event),
            ModelFailure.UNAVAILABLE,
            text="one two",
        )
        for name, payload, event in ERRORS_IN_STREAMS
    ),
    *(
        Case(
            f"{name} as the first event",
            fail_first_chunk(payload, event),
            ModelFailure.UNAVAILABLE,
            attempts=3,
        )
        for name, payload, event in ERRORS_IN_STREAMS
    ),
    Case(
        "overflow as the first event",
        fail_first_chunk(OVERFLOW_RESPONSES["vllm in an error"].body(4096, 5000, 0)),
        ModelFailure.OVERFLOW,
        contains={"limit": 4096, "prompt_tokens": 5000},
    ),
    Case(
        "429 as the first event",
        fail_first_chunk({"error": {"message": "Too many requests", "code": 429}}),
        ModelFailure.RATE_LIMITED,
        attempts=3,
    ),
    Case(
        "malformed JSON",
        faults.send_raw(b"data: {oops\n\n", after_pieces=2),
        ModelFailure.MALFORMED,
        text="one two",
    ),
    Case(
        "malformed UTF-8",
        faults.send_raw(b'data: "\xff\xfe"\n\n', after_pieces=2),
        ModelFailure.MALFORMED,
        text="one two",
    ),
    Case(
        "a delta that is none",
        faults.send_event({"choices": [{"delta": "x"}]}, after_pieces=2),
        ModelFailure.MALFORMED,
        text="one two",
    ),
    Case(
        "event: error without JSON",
        replace(faults.send_raw(b"event: error\ndata: overloaded\n\n"), after_pieces=None),
        ModelFailure.UNAVAILABLE,
        attempts=3,
    ),
    Case(
        "an event without an end",
        faults.send_raw(b"data: " + b"x" * 9_000_000),
        ModelFailure.MALFORMED,
    ),
]

ENDS = [
    Case("no finish reason, no [DONE]", faults.end_stream(2), ModelFailure.TRUNCATED, text="one two"),
    Case("reset", faults.reset_connection(2), ModelFailure.TRUNCATED, text="one two"),
    Case("closed inside the body", faults.close_connection(2), ModelFailure.TRUNCATED, text="one two"),
    Case("reset before the headers", faults.reset_connection(), ModelFailure.UNAVAILABLE, attempts=3),
    Case("closed before the headers", faults.close_connection(), ModelFailure.UNAVAILABLE, attempts=3),
    Case("silence before the headers", faults.stall(), ModelFailure.STALLED),
    Case("silence before the first token", faults.stall(0), ModelFailure.STALLED),
    Case("silence in mid-answer", faults.stall(2), ModelFailure.STALLED, text="one two"),
    Case("comments only", faults.keep_alive(0), ModelFailure.STALLED),
    Case("comments in mid-answer", faults.keep_alive(2), ModelFailure.STALLED, text="one two"),
    Case("a silence that ends", faults.stall(2, seconds=0.1), None),
    Case(
        "budget eaten by thoughts",
        faults.only_reasoning(),
        ModelFailure.EMPTY,
        THOUGHT,
        reasoning=True,
    ),
    Case("no text", inject(), ModelFailure.EMPTY, replace(YES, messages=(Message("user", "empty"),))),
    Case(
        "withheld",
        faults.finish_with("content_filter"),
        ModelFailure.FILTERED,
        replace(YES, messages=(Message("user", "empty"),)),
    ),
    Case(
        "withheld half way",
        faults.finish_with("content_filter"),
        None,
        finish=FinishReason.FILTERED,
    ),
    Case("too long an answer", faults.finish_with("length"), None, finish=FinishReason.LENGTH),
    Case("tools", faults.finish_with("tool_calls"), None, finish=FinishReason.OTHER),
    Case("an unknown end", faults.finish_with("eos"), None, finish=FinishReason.OTHER),
    Case("[DONE] alone", faults.finish_with("null"), None),
    Case("no [DONE]", faults.send_raw(FINISH + b"\n\n", after_pieces=5), None),
    Case("no empty line at the end", faults.send_raw(FINISH, after_pieces=5), None),
    Case(
        "the connection stays open after [DONE]",
        Fault(
            after_pieces=5,
            raw_bytes=FINISH + b"\n\n" + DONE,
            action=StreamAction.STALL,
            seconds=FOREVER_SECONDS,
        ),
        None,
    ),
]


def on(sent: bytes) -> Fault:
    return faults.send_raw(sent, after_pieces=2, action=StreamAction.CONTINUE)


ODD = [
    Case("every byte for itself", faults.split_packets(1), None),
    Case("comments", on(b": alive\n\n:\n\n"), None),
    Case("an event without data", on(b"event: ping\n\n"), None),
    Case("a comment after an id", on(b"id: 7\n\n: alive\n\n"), None),
    Case(
        "nulls",
        on(b'data: null\n\ndata: {"choices":null}\n\ndata: {"choices":[{"delta":null}]}\n\n'),
        None,
    ),
    Case("an empty list of choices", on(b'data: {"choices":[]}\n\n'), None),
    Case("another choice", on(chunk("no", index=1)), None),
    Case(
        "carriage returns, no space",
        on(chunk("!").replace(b"\n", b"\r\n").replace(b": ", b":", 1)),
        None,
        text="one two! three",
    ),
    Case(
        "a large event",
        on(chunk("x" * 3_000_000)),
        None,
        text="one two" + "x" * 3_000_000 + " three",
    ),
    *(Case(f"usage: {style}", faults.report_usage(style), None) for style in UsageReporting),
    Case(
        "two counts of use",
        on(b'data: {"choices":[{"delta":{}}],"usage":{"prompt_tokens":1}}\n\n'),
        None,
    ),
    Case(
        "thoughts in a field",
        faults.format_reasoning(ReasoningFormat.REASONING_CONTENT_FIELD),
        None,
        THOUGHT,
        reasoning=True,
    ),
    Case(
        "thoughts in a renamed field",
        faults.format_reasoning(ReasoningFormat.REASONING_FIELD),
        None,
        THOUGHT,
        reasoning=True,
    ),
    Case(
        "thoughts in the text",
        faults.format_reasoning(ReasoningFormat.THINK_TAGS),
        None,
        THOUGHT,
        reasoning=True,
    ),
    Case(
        "thoughts in the text, every byte for itself",
        replace(faults.format_reasoning(ReasoningFormat.THINK_TAGS), packet_bytes=1),
        None,
        THOUGHT,
        reasoning=True,
    ),
    Case(
        "thoughts that were not opened",
        faults.format_reasoning(ReasoningFormat.CLOSING_TAG_ONLY),
        None,
        THOUGHT,
        reasoning=True,
    ),
    Case(
        "thoughts that are not closed",
        faults.format_reasoning(ReasoningFormat.OPENING_TAG_ONLY),
        ModelFailure.EMPTY,
        THOUGHT,
        reasoning=True,
    ),
]


def _overflow(name: str, wording: OverflowResponse) -> Case:
    carries: dict[str, Any] = {"status": wording.status}
    if "{limit}" in wording.message_template:
        carries["limit"] = 4000
    if "{prompt}" in wording.message_template:
        messages = [{"content": LONG.messages[0].content}]
        carries["prompt_tokens"] = Tokeniser(TINY).count_prompt(messages)
    return Case(
        f"overflow: {name}",
        overflowing(wording),
        ModelFailure.OVERFLOW,
        LONG,
        attempts=0,
        contains=carries,
    )


OVERFLOWING = [
    *(_overflow(name, wording) for name, wording in OVERFLOW_RESPONSES.items() if not wording.truncates_silently),
    Case(
        "overflow: silent",
        overflowing(OVERFLOW_RESPONSES["silent"]),
        ModelFailure.OVERFLOW,
        LONG,
        contains={"limit": 3999, "prompt_tokens": 3999},
    ),
    Case(
        "overflow: room of less than nothing",
        inject(),
        ModelFailure.OVERFLOW,
        replace(YES, max_tokens=-186),
        attempts=0,
    ),
    Case(
        "overflow: by its code",
        faults.respond_with(400, {"error": {"message": LEAK, "code": "context_length_exceeded"}}),
        ModelFailure.OVERFLOW,
    ),
    Case(
        "overflow: too much asked for",
        faults.http_error(400, "'max_tokens' or 'max_completion_tokens' is too large: 9000."),
        ModelFailure.OVERFLOW,
    ),
]

CASES = [*REFUSALS, *INSTEAD, *IN_STREAMS, *ENDS, *ODD, *OVERFLOWING]


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModelStandIn]:
    # The pause before another try, not the number of tries.
    monkeypatch.setattr("core.api.client.random.uniform", lambda _least, _most: 0.01)
    made = ModelStandIn(api_key=SECRET, tokens_per_second=100_000)
    await made.start()
    yield made
    await made.close()


async def ask(
    server: ModelStandIn, request: ChatRequest, key: str = SECRET
) -> tuple[list[StreamEvent], ModelError | None]:
    api = ModelApi(server.base_url, key, timeouts=TIMEOUTS)
    events: list[StreamEvent] = []
    try:
        async for event in api.stream(request):
            events.append(event)
    except ModelError as error:
        return events, error
    finally:
        await api.close()
    return events, None


def shown(events: list[StreamEvent]) -> str:
    text = ""
    for event in events:
        match event:
            case TextDelta(said):
                text += said
            case TextWasReasoning():
                text = ""
    return text


def test_case_names_are_unique() -> None:
    assert len({row.name for row in CASES}) == len(CASES)
    assert {row.failure for row in CASES} == {*ModelFailure, None}, "every failure has a row"


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row.name) for row in CASES],
)
async def test_error_case(server: ModelStandIn, row: Case) -> None:
    if isinstance(row.arrange, Fault):
        server.fail_next(row.arrange, times=None)
    else:
        row.arrange(server)
    events, error = await ask(server, row.request, row.key)
    assert (error.failure if error else None) == row.failure
    whole = "" if row.failure else SAID
    assert shown(events) == (whole if row.text is None else row.text)
    assert any(isinstance(event, ReasoningDelta | TextWasReasoning) for event in events) == row.reasoning
    assert len(server.requests) == (0 if server.rejected_requests else row.attempts)
    if error is None:
        assert events[-1] == Finished(row.finish)
        return
    for name, value in row.contains.items():
        given = getattr(error, name)
        near = isinstance(value, int) and name == "retry_after"
        assert given == (pytest.approx(value, abs=3) if near else value), name
    for told in (texts.model_failure(error, 17), str(error)):
        assert SECRET not in told
        assert not re.search(r"https?:|127\.0\.0\.1|localhost|Traceback", told)
    told = texts.model_failure(error, 17)
    assert FITTING[error.failure] in told
    assert told.endswith("[17]")
    assert (" in about " in told) == (error.retry_after is not None)


async def test_unknown_model_error_lists_models(server: ModelStandIn) -> None:
    _, error = await ask(server, replace(YES, model="nobody/nothing"))
    assert error is not None
    assert error.available == tuple(m.id for m in server.models.values() if not m.is_embedding_model)


async def test_unreachable_service(server: ModelStandIn) -> None:
    await server.close()
    events, error = await ask(server, YES)
    assert error is not None
    assert (error.failure, events) == (ModelFailure.UNAVAILABLE, [])
    assert "127.0.0.1" not in str(error)


async def test_broken_answer_reports_usage(server: ModelStandIn) -> None:
    server.fail_next(faults.end_stream(2))
    events, _ = await ask(server, YES)
    told = [event for event in events if isinstance(event, Spent)][-1]
    assert (told.prompt_tokens, told.completion_tokens) == server.requests[-1].token_usage
    assert told.total_tokens == server.usage[LLAMA]
