"""Every error of the service that is known, one row each: what it is taken for, what people read.

Also what looks like an error and is none (`failure` None).
"""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest

from bots.sandbox.model import OVERFLOWS, Fault, ModelStandIn, Overflow, Tokeniser, faults
from bots.sandbox.model.faults import FOR_EVER, Then, Thinking, Usage
from core.api.client import Message, ModelApi, Patience, Request
from core.api.events import Event, Finished, FinishReason, Reasoning, Reconsidered, Text
from core.api.events import Usage as Spent
from core.errors import Failure, ModelError
from core.turns import words

SECRET = "io-v2-0123456789abcdef-secret"
LLAMA = "meta-llama/Llama-3.3-70B-Instruct"
R1 = "deepseek-ai/DeepSeek-R1"
TINY = "nvidia/AceMath-7B-Instruct"
YES = Request(LLAMA, (Message("user", "repeat: one two three"),))
THOUGHT = replace(YES, model=R1, reasons=True)
LONG = Request(TINY, (Message("user", "word " * 6000),))
SAID = "one two three"
LEAK = f"key {SECRET} at https://api.intelligence.io.solutions/api/v1/"
PATIENCE = Patience(connect=5, first_token=0.4, between_tokens=0.4, total=10)


# What the words for a person must speak of.
FITTING = {
    Failure.AUTHENTICATION: "key",
    Failure.PAYMENT: "plan",
    Failure.RATE: "too often",
    Failure.QUOTA: "quota",
    Failure.UNKNOWN_MODEL: "not available",
    Failure.OVERFLOW: "too long",
    Failure.REFUSED: "did not take",
    Failure.FILTERED: "withheld",
    Failure.UNAVAILABLE: "cannot be reached",
    Failure.STALLED: "did not go on",
    Failure.TRUNCATED: "broke off",
    Failure.MALFORMED: "cannot be understood",
    Failure.EMPTY: "no answer",
}


@dataclass(frozen=True)
class Row:
    name: str
    does: Fault | Callable[[ModelStandIn], None]
    """What the stand-in does, to every request or as it says."""
    failure: Failure | None
    request: Request = YES
    tries: int = 1
    """Requests the server sees: what passes is tried three times, a begun answer once."""
    text: str | None = None
    """The text that was shown; None: whatever is whole for a good end, nothing for a bad one."""
    carries: dict[str, Any] = field(default_factory=dict)
    """Attributes of the error."""
    key: str = SECRET
    finish: FinishReason = FinishReason.STOP
    thought: bool = False


def planned(*given: Fault) -> Callable[[ModelStandIn], None]:
    def plan(server: ModelStandIn) -> None:
        for fault in given:
            server.fail_next(fault)

    return plan


def first(payload: object, event: str = "") -> Fault:
    """An event before anything else."""
    return replace(faults.said(payload, event=event), after=None)


