"""The client of IO Intelligence's API, or of any OpenAI-compatible one.

The openai package authenticates, connects and raises typed errors. `core.api.stream_parser` parses
the streams: it takes a ninth of the package's processor time per chunk, and detects errors that the
package ignores.
"""

import asyncio
import copy
import importlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, aclosing, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import httpx2
import msgspec

from core.api import embedding, errors, speech
from core.api.adaptation import STREAM, RequestAdapter
from core.api.catalogue import Model, parse_models
from core.api.embedding import EmbeddingResult
from core.api.events import StreamEvent
from core.api.images import MessageImage
from core.api.json_values import decode_values
from core.api.model_data import DEFAULT_EMBEDDING_MODEL
from core.api.read_pacer import ReadPacer
from core.api.response_body import decode_json, read_body
from core.api.service_facts import ServiceFacts
from core.api.sse import BYTE_ORDER_MARK, MAX_EVENT_BYTES
from core.api.stream_parser import StreamParser
from core.api.transport import BODY_EXTENSION, ResponseBody
from core.api.watchdog import Watchdog
from core.backoff import Backoff
from core.errors import ModelError, ModelFailure
from core.timings import Timings

if TYPE_CHECKING:
    from openai import AsyncOpenAI

MAX_ATTEMPTS = 3
RETRYABLE_FAILURES = (
    ModelFailure.UNREACHABLE,
    ModelFailure.SERVER_ERROR,
    ModelFailure.UNAVAILABLE,
    ModelFailure.RATE_LIMITED,
)
STREAM_PREFIXES = (b"data:", b"event:", b"id:", b"retry:", b":")
ACCOUNT_FAILURES = (ModelFailure.AUTHENTICATION, ModelFailure.CREDIT, ModelFailure.REGION, ModelFailure.BLOCKED)
NONEXISTENT_MODEL = "no/model"
NO_KEY = "none"
"""Sent to a service that needs no key: such services ignore it, and the openai package requires one."""


@dataclass(frozen=True, slots=True)
class Message:
    role: Literal["system", "user", "assistant"]
    content: str
    images: tuple[MessageImage, ...] = ()

    def to_payload(self) -> dict[str, Any]:
        content: object = self.content
        if self.images:
            content = [{"type": "text", "text": self.content}, *(image.to_payload() for image in self.images)]
        return {"role": self.role, "content": content}


