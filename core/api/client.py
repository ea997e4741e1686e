"""The client of IO Intelligence's API, or of any OpenAI-compatible one.

The openai package authenticates, connects and types the errors; the stream's bytes are read here
(a ninth of the processor time a chunk, and none of its silent cases).
"""

import asyncio
import copy
import random
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass
from typing import Any, Literal

import httpx2
import msgspec
import openai
from openai import AsyncOpenAI

from core.api import embedding, errors
from core.api.catalogue import Model, parse_models
from core.api.embedding import EmbeddingResult
from core.api.events import (
    Finished,
    FinishReason,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    TextWasReasoning,
    UsageReport,
    parse_token_count,
)
from core.api.model_data import DEFAULT_EMBEDDING_MODEL
from core.api.response_body import decode_json, read_body
from core.api.sse import SSEDecoder
from core.api.think_tags import ThinkTagParser
from core.errors import ModelError, ModelFailure

__all__ = ["ChatRequest", "Message", "ModelApi", "StreamTimeouts"]

MAX_ATTEMPTS = 3
NONEXISTENT_MODEL = "no/model"
MAX_RETRY_WAIT_SECONDS = 20.0  # seconds; who asks for more is told about
MAX_ANSWER_CHARS = 4_000_000  # characters of one answer with its reasoning
EMBEDDING_TIMEOUT_SECONDS = 60.0  # seconds
DRAIN_TIMEOUT_SECONDS = 0.1  # seconds after [DONE]
MAX_ERROR_BODY_BYTES = 65_536  # bytes read of an answer that is no stream
MAX_BODY_BYTES = 32 * 1024 * 1024  # bytes of a list of models, or of vectors

MIN_WINDOW_TOKENS = 512  # tokens; who counts fewer does not count the prompt
RETRYABLE_FAILURES = (ModelFailure.UNAVAILABLE, ModelFailure.RATE_LIMITED)


@dataclass(frozen=True, slots=True)
class Message:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    model: str
    messages: tuple[Message, ...]
    temperature: float | None = None
    max_tokens: int | None = None
    reasoning_effort: str | None = None
    has_reasoning: bool = False
    """The model is known to think before it answers."""

    def to_payload(self) -> dict[str, Any]:
        payload: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": m.role, "content": m.content} for m in self.messages],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self.temperature is not None:
            payload["temperature"] = self.temperature
        if self.max_tokens is not None:
            payload["max_completion_tokens"] = self.max_tokens
        if self.reasoning_effort is not None:
            payload["reasoning_effort"] = self.reasoning_effort
        return payload


@dataclass(frozen=True, slots=True)
class StreamTimeouts:
    """How long to wait, in seconds."""

    connect: float = 10
    first_token: float = 120
    between_tokens: float = 60
    total: float = 900


