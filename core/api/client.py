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

from core.api import classification, embedding
from core.api.body import body_of, json_of
from core.api.catalogue import Model, parse
from core.api.embedding import Embedded
from core.api.events import (
    Event,
    Finished,
    FinishReason,
    Reasoning,
    Reconsidered,
    Text,
    Usage,
    counted,
)
from core.api.sse import Events
from core.api.table import EMBEDDING
from core.api.think import Thoughts
from core.errors import Failure, ModelError

__all__ = ["Message", "ModelApi", "Patience", "Request"]

TRIES = 3
NO_MODEL = "no/model"
LONGEST_RETRY = 20.0  # seconds; who asks for more is told about
MOST_TEXT = 4_000_000  # characters of one answer with its reasoning
EMBEDDING_TIME = 60.0  # seconds
END_IN = 0.1  # seconds after [DONE]
ERROR_BODY = 65_536  # bytes read of an answer that is no stream
MOST_BODY = 32 * 1024 * 1024  # bytes of a list of models, or of vectors

SMALLEST_WINDOW = 512  # tokens; who counts fewer does not count the prompt
RETRIED = (Failure.UNAVAILABLE, Failure.RATE)


@dataclass(frozen=True, slots=True)
class Message:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Request:
    model: str
    messages: tuple[Message, ...]
    temperature: float | None = None
    max_tokens: int | None = None
    reasoning_effort: str | None = None
    reasons: bool = False
    """The model is known to think before it answers."""

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": m.role, "content": m.content} for m in self.messages],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self.temperature is not None:
            body["temperature"] = self.temperature
        if self.max_tokens is not None:
            body["max_completion_tokens"] = self.max_tokens
        if self.reasoning_effort is not None:
            body["reasoning_effort"] = self.reasoning_effort
        return body


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds."""

    connect: float = 10
    first_token: float = 120
    between_tokens: float = 60
    total: float = 900


class ModelApi:
    """One for each process and key."""

    def __init__(self, base_url: str, api_key: str, *, patience: Patience = Patience()) -> None:
        self._patience = patience
        limits = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)
        self._openai = AsyncOpenAI(
            base_url=base_url,
            api_key=api_key,
            max_retries=0,
            timeout=httpx2.Timeout(
                max(patience.first_token, patience.between_tokens), connect=patience.connect
            ),
            # Compressed bytes tell nothing of how many they will be.
            default_headers={"Accept-Encoding": "identity"},
            http_client=openai.DefaultAsyncHttpx2Client(
                limits=limits, event_hooks={"response": [_bound_error]}
            ),
        )

    async def close(self) -> None:
        await self._openai.close()

    def with_key(self, api_key: str) -> "ModelApi":
        """The same service with another key, over the same connections."""
        other = copy.copy(self)
        other._openai = self._openai.with_options(api_key=api_key)  # noqa: SLF001 (its own class)
        return other

    async def check(self, model: str) -> None:
        """Ask `model` for one token. Raises `ModelError`: by its failure the key is known."""
        request = Request(model, (Message("user", "Hi"),), max_tokens=1)
        try:
            async with aclosing(self.stream(request)) as events:
                async for _ in events:
                    return
        except ModelError as error:
            if error.failure is not Failure.EMPTY:
                raise

    async def takes_key(self) -> bool:
        """Whether the service accepts the key. It lists its models without one, so it is asked
        for a model that it has not: keys are looked at first, and that costs nothing.
        """
        try:
            await self.check(NO_MODEL)
        except ModelError as error:
            return error.failure is not Failure.AUTHENTICATION
        return True

    async def models(self) -> tuple[Model, ...]:
        """The models the service offers. Raises `ModelError`."""
        try:
            async with asyncio.timeout(30):
                async with self._openai.models.with_streaming_response.list() as answer:
                    return parse(json_of(await body_of(answer, MOST_BODY)))
        except (openai.OpenAIError, httpx2.HTTPError, msgspec.DecodeError) as error:
            raise classification.from_exception(error) from error
        except TimeoutError as error:
            raise ModelError("The list of models did not come", Failure.STALLED) from error

    async def embed(self, texts: Sequence[str], model: str = EMBEDDING) -> Embedded:
        """Texts as vectors; `embedding.MOST_TEXTS` of them at most. Raises `ModelError`.

        What passes soon is tried again, twice at most.
        """
        if not 0 < len(texts) <= embedding.MOST_TEXTS:
            raise ValueError(f"{len(texts)} texts at once")
        for last in (False,) * (TRIES - 1) + (True,):
            try:
                async with asyncio.timeout(EMBEDDING_TIME):
                    return await embedding.request(self._openai, model, texts, MOST_BODY)
            except TimeoutError as error:
                raise ModelError("The vectors did not come", Failure.STALLED) from error
            except (openai.OpenAIError, httpx2.HTTPError, ModelError) as error:
                known = classification.from_exception(error)
                wait = known.retry_after or random.uniform(0.3, 1.0)  # noqa: S311 (jitter)
                if last or known.failure not in RETRIED or wait > LONGEST_RETRY:
                    raise known from error
            await asyncio.sleep(wait)
        raise AssertionError("the last try returns or raises")

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """Ask a model. Raises `ModelError`, also in the middle; `Usage` before it still counts.

        Closing the iterator, or cancelling who reads it, closes the connection at once. What
        failed before anything came is tried again, twice at most.
        """
        for last in (False,) * (TRIES - 1) + (True,):
            begun = False
            try:
                async with aclosing(self._once(request)) as events:
                    async for event in events:
                        begun = True
                        yield event
                return
            except ModelError as error:
                wait = error.retry_after or random.uniform(0.3, 1.0)  # noqa: S311 (jitter)
                if last or begun or error.failure not in RETRIED or wait > LONGEST_RETRY:
                    raise
            await asyncio.sleep(wait)

    async def _once(self, request: Request) -> AsyncGenerator[Event, None]:
        patience = self._patience
        loop = asyncio.get_running_loop()
        ends = loop.time() + patience.total
        deadline = min(ends, loop.time() + patience.first_token)
        reading = _Reading(reasons=request.reasons)
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout_at(deadline):
                    answer = await stack.enter_async_context(
                        self._openai.chat.completions.with_streaming_response.create(
                            **request.body()
                        )
                    )
                    await _check_type(answer)
                pieces = await stack.enter_async_context(aclosing(answer.iter_bytes()))
                while not reading.done:
                    async with asyncio.timeout_at(deadline):
                        piece = await anext(pieces, None)
                    if piece is None:
                        break
                    for event in reading.feed(piece):
                        yield event
                    if reading.progressed():
                        # Only content counts: comments that keep the line warm do not.
                        deadline = min(ends, loop.time() + patience.between_tokens)
                for event in reading.end():
                    yield event
                if reading.done:
                    await _drain(pieces)
        except TimeoutError as error:
            raise ModelError("The model did not go on in time", Failure.STALLED) from error
        except (openai.OpenAIError, httpx2.HTTPError) as error:
            raise _broken(error, reading) from error


async def _bound_error(answer: httpx2.Response) -> None:
    """Of what is no success, however long it is, the beginning says why."""
    if answer.status_code >= 400:
        answer.headers.pop("content-encoding", None)
        answer.stream = _Beginning(answer.stream)


class _Beginning(httpx2.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = ERROR_BODY
        async for piece in self._stream:
            yield piece[:left]
            left -= len(piece)
            if left <= 0:
                return

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    """Read on to the end of what is complete, if it comes at once: only then can the connection
    be used again.
    """
    with suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(END_IN):
            async for _ in pieces:
                pass


async def _check_type(answer: Any) -> None:
    """A stream is a stream; JSON or a page with status 200 is an error."""
    if "text/event-stream" in answer.headers.get("content-type", ""):
        return
    body = bytearray()
    async with aclosing(answer.iter_bytes()) as pieces:
        async for piece in pieces:
            body += piece
            if len(body) > ERROR_BODY:
                break
    try:
        payload = json_of(bytes(body))
    except msgspec.DecodeError:
        raise ModelError("A page came instead of an answer", Failure.UNAVAILABLE) from None
    raise classification.from_payload(payload if isinstance(payload, dict) else {})


def _broken(error: Exception, reading: "_Reading") -> ModelError:
    known = classification.from_exception(error)
    if reading.text or reading.thought:
        return ModelError("The connection broke off in mid-answer", Failure.TRUNCATED)
    return known


def _filled(usage: Usage) -> ModelError:
    """Some services cut a prompt that is too long and say nothing: no room is left to answer."""
    limit = usage.total if usage.total >= SMALLEST_WINDOW else None
    return ModelError(
        "The prompt fills the model's window", Failure.OVERFLOW,
        limit=limit, prompt_tokens=usage.prompt,
    )  # fmt: skip


class _Reading:
    """Turns the bytes of one stream into events."""

    def __init__(self, *, reasons: bool) -> None:
        self.done = False
        self.text = 0
        self.thought = 0
        self._seen = 0
        self._events = Events()
        self._thoughts = Thoughts(reasons)
        self._finish: FinishReason | None = None
        self._usage: Usage | None = None
        self._any = False

    def progressed(self) -> bool:
        """Whether content came since the last call."""
        now = self.text + self.thought
        before, self._seen = self._seen, now
        return now != before

    def feed(self, piece: bytes) -> Iterator[Event]:
        for name, data in self._events.feed(piece):
            yield from self._one(name, data)

    def _one(self, name: bytes, data: bytes) -> list[Event]:
        data = data.strip()
        if self.done or not data:
            return []
        self._any = True
        if data == b"[DONE]":
            self.done = True
            return []
        try:
            chunk = json_of(data)
        except msgspec.DecodeError:
            if name == b"error":
                raise classification.from_payload(data.decode(errors="replace")) from None
            raise ModelError("The stream cannot be understood", Failure.MALFORMED) from None
        if not isinstance(chunk, dict):
            if name == b"error":
                raise classification.from_payload(chunk)
            return []
        if name == b"error" or chunk.get("object") == "error" or chunk.get("error"):
            raise classification.from_payload(chunk)
        if "detail" in chunk and "choices" not in chunk:
            raise classification.from_payload(chunk)
        try:
            return [*self._usage_of(chunk), *self._content_of(chunk)]
        except (AttributeError, TypeError):
            raise ModelError("The stream cannot be understood", Failure.MALFORMED) from None

    def _usage_of(self, chunk: dict[str, Any]) -> list[Event]:
        told = chunk.get("usage")
        if not isinstance(told, dict) or (prompt := counted(told.get("prompt_tokens"))) is None:
            return []
        completion = counted(told.get("completion_tokens")) or 0
        usage = Usage(prompt, completion, prompt + completion)
        if usage == self._usage:
            return []
        self._usage = usage
        return [usage]

    def _content_of(self, chunk: dict[str, Any]) -> list[Event]:
        out: list[Event] = []
        for choice in chunk.get("choices") or ():
            if not isinstance(choice, dict) or choice.get("index") not in (0, None):
                continue
            delta = choice.get("delta") or {}
            thought = delta.get("reasoning_content") or delta.get("reasoning")
            if isinstance(thought, str):
                out.append(Reasoning(thought))
            text = delta.get("content")
            if isinstance(text, str) and text:
                out += self._thoughts.feed(text)
            if reason := choice.get("finish_reason"):
                known = FinishReason.__members__.values()
                self._finish = FinishReason(reason) if reason in known else FinishReason.OTHER
        self._count(out)
        return out

    def _count(self, events: Sequence[Event]) -> None:
        for event in events:
            match event:
                case Text(text):
                    self.text += len(text)
                case Reasoning(text):
                    self.thought += len(text)
                case Reconsidered():
                    self.thought, self.text = self.thought + self.text, 0
        if self.text + self.thought > MOST_TEXT:
            raise ModelError("The answer does not end", Failure.MALFORMED)

    def end(self) -> Iterator[Event]:
        """The end of the bytes: a good one, or a `ModelError` after what was still held."""
        for name, data in self._events.end():
            yield from self._one(name, data)
        rest = self._thoughts.end()
        self._count(rest)
        yield from rest
        if not self._any:
            raise ModelError("The model service sent nothing", Failure.UNAVAILABLE)
        if self._finish is None and not self.done:
            raise ModelError("The answer broke off", Failure.TRUNCATED)
        if self._finish is FinishReason.FILTERED and not self.text:
            raise ModelError("The answer was withheld", Failure.FILTERED)
        if not self.text:
            if self._finish is FinishReason.LENGTH and self._usage and not self._usage.completion:
                raise _filled(self._usage)
            said = "The model thought and gave no answer" if self.thought else "No answer came"
            raise ModelError(said, Failure.EMPTY)
        yield Finished(self._finish or FinishReason.STOP)