def overflowing(wording: Overflow) -> Callable[[ModelStandIn], None]:
    def plan(server: ModelStandIn) -> None:
        server.overflow = wording

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
    Row("401 invalid key", planned(), Failure.AUTHENTICATION, key="wrong", carries={"status": 401}),
    Row("403", faults.status(403, LEAK), Failure.AUTHENTICATION),
    Row(
        "400 unknown model",
        lambda server: server.vanish(LLAMA),
        Failure.UNKNOWN_MODEL,
        carries={"status": 400},
    ),
    Row(
        "404 unknown model",
        faults.status(404, "The model `x` does not exist."),
        Failure.UNKNOWN_MODEL,
    ),
    Row(
        "422 wrong type in a field",
        faults.reply(422, {"detail": [FLOAT]}),
        Failure.REFUSED,
        carries={"status": 422, "field": "temperature"},
    ),
    Row("400 anything else", faults.status(400, LEAK), Failure.REFUSED),
    Row("402 higher tier", lambda server: server.higher_tier.add(LLAMA), Failure.PAYMENT),
    Row(
        "400 reasoning cannot be left",
        planned(),
        Failure.REFUSED,
        replace(THOUGHT, reasoning_effort="none"),
    ),
    Row("413 too large", faults.status(413, "Payload too large"), Failure.OVERFLOW),
    Row("429 for a while", faults.busy(), Failure.RATE, tries=3),
    Row("429 quota", out_of_quota, Failure.QUOTA, tries=0, carries={"status": 429}),
    Row("429 seconds", faults.busy(90), Failure.RATE, carries={"retry_after": 90}),
    Row(
        "429 date",
        # Made when it is asked for: dates grow old.
        lambda server: server.fail_next(faults.busy(90, "date")),
        Failure.RATE,
        carries={"retry_after": 90},
    ),
    Row("429 ms", faults.busy(90, "ms"), Failure.RATE, carries={"retry_after": 90}),
    Row("429 above two minutes", faults.busy(3600), Failure.QUOTA, carries={"retry_after": 3600}),
    Row(
        "429 unreadable wait",
        faults.status(429, "no", {"retry-after": "soon"}),
        Failure.RATE,
        tries=3,
    ),
    Row(
        "429 that speaks of windows",
        faults.status(429, "Rate limit reached. Please reduce the length of the messages."),
        Failure.RATE,
        tries=3,
    ),
    Row(
        "429 quota by its code",
        faults.reply(429, {"error": {"message": LEAK, "code": "insufficient_quota"}}),
        Failure.QUOTA,
    ),
    Row(
        "429 endless",
        faults.status(429, "no", {"retry-after-ms": "inf"}),
        Failure.RATE,
        tries=3,
    ),
    Row("429 that passes", planned(faults.busy(0.05, "ms"), faults.busy(0.05)), None, tries=3),
    Row("408", faults.status(408), Failure.UNAVAILABLE, tries=3),
    Row("409", faults.status(409), Failure.UNAVAILABLE, tries=3),
    Row("500", faults.status(500, LEAK), Failure.UNAVAILABLE, tries=3),
    *(
        Row(f"{code} page", faults.gateway(code), Failure.UNAVAILABLE, tries=3)
        for code in (502, 503, 504, 520, 521, 522, 523, 524)
    ),
    Row("503 that passes", planned(faults.gateway(503)), None, tries=2),
]

INSTEAD = [
    Row("200 JSON error", faults.reply(200, {"error": BROKEN}), Failure.UNAVAILABLE, tries=3),
    Row("200 JSON detail", faults.reply(200, {"detail": LEAK}), Failure.UNAVAILABLE, tries=3),
    Row(
        "200 JSON overflow",
        faults.reply(200, OVERFLOWS["llama.cpp"].body(512, 10820, 0)),
        Failure.OVERFLOW,
        carries={"limit": 512, "prompt_tokens": 10820},
    ),
    Row("200 page", faults.reply(200, f"<html>{LEAK}</html>"), Failure.UNAVAILABLE, tries=3),
    Row("200 empty body", faults.reply(200, b""), Failure.UNAVAILABLE, tries=3),
    Row(
        "200 empty stream",
        faults.reply(200, b"", content_type="text/event-stream"),
        Failure.UNAVAILABLE,
        tries=3,
    ),
    Row(
        "redirect",
        planned(faults.reply(307, headers={"location": "/api/v1/chat/completions"})),
        None,
        tries=2,
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
        Row(
            f"{name} in mid-stream",
            faults.said(payload, after=2, event=event),
            Failure.UNAVAILABLE,
            text="one two",
        )
        for name, payload, event in ERRORS_IN_STREAMS
    ),
    *(
        Row(f"{name} as the first event", first(payload, event), Failure.UNAVAILABLE, tries=3)
        for name, payload, event in ERRORS_IN_STREAMS
    ),
    Row(
        "overflow as the first event",
        first(OVERFLOWS["vllm in an error"].body(4096, 5000, 0)),
        Failure.OVERFLOW,
        carries={"limit": 4096, "prompt_tokens": 5000},
    ),
    Row(
        "429 as the first event",
        first({"error": {"message": "Too many requests", "code": 429}}),
        Failure.RATE,
        tries=3,
    ),
    Row(
        "malformed JSON", faults.raw(b"data: {oops\n\n", after=2), Failure.MALFORMED, text="one two"
    ),
    Row(
        "malformed UTF-8",
        faults.raw(b'data: "\xff\xfe"\n\n', after=2),
        Failure.MALFORMED,
        text="one two",
    ),
    Row(
        "a delta that is none",
        faults.said({"choices": [{"delta": "x"}]}, after=2),
        Failure.MALFORMED,
        text="one two",
    ),
    Row(
        "event: error without JSON",
        replace(faults.raw(b"event: error\ndata: overloaded\n\n"), after=None),
        Failure.UNAVAILABLE,
        tries=3,
    ),
    Row("an event without an end", faults.raw(b"data: " + b"x" * 9_000_000), Failure.MALFORMED),
]