class ModelApi:
    """One for each process and key."""

    def __init__(self, base_url: str, api_key: str, *, timeouts: StreamTimeouts = StreamTimeouts()) -> None:
        self._timeouts = timeouts
        limits = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)
        self._openai = AsyncOpenAI(
            base_url=base_url,
            api_key=api_key,
            max_retries=0,
            timeout=httpx2.Timeout(max(timeouts.first_token, timeouts.between_tokens), connect=timeouts.connect),
            # Compressed bytes tell nothing of how many they will be.
            default_headers={"Accept-Encoding": "identity"},
            http_client=openai.DefaultAsyncHttpx2Client(limits=limits, event_hooks={"response": [_limit_error_body]}),
        )

    async def close(self) -> None:
        await self._openai.close()

    def with_key(self, api_key: str) -> "ModelApi":
        """The same service with another key, over the same connections."""
        clone = copy.copy(self)
        clone._openai = self._openai.with_options(api_key=api_key)  # noqa: SLF001 (its own class)
        return clone

    async def probe(self, model: str) -> None:
        """Ask `model` for one token. Raises `ModelError`: by its failure the key is known."""
        request = ChatRequest(model, (Message("user", "Hi"),), max_tokens=1)
        try:
            async with aclosing(self.stream(request)) as events:
                async for _ in events:
                    return
        except ModelError as error:
            if error.failure is not ModelFailure.EMPTY:
                raise

    async def is_key_valid(self) -> bool:
        """Whether the service accepts the key. It lists its models without one, so it is asked
        for a model that it has not: keys are looked at first, and that costs nothing.
        """
        try:
            await self.probe(NONEXISTENT_MODEL)
        except ModelError as error:
            return error.failure is not ModelFailure.AUTHENTICATION
        return True

    async def list_models(self) -> tuple[Model, ...]:
        """The models the service offers. Raises `ModelError`."""
        try:
            async with asyncio.timeout(30):
                async with self._openai.models.with_streaming_response.list() as response:
                    return parse_models(decode_json(await read_body(response, MAX_BODY_BYTES)))
        except (openai.OpenAIError, httpx2.HTTPError, msgspec.DecodeError) as error:
            raise errors.from_exception(error) from error
        except TimeoutError as error:
            raise ModelError("The list of models did not come", ModelFailure.STALLED) from error

    async def embed(self, texts: Sequence[str], model: str = DEFAULT_EMBEDDING_MODEL) -> EmbeddingResult:
        """Texts as vectors; `embedding.MOST_TEXTS` of them at most. Raises `ModelError`.

        What passes soon is tried again, twice at most.
        """
        if not 0 < len(texts) <= embedding.MAX_TEXTS_PER_REQUEST:
            raise ValueError(f"{len(texts)} texts at once")
        for is_last in (False,) * (MAX_ATTEMPTS - 1) + (True,):
            try:
                async with asyncio.timeout(EMBEDDING_TIMEOUT_SECONDS):
                    return await embedding.request_embeddings(self._openai, model, texts, MAX_BODY_BYTES)
            except TimeoutError as error:
                raise ModelError("The vectors did not come", ModelFailure.STALLED) from error
            except (openai.OpenAIError, httpx2.HTTPError, ModelError) as error:
                model_error = errors.from_exception(error)
                wait = model_error.retry_after or random.uniform(0.3, 1.0)  # noqa: S311 (jitter)
                if is_last or model_error.failure not in RETRYABLE_FAILURES or wait > MAX_RETRY_WAIT_SECONDS:
                    raise model_error from error
            await asyncio.sleep(wait)
        raise AssertionError("the last try returns or raises")

    async def stream(self, request: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
        """Ask a model. Raises `ModelError`, also in the middle; `Usage` before it still counts.

        Closing the iterator, or cancelling who reads it, closes the connection at once. What
        failed before anything came is tried again, twice at most.
        """
        for is_last in (False,) * (MAX_ATTEMPTS - 1) + (True,):
            has_started = False
            try:
                async with aclosing(self._stream_once(request)) as events:
                    async for event in events:
                        has_started = True
                        yield event
                return
            except ModelError as error:
                wait = error.retry_after or random.uniform(0.3, 1.0)  # noqa: S311 (jitter)
                if is_last or has_started or error.failure not in RETRYABLE_FAILURES or wait > MAX_RETRY_WAIT_SECONDS:
                    raise
            await asyncio.sleep(wait)

    async def _stream_once(self, request: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
        timeouts = self._timeouts
        loop = asyncio.get_running_loop()
        total_deadline = loop.time() + timeouts.total
        deadline = min(total_deadline, loop.time() + timeouts.first_token)
        parser = _StreamParser(has_reasoning=request.has_reasoning)
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout_at(deadline):
                    response = await stack.enter_async_context(
                        self._openai.chat.completions.with_streaming_response.create(**request.to_payload())
                    )
                    await _check_content_type(response)
                chunks = await stack.enter_async_context(aclosing(response.iter_bytes()))
                while not parser.is_done:
                    async with asyncio.timeout_at(deadline):
                        chunk = await anext(chunks, None)
                    if chunk is None:
                        break
                    for event in parser.feed(chunk):
                        yield event
                    if parser.has_progressed():
                        # Only content counts: comments that keep the line warm do not.
                        deadline = min(total_deadline, loop.time() + timeouts.between_tokens)
                for event in parser.finish():
                    yield event
                if parser.is_done:
                    await _drain(chunks)
        except TimeoutError as error:
            raise ModelError("The model did not go on in time", ModelFailure.STALLED) from error
        except (openai.OpenAIError, httpx2.HTTPError) as error:
            raise _stream_error(error, parser) from error


async def _limit_error_body(response: httpx2.Response) -> None:
    """Of what is no success, however long it is, the beginning says why."""
    if response.status_code >= 400:
        response.headers.pop("content-encoding", None)
        response.stream = _TruncatedStream(response.stream)


class _TruncatedStream(httpx2.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        remaining = MAX_ERROR_BODY_BYTES
        async for chunk in self._stream:
            yield chunk[:remaining]
            remaining -= len(chunk)
            if remaining <= 0:
                return

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read on to the end of what is complete, if it comes at once: only then can the connection
    be used again.
    """
    with suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(DRAIN_TIMEOUT_SECONDS):
            async for _ in chunks:
                pass


async def _check_content_type(response: Any) -> None:
    """A stream is a stream; JSON or a page with status 200 is an error."""
    if "text/event-stream" in response.headers.get("content-type", ""):
        return
    body = bytearray()
    async with aclosing(response.iter_bytes()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > MAX_ERROR_BODY_BYTES:
                break
    try:
        payload = decode_json(bytes(body))
    except msgspec.DecodeError:
        raise ModelError("A page came instead of an answer", ModelFailure.UNAVAILABLE) from None
    raise errors.from_payload(payload if isinstance(payload, dict) else {})


def _stream_error(error: Exception, parser: "_StreamParser") -> ModelError:
    model_error = errors.from_exception(error)
    if parser.text_chars or parser.reasoning_chars:
        return ModelError("The connection broke off in mid-answer", ModelFailure.TRUNCATED)
    return model_error


def _window_full_error(usage: UsageReport) -> ModelError:
    """Some services cut a prompt that is too long and say nothing: no room is left to answer."""
    limit = usage.total_tokens if usage.total_tokens >= MIN_WINDOW_TOKENS else None
    return ModelError(
        "The prompt fills the model's window",
        ModelFailure.OVERFLOW,
        limit=limit,
        prompt_tokens=usage.prompt_tokens,
    )


class _StreamParser:
    """Turns the bytes of one stream into events."""

    def __init__(self, *, has_reasoning: bool) -> None:
        self.is_done = False
        self.text_chars = 0
        self.reasoning_chars = 0
        self._last_chars = 0
        self._sse_decoder = SSEDecoder()
        self._think_tags = ThinkTagParser(has_reasoning)
        self._finish_reason: FinishReason | None = None
        self._usage: UsageReport | None = None
        self._received_any = False

    def has_progressed(self) -> bool:
        """Whether content came since the last call."""
        now = self.text_chars + self.reasoning_chars
        before, self._last_chars = self._last_chars, now
        return now != before

    def feed(self, chunk: bytes) -> Iterator[StreamEvent]:
        for name, data in self._sse_decoder.feed(chunk):
            yield from self._parse_event(name, data)

    def _parse_event(self, name: bytes, data: bytes) -> list[StreamEvent]:
        data = data.strip()
        if self.is_done or not data:
            return []
        self._received_any = True
        if data == b"[DONE]":
            self.is_done = True
            return []
        try:
            chunk = decode_json(data)
        except msgspec.DecodeError:
            if name == b"error":
                raise errors.from_payload(data.decode(errors="replace")) from None
            raise ModelError("The stream cannot be understood", ModelFailure.MALFORMED) from None
        if not isinstance(chunk, dict):
            if name == b"error":
                raise errors.from_payload(chunk)
            return []
        if name == b"error" or chunk.get("object") == "error" or chunk.get("error"):
            raise errors.from_payload(chunk)
        if "detail" in chunk and "choices" not in chunk:
            raise errors.from_payload(chunk)
        try:
            return [*self._parse_usage(chunk), *self._parse_content(chunk)]
        except (AttributeError, TypeError):
            raise ModelError("The stream cannot be understood", ModelFailure.MALFORMED) from None

    def _parse_usage(self, chunk: dict[str, Any]) -> list[StreamEvent]:
        raw = chunk.get("usage")
        if not isinstance(raw, dict) or (prompt := parse_token_count(raw.get("prompt_tokens"))) is None:
            return []
        completion = parse_token_count(raw.get("completion_tokens")) or 0
        usage = UsageReport(prompt, completion, prompt + completion)
        if usage == self._usage:
            return []
        self._usage = usage
        return [usage]

    def _parse_content(self, chunk: dict[str, Any]) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        for choice in chunk.get("choices") or ():
            if not isinstance(choice, dict) or choice.get("index") not in (0, None):
                continue
            delta = choice.get("delta") or {}
            reasoning = delta.get("reasoning_content") or delta.get("reasoning")
            if isinstance(reasoning, str):
                events.append(ReasoningDelta(reasoning))
            text = delta.get("content")
            if isinstance(text, str) and text:
                events += self._think_tags.feed(text)
            if reason := choice.get("finish_reason"):
                known = FinishReason.__members__.values()
                self._finish_reason = FinishReason(reason) if reason in known else FinishReason.OTHER
        self._count_chars(events)
        return events

    def _count_chars(self, events: Sequence[StreamEvent]) -> None:
        for event in events:
            match event:
                case TextDelta(text):
                    self.text_chars += len(text)
                case ReasoningDelta(text):
                    self.reasoning_chars += len(text)
                case TextWasReasoning():
                    self.reasoning_chars, self.text_chars = (
                        self.reasoning_chars + self.text_chars,
                        0,
                    )
        if self.text_chars + self.reasoning_chars > MAX_ANSWER_CHARS:
            raise ModelError("The answer does not end", ModelFailure.MALFORMED)

    def finish(self) -> Iterator[StreamEvent]:
        """The end of the bytes: a good one, or a `ModelError` after what was still held."""
        for name, data in self._sse_decoder.flush():
            yield from self._parse_event(name, data)
        rest = self._think_tags.flush()
        self._count_chars(rest)
        yield from rest
        if not self._received_any:
            raise ModelError("The model service sent nothing", ModelFailure.UNAVAILABLE)
        if self._finish_reason is None and not self.is_done:
            raise ModelError("The answer broke off", ModelFailure.TRUNCATED)
        if self._finish_reason is FinishReason.FILTERED and not self.text_chars:
            raise ModelError("The answer was withheld", ModelFailure.FILTERED)
        if not self.text_chars:
            if self._finish_reason is FinishReason.LENGTH and self._usage and not self._usage.completion_tokens:
                raise _window_full_error(self._usage)
            message = "The model thought and gave no answer" if self.reasoning_chars else "No answer came"
            raise ModelError(message, ModelFailure.EMPTY)
        yield Finished(self._finish_reason or FinishReason.STOP)
