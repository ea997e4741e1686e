"""How the client treats responses and streams that fail, and those that only look like it (`failure` is None).

The wordings of errors are in `service_errors.py`.
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
    faults,
)
from bots.sandbox.model.faults import FOREVER_SECONDS, ReasoningFormat, StreamAction, UsageReporting
from core.api.client import ChatRequest, Message, StreamTimeouts
from core.api.events import Finished, FinishReason, ReasoningDelta, TextWasReasoning
from core.errors import ModelFailure
from core.texts import answers as texts
from tests.core.api.service_errors import SERVICE_ERRORS
from tests.core.api.stream_result import LONG_TIMEOUTS, read_stream

SECRET = "io-v2-0123456789abcdef-secret"
LLAMA = "meta-llama/Llama-3.3-70B-Instruct"
R1 = "deepseek-ai/DeepSeek-R1"
TINY = "nvidia/AceMath-7B-Instruct"
REQUEST = ChatRequest(LLAMA, (Message("user", "repeat: one two three"),))
EMPTY_REQUEST = replace(REQUEST, messages=(Message("user", "empty"),))
REASONING_REQUEST = replace(REQUEST, model=R1, has_reasoning=True)
LONG_REQUEST = ChatRequest(TINY, (Message("user", "word " * 6000),))
ANSWER = "one two three"
LEAK = f"key {SECRET} at https://api.intelligence.io.solutions/api/v1/"
SHORT_TIMEOUTS = StreamTimeouts(connect=5, first_token=0.4, between_tokens=0.4, total=10)

MESSAGE_KEYWORDS = {
    ModelFailure.AUTHENTICATION: "key",
    ModelFailure.CREDIT: "credit",
    ModelFailure.PAYMENT: "plan",
    ModelFailure.RATE_LIMITED: "busy",
    ModelFailure.QUOTA: "quota",
    ModelFailure.UNKNOWN_MODEL: "no longer available",
    ModelFailure.OVERFLOW: "too long",
    ModelFailure.REFUSED: "rejected this request",
    ModelFailure.FILTERED: "withheld",
    ModelFailure.UNREACHABLE: "cannot be reached",
    ModelFailure.SERVER_ERROR: "internal error",
    ModelFailure.UNAVAILABLE: "unavailable",
    ModelFailure.STALLED: "stopped responding",
    ModelFailure.TRUNCATED: "cut off",
    ModelFailure.MALFORMED: "invalid response",
    ModelFailure.EMPTY: "no answer",
}
"""What the message for people contains."""


@dataclass(frozen=True)
class Case:
    name: str
    arrange: Fault | Callable[[ModelStandIn], object]
    """A fault in every response, or a function that sets up the stand-in."""
    failure: ModelFailure | None
    request: ChatRequest = REQUEST
    attempts: int = 1
    """The requests that reach the stand-in."""
    text: str | None = None
    """The text received. None: the whole answer without a failure, else nothing."""
    details: dict[str, Any] = field(default_factory=dict)
    """Attributes of the error."""
    key: str = SECRET
    finish_reason: FinishReason = FinishReason.STOP
    has_reasoning: bool = False


def inject(*injected: Fault) -> Callable[[ModelStandIn], None]:
    def arrange(server: ModelStandIn) -> None:
        for fault in injected:
            server.fail_next(fault)

    return arrange


def fail_first_chunk(payload: object, event: str = "") -> Fault:
    return replace(faults.send_event(payload, event_type=event), after_pieces=None)


def overflow_with(overflow_response: OverflowResponse) -> Callable[[ModelStandIn], None]:
    def arrange(server: ModelStandIn) -> None:
        server.overflow_response = overflow_response

    return arrange


def exhaust_quota(server: ModelStandIn) -> None:
    server.quotas[LLAMA] = 0


def chunk(text: str, index: int = 0) -> bytes:
    choice = {"index": index, "delta": {"content": text}, "finish_reason": None}
    return b"data: " + msgspec.json.encode({"choices": [choice]}) + b"\n\n"


VALIDATION_ERROR = {
    "type": "float_parsing",
    "loc": ["body", "temperature"],
    "msg": "Input should be a valid number, unable to parse string as a number",
    "input": LEAK,
}
FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
DONE = b"data: [DONE]\n\n"
SERVER_ERROR = {"message": LEAK, "type": "InternalServerError", "param": None, "code": 500}

REFUSALS = [
    Case(
        "401 invalid key",
        inject(),
        ModelFailure.AUTHENTICATION,
        key="wrong",
        details={"status": 401},
    ),
    Case("403", faults.http_error(403, LEAK), ModelFailure.AUTHENTICATION),
    Case(
        "400 unknown model",
        lambda server: server.models.pop(LLAMA),
        ModelFailure.UNKNOWN_MODEL,
        details={"status": 400},
    ),
    Case(
        "404 unknown model",
        faults.http_error(404, "The model `x` does not exist."),
        ModelFailure.UNKNOWN_MODEL,
    ),
    Case(
        "422 wrong type in a field",
        faults.respond_with(422, {"detail": [VALIDATION_ERROR]}),
        ModelFailure.REFUSED,
        details={"status": 422},
    ),
    Case("400 anything else", faults.http_error(400, LEAK), ModelFailure.REFUSED),
    Case("402 higher tier", lambda server: server.paid_models.add(LLAMA), ModelFailure.PAYMENT),
    Case("413 too large", faults.http_error(413, "Payload too large"), ModelFailure.OVERFLOW),
    Case("429 without a delay", faults.rate_limited(), ModelFailure.RATE_LIMITED, attempts=3),
    Case("429 quota", exhaust_quota, ModelFailure.QUOTA, attempts=0, details={"status": 429}),
    Case("429 seconds", faults.rate_limited(90), ModelFailure.RATE_LIMITED, details={"retry_after": 90}),
    Case(
        "429 date",
        # The date is relative to the time of the request.
        lambda server: server.fail_next(faults.rate_limited(90, "date")),
        ModelFailure.RATE_LIMITED,
        details={"retry_after": 90},
    ),
    Case("429 ms", faults.rate_limited(90, "ms"), ModelFailure.RATE_LIMITED, details={"retry_after": 90}),
    Case(
        "429 above two minutes",
        faults.rate_limited(3600),
        ModelFailure.QUOTA,
        details={"retry_after": 3600},
    ),
    Case(
        "429 invalid delay",
        faults.http_error(429, "no", {"retry-after": "soon"}),
        ModelFailure.RATE_LIMITED,
        attempts=3,
    ),
    Case(
        "429 that mentions the length",
        faults.http_error(429, "Rate limit reached. Please reduce the length of the messages."),
        ModelFailure.RATE_LIMITED,
        attempts=3,
    ),
    Case(
        "429 credit by its code",
        faults.respond_with(429, {"error": {"message": LEAK, "code": "insufficient_quota"}}),
        ModelFailure.CREDIT,
    ),
    Case(
        "429 infinite delay",
        faults.http_error(429, "no", {"retry-after-ms": "inf"}),
        ModelFailure.RATE_LIMITED,
        attempts=3,
    ),
    Case(
        "429 that ends",
        inject(faults.rate_limited(0.05, "ms"), faults.rate_limited(0.05)),
        None,
        attempts=3,
    ),
    Case("408", faults.http_error(408), ModelFailure.UNAVAILABLE, attempts=3),
    Case("409", faults.http_error(409), ModelFailure.UNAVAILABLE, attempts=3),
    Case("500", faults.http_error(500, LEAK), ModelFailure.SERVER_ERROR, attempts=3),
    *(
        Case(f"{code} page", faults.gateway_error(code), ModelFailure.UNAVAILABLE, attempts=3)
        for code in (502, 503, 504, 520, 521, 522, 523, 524)
    ),
    Case("503 that ends", inject(faults.gateway_error(503)), None, attempts=2),
]

NOT_STREAMS = [
    Case(
        "200 JSON error",
        faults.respond_with(200, {"error": SERVER_ERROR}),
        ModelFailure.SERVER_ERROR,
        attempts=3,
    ),
    Case(
        "200 JSON detail",
        faults.respond_with(200, {"detail": LEAK}),
        ModelFailure.SERVER_ERROR,
        attempts=3,
    ),
    Case(
        "200 JSON overflow",
        faults.respond_with(200, OVERFLOW_RESPONSES["llama.cpp"].body(512, 10820, 0)),
        ModelFailure.OVERFLOW,
        details={"limit": 512},
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
    ("error object", {"error": SERVER_ERROR}, ""),
    ("error text", {"error": LEAK}, ""),
    ("old vLLM", {"object": "error", "message": LEAK, "code": 50001}, ""),
    ("detail", {"detail": LEAK}, ""),
    ("event: error", {"message": LEAK}, "error"),
]
IN_STREAMS = [
    *(
        Case(
            f"{name} in the middle of the stream",
            faults.send_event(payload, after_pieces=2, event_type=event),
            ModelFailure.SERVER_ERROR,
            text="one two",
        )
        for name, payload, event in ERRORS_IN_STREAMS
    ),
    *(
        Case(
            f"{name} as the first event",
            fail_first_chunk(payload, event),
            ModelFailure.SERVER_ERROR,
            attempts=3,
        )
        for name, payload, event in ERRORS_IN_STREAMS
    ),
    Case(
        "overflow as the first event",
        fail_first_chunk(OVERFLOW_RESPONSES["vllm as error"].body(4096, 5000, 0)),
        ModelFailure.OVERFLOW,
        details={"limit": 4096},
    ),
    Case(
        "429 as the first event",
        fail_first_chunk({"error": {"message": "Too many requests", "code": 429}}),
        ModelFailure.RATE_LIMITED,
        attempts=3,
    ),
    Case(
        "malformed JSON",
        faults.send_raw(b"data: {oops\n\n" * 3, after_pieces=2),
        ModelFailure.MALFORMED,
        text="one two",
    ),
    Case(
        "malformed UTF-8",
        faults.send_raw(b"data: \xff\xfe\n\n" * 3, after_pieces=2),
        ModelFailure.MALFORMED,
        text="one two",
    ),
    Case(
        "invalid deltas",
        faults.send_raw(b'data: {"choices":[{"delta":"x"}]}\n\n' * 3, after_pieces=2),
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
    Case("reset before the headers", faults.reset_connection(), ModelFailure.UNREACHABLE, attempts=3),
    Case("closed before the headers", faults.close_connection(), ModelFailure.UNREACHABLE, attempts=3),
    Case("silence before the headers", faults.stall(), ModelFailure.STALLED),
    Case("silence before the first token", faults.stall(0), ModelFailure.STALLED),
    Case("silence in the middle of the answer", faults.stall(2), ModelFailure.STALLED, text="one two"),
    Case("comments only", faults.keep_alive(0), ModelFailure.STALLED),
    Case("comments in the middle of the answer", faults.keep_alive(2), ModelFailure.STALLED, text="one two"),
    Case("a silence that ends", faults.stall(2, seconds=0.1), None),
    Case(
        "all tokens used for reasoning",
        Fault(only_reasoning=True),
        ModelFailure.EMPTY,
        REASONING_REQUEST,
        has_reasoning=True,
    ),
    Case("no text", inject(), ModelFailure.EMPTY, EMPTY_REQUEST),
    Case(
        "withheld answer",
        Fault(finish_reason="content_filter"),
        ModelFailure.FILTERED,
        EMPTY_REQUEST,
    ),
    Case(
        "partly withheld answer",
        Fault(finish_reason="content_filter"),
        None,
        finish_reason=FinishReason.FILTERED,
    ),
    Case("answer longer than allowed", Fault(finish_reason="length"), None, finish_reason=FinishReason.LENGTH),
    Case("tool calls", Fault(finish_reason="tool_calls"), None, finish_reason=FinishReason.OTHER),
    Case("unknown finish reason", Fault(finish_reason="eos"), None, finish_reason=FinishReason.OTHER),
    Case("[DONE] alone", Fault(finish_reason=None), None),
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


def send_extra(content: bytes) -> Fault:
    return faults.send_raw(content, after_pieces=2, action=StreamAction.CONTINUE)


UNUSUAL_STREAMS = [
    Case("one byte at a time", Fault(packet_bytes=1), None),
    Case("comments", send_extra(b": alive\n\n:\n\n"), None),
    Case("an event without data", send_extra(b"event: ping\n\n"), None),
    Case("a comment after an id", send_extra(b"id: 7\n\n: alive\n\n"), None),
    Case(
        "nulls",
        send_extra(b'data: null\n\ndata: {"choices":null}\n\ndata: {"choices":[{"delta":null}]}\n\n'),
        None,
    ),
    Case("an empty list of choices", send_extra(b'data: {"choices":[]}\n\n'), None),
    Case("another choice", send_extra(chunk("no", index=1)), None),
    Case(
        "carriage returns, no space",
        send_extra(chunk("!").replace(b"\n", b"\r\n").replace(b": ", b":", 1)),
        None,
        text="one two! three",
    ),
    Case(
        "a large event",
        send_extra(chunk("x" * 3_000_000)),
        None,
        text="one two" + "x" * 3_000_000 + " three",
    ),
    *(Case(f"usage: {style}", Fault(usage_reporting=style), None) for style in UsageReporting),
    Case(
        "two usage reports",
        send_extra(b'data: {"choices":[{"delta":{}}],"usage":{"prompt_tokens":1}}\n\n'),
        None,
    ),
    Case(
        "reasoning in a field",
        Fault(reasoning_format=ReasoningFormat.REASONING_CONTENT_FIELD),
        None,
        REASONING_REQUEST,
        has_reasoning=True,
    ),
    Case(
        "reasoning in a renamed field",
        Fault(reasoning_format=ReasoningFormat.REASONING_FIELD),
        None,
        REASONING_REQUEST,
        has_reasoning=True,
    ),
    Case(
        "reasoning in the text",
        Fault(reasoning_format=ReasoningFormat.THINK_TAGS),
        None,
        REASONING_REQUEST,
        has_reasoning=True,
    ),
    Case(
        "reasoning in the text, one byte at a time",
        replace(Fault(reasoning_format=ReasoningFormat.THINK_TAGS), packet_bytes=1),
        None,
        REASONING_REQUEST,
        has_reasoning=True,
    ),
    Case(
        "reasoning without an opening tag",
        Fault(reasoning_format=ReasoningFormat.CLOSING_TAG_ONLY),
        None,
        REASONING_REQUEST,
        has_reasoning=True,
    ),
    Case(
        "reasoning without a closing tag",
        Fault(reasoning_format=ReasoningFormat.OPENING_TAG_ONLY),
        None,
        REASONING_REQUEST,
        text="",
        has_reasoning=True,
    ),
]


def _overflow_case(name: str, overflow_response: OverflowResponse) -> Case:
    details: dict[str, Any] = {"status": overflow_response.status}
    if "{limit" in overflow_response.message_template:
        details["limit"] = 4000
    return Case(
        f"overflow: {name}",
        overflow_with(overflow_response),
        ModelFailure.OVERFLOW,
        LONG_REQUEST,
        attempts=0,
        details=details,
    )


OVERFLOWS = [
    *(
        _overflow_case(name, overflow_response)
        for name, overflow_response in OVERFLOW_RESPONSES.items()
        if not overflow_response.truncates_silently
    ),
    Case(
        "overflow: silent",
        overflow_with(OVERFLOW_RESPONSES["silent"]),
        ModelFailure.OVERFLOW,
        LONG_REQUEST,
        details={"limit": 3999},
    ),
    Case(
        "overflow: negative answer length",
        inject(),
        ModelFailure.OVERFLOW,
        replace(REQUEST, max_tokens=-186),
        attempts=0,
    ),
    Case(
        "overflow: by its code",
        faults.respond_with(400, {"error": {"message": LEAK, "code": "context_length_exceeded"}}),
        ModelFailure.OVERFLOW,
    ),
    Case(
        "overflow: answer length too large",
        faults.http_error(400, "'max_tokens' or 'max_completion_tokens' is too large: 9000."),
        ModelFailure.OVERFLOW,
    ),
]

CASES = [*REFUSALS, *NOT_STREAMS, *IN_STREAMS, *ENDS, *UNUSUAL_STREAMS, *OVERFLOWS]


@pytest.fixture
async def server() -> AsyncIterator[ModelStandIn]:
    stand_in = ModelStandIn(api_key=SECRET, tokens_per_second=100_000)
    await stand_in.start()
    yield stand_in
    await stand_in.close()


def test_case_names_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def test_every_failure_has_a_case() -> None:
    recognised = {*(case.failure for case in CASES), *(row.failure for row in SERVICE_ERRORS)}
    assert recognised == {*ModelFailure, None} - {ModelFailure.ALLOWANCE}, "not the service's"


@pytest.mark.slow
@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
async def test_error_case(server: ModelStandIn, case: Case) -> None:
    if isinstance(case.arrange, Fault):
        server.fail_next(case.arrange, times=None)
    else:
        case.arrange(server)
    timeouts = SHORT_TIMEOUTS if case.failure is ModelFailure.STALLED else LONG_TIMEOUTS
    if case.text:  # which may take its time on a busy machine
        timeouts = replace(timeouts, first_token=LONG_TIMEOUTS.first_token)
    result = await read_stream(server.base_url, case.request, key=case.key, timeouts=timeouts)
    error = result.error
    assert (error.failure if error else None) == case.failure
    default_text = "" if case.failure else ANSWER
    assert result.text == (default_text if case.text is None else case.text)
    has_reasoning = any(isinstance(event, ReasoningDelta | TextWasReasoning) for event in result.events)
    assert has_reasoning == case.has_reasoning
    assert len(server.requests) == (0 if server.rejected_requests else case.attempts)
    if error is None:
        assert result.last_event == Finished(case.finish_reason)
        return
    for name, expected in case.details.items():
        tolerance = 3 if name == "retry_after" else 0
        assert getattr(error, name) == pytest.approx(expected, abs=tolerance), name
    message = texts.model_failed(error, 17)
    for text in (message, str(error)):
        assert SECRET not in text
        assert not re.search(r"https?:|127\.0\.0\.1|localhost|Traceback", text)
    assert MESSAGE_KEYWORDS[error.failure] in message
    assert message.endswith("[17]")
    assert (" in about " in message) == (error.retry_after is not None)


async def test_unreachable_service(server: ModelStandIn) -> None:
    await server.close()
    result = await read_stream(server.base_url, REQUEST, key=SECRET)
    assert result.error is not None
    assert (result.error.failure, result.events) == (ModelFailure.UNREACHABLE, [])
    assert "127.0.0.1" not in str(result.error)


async def test_broken_answer_reports_usage(server: ModelStandIn) -> None:
    server.fail_next(faults.end_stream(2))
    usage = (await read_stream(server.base_url, REQUEST, key=SECRET)).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == server.requests[-1].token_usage
    assert usage.total_tokens == server.usage[LLAMA]