ENDS = [
    Row("no finish reason, no [DONE]", faults.ended(2), Failure.TRUNCATED, text="one two"),
    Row("reset", faults.reset(2), Failure.TRUNCATED, text="one two"),
    Row("closed inside the body", faults.closed(2), Failure.TRUNCATED, text="one two"),
    Row("reset before the headers", faults.reset(), Failure.UNAVAILABLE, tries=3),
    Row("closed before the headers", faults.closed(), Failure.UNAVAILABLE, tries=3),
    Row("silence before the headers", faults.silent(), Failure.STALLED),
    Row("silence before the first token", faults.silent(0), Failure.STALLED),
    Row("silence in mid-answer", faults.silent(2), Failure.STALLED, text="one two"),
    Row("comments only", faults.warm(0), Failure.STALLED),
    Row("comments in mid-answer", faults.warm(2), Failure.STALLED, text="one two"),
    Row("a silence that ends", faults.silent(2, seconds=0.1), None),
    Row(
        "budget eaten by thoughts",
        faults.only_thinking(),
        Failure.EMPTY,
        THOUGHT,
        thought=True,
    ),
    Row("no text", planned(), Failure.EMPTY, replace(YES, messages=(Message("user", "empty"),))),
    Row(
        "withheld",
        faults.finish("content_filter"),
        Failure.FILTERED,
        replace(YES, messages=(Message("user", "empty"),)),
    ),
    Row("withheld half way", faults.finish("content_filter"), None, finish=FinishReason.FILTERED),
    Row("too long an answer", faults.finish("length"), None, finish=FinishReason.LENGTH),
    Row("tools", faults.finish("tool_calls"), None, finish=FinishReason.OTHER),
    Row("an unknown end", faults.finish("eos"), None, finish=FinishReason.OTHER),
    Row("[DONE] alone", faults.finish("null"), None),
    Row("no [DONE]", faults.raw(FINISH + b"\n\n", after=5), None),
    Row("no empty line at the end", faults.raw(FINISH, after=5), None),
    Row(
        "the connection stays open after [DONE]",
        Fault(after=5, raw=FINISH + b"\n\n" + DONE, then=Then.STALL, seconds=FOR_EVER),
        None,
    ),
]


def on(sent: bytes) -> Fault:
    return faults.raw(sent, after=2, then=Then.ON)


ODD = [
    Row("every byte for itself", faults.pieces(1), None),
    Row("comments", on(b": alive\n\n:\n\n"), None),
    Row("an event without data", on(b"event: ping\n\n"), None),
    Row("a comment after an id", on(b"id: 7\n\n: alive\n\n"), None),
    Row(
        "nulls",
        on(b'data: null\n\ndata: {"choices":null}\n\ndata: {"choices":[{"delta":null}]}\n\n'),
        None,
    ),
    Row("an empty list of choices", on(b'data: {"choices":[]}\n\n'), None),
    Row("another choice", on(chunk("no", index=1)), None),
    Row(
        "carriage returns, no space",
        on(chunk("!").replace(b"\n", b"\r\n").replace(b": ", b":", 1)),
        None,
        text="one two! three",
    ),
    Row(
        "a large event",
        on(chunk("x" * 3_000_000)),
        None,
        text="one two" + "x" * 3_000_000 + " three",
    ),
    *(Row(f"usage: {style}", faults.usage(style), None) for style in Usage),
    Row(
        "two counts of use",
        on(b'data: {"choices":[{"delta":{}}],"usage":{"prompt_tokens":1}}\n\n'),
        None,
    ),
    Row("thoughts in a field", faults.thinking(Thinking.FIELD), None, THOUGHT, thought=True),
    Row(
        "thoughts in a renamed field",
        faults.thinking(Thinking.RENAMED),
        None,
        THOUGHT,
        thought=True,
    ),
    Row("thoughts in the text", faults.thinking(Thinking.INLINE), None, THOUGHT, thought=True),
    Row(
        "thoughts in the text, every byte for itself",
        replace(faults.thinking(Thinking.INLINE), size=1),
        None,
        THOUGHT,
        thought=True,
    ),
    Row(
        "thoughts that were not opened",
        faults.thinking(Thinking.UNOPENED),
        None,
        THOUGHT,
        thought=True,
    ),
    Row(
        "thoughts that are not closed",
        faults.thinking(Thinking.UNCLOSED),
        Failure.EMPTY,
        THOUGHT,
        thought=True,
    ),
]