@dataclass(frozen=True, slots=True)
class ChatRequest:
    model: str
    messages: tuple[Message, ...]
    temperature: float | None = None
    max_tokens: int | None = None
    reasoning_effort: str | None = None
    has_reasoning: bool = False
    """Whether the model is known to reason before it answers."""

    def to_payload(self) -> dict[str, Any]:
        optional = {
            "temperature": self.temperature,
            "max_completion_tokens": self.max_tokens,
            "reasoning_effort": self.reasoning_effort,
        }
        return {
            "model": self.model,
            "messages": [message.to_payload() for message in self.messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            **{name: value for name, value in optional.items() if value is not None},
        }


@dataclass(frozen=True, slots=True)
class StreamBody:
    """The body of a streamed response."""

    read: Callable[[], Awaitable[bytes]]
    """Returns what has arrived; empty at the end."""
    paused: Callable[[], AbstractContextManager[None]] = nullcontext
    """Nothing arrives before the context ends."""


@dataclass(frozen=True, slots=True)
class StreamTimeouts:
    """Time limits of one answer, in seconds; most are settings."""

    connect: float = 10
    first_token: float = 120
    reasoning_first_token: float = 600
    """The same limit for models known to reason; some services send nothing meanwhile."""
    between_tokens: float = 60
    total: float = 900

    @property
    def longest_silence(self) -> float:
        return max(self.first_token, self.reasoning_first_token, self.between_tokens, self.total)

    def until_first_token(self, *, is_streamed: bool, has_reasoning: bool) -> float:
        if not is_streamed:
            return self.total
        return self.reasoning_first_token if has_reasoning else self.first_token


class ModelApi:
    """One client for each process and API key."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        timeouts: StreamTimeouts = StreamTimeouts(),
        timings: Timings = Timings(),
        facts: ServiceFacts | None = None,
    ) -> None:
        self.facts = facts or ServiceFacts()
        self._timeouts = timeouts
        self._timings = timings
        self._clock = timings.clock
        self._read_pacer = ReadPacer()
        self._api_key = api_key or NO_KEY
        self._connections = _Connections(base_url, self._api_key, timeouts)

    async def close(self) -> None:
        await self._connections.close()

    def with_key(self, api_key: str) -> "ModelApi":
        """A client of the same service with another key, over the same connections."""
        clone = copy.copy(self)
        clone._api_key = api_key  # noqa: SLF001 (its own class)
        return clone

    async def probe(self, model: str) -> None:
        """Request one token from `model`. Raises `ModelError` if the model or the key does not work."""
        request = ChatRequest(model, (Message("user", "Hi"),), max_tokens=1)
        try:
            async with aclosing(self.stream(request)) as events:
                async for _ in events:
                    return
        except ModelError as error:
            if error.failure is not ModelFailure.EMPTY:
                raise

    async def find_account_problem(self) -> ModelError | None:
        """Why the service would refuse every question; None if it would not.

        The list of models needs no key. The request therefore names a model that does not exist: the
        service checks the key first, and no tokens are spent.
        """
        try:
            await self.probe(NONEXISTENT_MODEL)
        except ModelError as error:
            return error if error.failure in ACCOUNT_FAILURES else None
        return None

    async def list_models(self) -> tuple[Model, ...]:
        """The models the service offers. Raises `ModelError`."""
        try:
            async with asyncio.timeout(self._timings.model_list_timeout):
                client = await self._client()
                async with client.models.with_streaming_response.list() as response:
                    body = await read_body(response)
        except _client_errors() as error:
            raise self._model_error(error) from error
        if errors.is_html(body.decode(errors="replace"), response.headers):
            raise ModelError("A page came instead of the list of models", ModelFailure.WRONG_ADDRESS)
        try:
            payload = decode_json(body)
        except msgspec.DecodeError as error:
            raise self._model_error(error) from error
        if errors.is_error_payload(payload):
            raise errors.from_payload(payload)
        return parse_models(payload)

    async def embed(self, texts: Sequence[str], model: str = DEFAULT_EMBEDDING_MODEL) -> EmbeddingResult:
        """Compute the vectors of at most `embedding.MAX_TEXTS_PER_REQUEST` texts.

        Retries temporary failures. Raises `ModelError`.
        """
        if not 0 < len(texts) <= embedding.MAX_TEXTS_PER_REQUEST:
            raise ValueError(f"{len(texts)} texts at once")
        retries = _Retries(self._timings)
        while True:
            try:
                async with asyncio.timeout(self._timings.embedding_timeout):
                    return await embedding.request_embeddings(await self._client(), model, texts)
            except _client_errors(ModelError) as error:
                await retries.wait_after(self._model_error(error))

    async def transcribe(self, model: str, content: bytes) -> str:
        """The words of a recording. Retries temporary failures. Raises `ModelError`."""
        retries = _Retries(self._timings)
        while True:
            try:
                async with asyncio.timeout(self._timings.speech_timeout):
                    return await speech.request_transcript(await self._client(), model, content)
            except _client_errors(ModelError) as error:
                await retries.wait_after(self._model_error(error))

    async def stream(self, request: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
        """Stream a model's answer. Retries temporary failures before the first event.

        If the service rejects a part of the request, repeats it without that part, and remembers this if it helped.
        Raises `ModelError`, also in the middle of an answer; a `UsageReport` before it still counts.
        Closing the generator, or cancelling its consumer, closes the connection at once.
        """
        retries = _Retries(self._timings)
        adapter = RequestAdapter(request.to_payload(), self.facts.rejected_parts(request.model))
        while True:
            has_started = False
            try:
                async with aclosing(self._stream_once(adapter.payload, request.has_reasoning)) as events:
                    async for event in events:
                        if not has_started:
                            await self.facts.learn_rejected_parts(request.model, adapter.new_parts)
                        has_started = True
                        yield event
                return
            except ModelError as error:
                if has_started:
                    raise
                if error.failure is ModelFailure.OVERFLOW:  # the service has accepted the form of the request
                    await self.facts.learn_rejected_parts(request.model, adapter.new_parts)
                if not adapter.adapt(error.rejected_parts):
                    await retries.wait_after(error)

    async def _stream_once(self, payload: dict[str, Any], has_reasoning: bool) -> AsyncGenerator[StreamEvent, None]:
        parser = StreamParser(has_reasoning=has_reasoning)
        first_token = self._timeouts.until_first_token(is_streamed=STREAM in payload, has_reasoning=has_reasoning)
        try:
            async with AsyncExitStack() as stack:
                watchdog = Watchdog(first_token, self._timeouts.between_tokens, self._timeouts.total)
                stack.callback(watchdog.stop)
                body = await watchdog.wait(self._open_stream(payload, stack))
                stack.enter_context(self._read_pacer.stream())
                async with aclosing(self._parse_chunks(body, parser, watchdog)) as events:
                    async for event in events:
                        yield event
                for event in parser.finish():
                    yield event
                if parser.is_done:
                    await self._drain(body)
        except _client_errors() as error:
            model_error = self._model_error(error)
            if parser.content_chars and not isinstance(error, TimeoutError):
                model_error = ModelError("The connection broke off in the middle of an answer", ModelFailure.TRUNCATED)
            raise model_error from error

    async def _parse_chunks(
        self, body: StreamBody, parser: StreamParser, watchdog: Watchdog
    ) -> AsyncGenerator[StreamEvent, None]:
        """The events of a stream, until it is done or ends. Raises `TimeoutError` at the deadline."""
        while chunk := await watchdog.wait(body.read()):
            content_chars = parser.content_chars
            for event in parser.feed(chunk):
                yield event
            if parser.content_chars != content_chars:
                # Comments that keep the connection alive do not extend the deadline.
                watchdog.extend()
            if parser.is_done:
                return
            with body.paused():
                await self._read_pacer.pause()

    async def _open_stream(self, payload: dict[str, Any], stack: AsyncExitStack) -> StreamBody:
        """Send the request. `stack` closes the response."""
        client = await self._client()
        # `chat.completions.create` would check and transform the parameters: milliseconds for a long conversation.
        response = await client.post("/chat/completions", cast_to=httpx2.Response, body=payload, stream=True)
        if (raw_body := _find_raw_body(response)) is not None:
            # Only the body is kept and closed: the response would keep the request with the whole conversation.
            stack.push_async_callback(raw_body.aclose)
            return StreamBody(raw_body.read, raw_body.paused)
        stack.push_async_callback(response.aclose)
        chunks = response.aiter_bytes() if _is_event_stream(response) else _detect_stream(response.aiter_bytes())
        return StreamBody(partial(anext, chunks, b""))

    async def _drain(self, body: StreamBody) -> None:
        """Read a complete stream to its end if that arrives at once: the connection is reused only then."""
        with suppress(TimeoutError, httpx2.HTTPError):
            async with asyncio.timeout(self._timings.stream_drain_timeout):
                while await body.read():
                    pass

    async def _client(self) -> "AsyncOpenAI":
        return await self._connections.client(self._api_key)

    def _model_error(self, error: Exception) -> ModelError:
        return errors.from_exception(error, now=self._clock.time())


class _Connections:
    """The connections to a service, which clients with different keys share."""

    def __init__(self, base_url: str, api_key: str, timeouts: StreamTimeouts) -> None:
        self._base_url = base_url
        self._api_key = api_key
        self._timeouts = timeouts
        self._client: AsyncOpenAI | None = None
        self._is_closed = False

    async def client(self, api_key: str) -> "AsyncOpenAI":
        if self._client is None:
            # In a thread, so that the bot can go on.
            await asyncio.to_thread(importlib.import_module, "core.api.openai_client")
        if self._is_closed:  # perhaps meanwhile: nobody would close the connections
            raise httpx2.ConnectError("The client is closed")
        if self._client is None:
            from core.api.openai_client import create_client

            self._client = create_client(
                self._base_url,
                self._api_key,
                connect_timeout=self._timeouts.connect,
                read_timeout=self._timeouts.longest_silence,
            )
        return self._client if api_key == self._api_key else self._client.with_options(api_key=api_key)

    async def close(self) -> None:
        self._is_closed = True
        if self._client is not None:
            await self._client.close()


def _client_errors(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """What requests raise, and `others`."""
    from core.api.openai_client import CLIENT_ERRORS

    return (*CLIENT_ERRORS, *others)


class _Retries:
    """Decides whether to repeat a failed request, and waits before the next attempt."""

    def __init__(self, timings: Timings) -> None:
        self._max_delay = timings.max_model_retry_delay
        self._backoff = Backoff(timings.model_retry_delay, self._max_delay)
        self._clock = timings.clock
        self._attempts = 0

    async def wait_after(self, error: ModelError) -> None:
        """Wait until the next attempt, or raise `error` if there is none.

        There is none if the service asks for too long a delay.
        """
        self._attempts += 1
        delay = error.retry_after or self._backoff.next_delay()
        if self._attempts == MAX_ATTEMPTS or error.failure not in RETRYABLE_FAILURES or delay > self._max_delay:
            raise error
        await self._clock.sleep(delay)


def _is_event_stream(response: httpx2.Response) -> bool:
    return "text/event-stream" in response.headers.get("content-type", "")


def _find_raw_body(response: httpx2.Response) -> ResponseBody | None:
    """The body of an event stream, below the layers that the package adds; None if it has to be decoded."""
    if not _is_event_stream(response) or "content-encoding" in response.headers:
        return None
    body: ResponseBody | None = response.extensions.get(BODY_EXTENSION)
    return body


async def _detect_stream(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The chunks of a stream that the service calls something else.

    An answer that came as one JSON object becomes a stream of one event.
    """
    body = bytearray()
    async for chunk in chunks:
        body += chunk if body else chunk.lstrip()  # some services send spaces while the model is busy
        if body.startswith(BYTE_ORDER_MARK):
            body = body.removeprefix(BYTE_ORDER_MARK).lstrip()
        if body.startswith(STREAM_PREFIXES):
            yield bytes(body)
            async for following in chunks:
                yield following
            return
        if len(body) > MAX_EVENT_BYTES:
            break
    yield _completion_event(bytes(body))


def _completion_event(body: bytes) -> bytes:
    _check_completion(body)
    return b"data: " + body.replace(b"\n", b" ") + b"\n\ndata: [DONE]\n\n"


def _check_completion(body: bytes) -> None:
    """Raise `ModelError` if the body of a response with status 200 is no answer."""
    values, _is_complete = decode_values(body)
    if not values:
        message = "The model service sent a page instead of an answer"
        raise ModelError(message, ModelFailure.UNAVAILABLE, status=200)
    if not any(isinstance(value, dict) and "choices" in value for value in values):
        raise errors.from_payload(values[0])