def _overflow(name: str, wording: Overflow) -> Row:
    carries: dict[str, Any] = {"status": wording.status}
    if "{limit}" in wording.text:
        carries["limit"] = 4000
    if "{prompt}" in wording.text:
        messages = [{"content": LONG.messages[0].content}]
        carries["prompt_tokens"] = Tokeniser(TINY).prompt(messages)
    return Row(
        f"overflow: {name}",
        overflowing(wording),
        Failure.OVERFLOW,
        LONG,
        tries=0,
        carries=carries,
    )


OVERFLOWING = [
    *(_overflow(name, wording) for name, wording in OVERFLOWS.items() if not wording.silent),
    Row(
        "overflow: silent",
        overflowing(OVERFLOWS["silent"]),
        Failure.OVERFLOW,
        LONG,
        carries={"limit": 3999, "prompt_tokens": 3999},
    ),
    Row(
        "overflow: room of less than nothing",
        planned(),
        Failure.OVERFLOW,
        replace(YES, max_tokens=-186),
        tries=0,
    ),
    Row(
        "overflow: by its code",
        faults.reply(400, {"error": {"message": LEAK, "code": "context_length_exceeded"}}),
        Failure.OVERFLOW,
    ),
    Row(
        "overflow: too much asked for",
        faults.status(400, "'max_tokens' or 'max_completion_tokens' is too large: 9000."),
        Failure.OVERFLOW,
    ),
]

ROWS = [*REFUSALS, *INSTEAD, *IN_STREAMS, *ENDS, *ODD, *OVERFLOWING]


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModelStandIn]:
    # The pause before another try, not the number of tries.
    monkeypatch.setattr("core.api.client.random.uniform", lambda _least, _most: 0.01)
    made = ModelStandIn(api_key=SECRET, tokens_per_second=100_000)
    await made.start()
    yield made
    await made.close()


async def ask(
    server: ModelStandIn, request: Request, key: str = SECRET
) -> tuple[list[Event], ModelError | None]:
    api = ModelApi(server.base_url, key, patience=PATIENCE)
    events: list[Event] = []
    try:
        async for event in api.stream(request):
            events.append(event)
    except ModelError as error:
        return events, error
    finally:
        await api.close()
    return events, None


def shown(events: list[Event]) -> str:
    text = ""
    for event in events:
        match event:
            case Text(said):
                text += said
            case Reconsidered():
                text = ""
    return text


def test_no_two_rows_have_the_same_name() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert {row.failure for row in ROWS} == {*Failure, None}, "every failure has a row"


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row.name) for row in ROWS],
)
async def test_the_table(server: ModelStandIn, row: Row) -> None:
    if isinstance(row.does, Fault):
        server.fail_next(row.does, times=None)
    else:
        row.does(server)
    events, error = await ask(server, row.request, row.key)
    assert (error.failure if error else None) == row.failure
    whole = "" if row.failure else SAID
    assert shown(events) == (whole if row.text is None else row.text)
    assert any(isinstance(event, Reasoning | Reconsidered) for event in events) == row.thought
    assert len(server.requests) == (0 if server.refused else row.tries)
    if error is None:
        assert events[-1] == Finished(row.finish)
        return
    for name, value in row.carries.items():
        given = getattr(error, name)
        near = isinstance(value, int) and name == "retry_after"
        assert given == (pytest.approx(value, abs=3) if near else value), name
    for told in (words.failure(error, 17), str(error)):
        assert SECRET not in told
        assert not re.search(r"https?:|127\.0\.0\.1|localhost|Traceback", told)
    told = words.failure(error, 17)
    assert FITTING[error.failure] in told
    assert told.endswith("[17]")
    assert ("(in about" in told) == (error.retry_after is not None)


async def test_an_unknown_model_names_all_that_there_are(server: ModelStandIn) -> None:
    _, error = await ask(server, replace(YES, model="nobody/nothing"))
    assert error is not None
    assert error.available == tuple(m.id for m in server.models.values() if not m.embeds)


async def test_nobody_listens(server: ModelStandIn) -> None:
    await server.close()
    events, error = await ask(server, YES)
    assert error is not None
    assert (error.failure, events) == (Failure.UNAVAILABLE, [])
    assert "127.0.0.1" not in str(error)


async def test_a_broken_answer_still_tells_what_it_cost(server: ModelStandIn) -> None:
    server.fail_next(faults.ended(2))
    events, _ = await ask(server, YES)
    told = [event for event in events if isinstance(event, Spent)][-1]
    assert (told.prompt, told.completion) == server.requests[-1].usage
    assert told.total == server.used[LLAMA]
