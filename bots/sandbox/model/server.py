"""The server: models, chat completions, embeddings and usage over HTTP, with keys, quotas and faults."""

import contextlib
from array import array
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from aiohttp import web
from pydantic import BaseModel

from bots.sandbox.model.accounts import Account, Endpoint, UsageKey, UsageLedger
from bots.sandbox.model.answer_shapes import AnswerShape, shaped_response
from bots.sandbox.model.context_overflow import OVERFLOW_RESPONSES
from bots.sandbox.model.embeddings import DIMENSIONS, embed_text, encode_embedding
from bots.sandbox.model.faults import CannedResponse, Fault, ReasoningFormat, StreamAction
from bots.sandbox.model.images import SeenImage, see_images
from bots.sandbox.model.model_list import ModelListFormat, model_list
from bots.sandbox.model.script import ScriptedAnswer, scripted_answer
from bots.sandbox.model.speech import Transcription, hear
from bots.sandbox.model.streaming import (
    CHUNK_INTERVAL,
    Completion,
    CompletionStream,
    break_connection,
    cloudflare_headers,
    usage_json,
)
from bots.sandbox.model.strictness import Strictness
from bots.sandbox.model.tokeniser import Tokeniser
from bots.sandbox.model.validation import ApiError, ChatRequest, EmbeddingsRequest, parse_body
from bots.sandbox.stand_in import StandIn
from core.api.catalogue import Model
from core.api.model_data import BUILTIN_MODELS
from core.clock import Clock, SystemClock

MAX_RECORDS = 10_000
MAX_REQUEST_BYTES = 32 * 1024 * 1024
MAX_INPUTS = 2048
"""Texts in one request for embeddings."""
TOO_LARGE_PAGE = """<html><head><title>413 Request Entity Too Large</title></head>
<body><center><h1>413 Request Entity Too Large</h1></center></body></html>"""


@dataclass(slots=True)
class RecordedRequest:
    """A request and its outcome."""

    body: dict[str, Any]
    """Of a transcription: the model, and the recording's name and size."""
    endpoint: Endpoint = Endpoint.CHAT
    status: int = 200
    is_completed: bool = False
    disconnected_at: float | None = None
    """By the stand-in's clock."""
    token_usage: tuple[int, int] = (0, 0)
    """Tokens of the prompt, and of the completion so far."""
    api_key: str = ""
    received_at: float = 0.0
    """By the stand-in's clock."""
    piece_times: "array[float]" = field(default_factory=lambda: array("d"))
    """When each piece of a stream was sent, by the stand-in's clock."""


@dataclass(frozen=True, slots=True)
class RejectedRequest:
    status: int
    detail: object
    body: dict[str, Any]
    api_key: str
    endpoint: Endpoint = Endpoint.CHAT


@dataclass(slots=True)
class _PlannedFault:
    fault: Fault
    remaining: int | None
    model: str | None
    endpoint: Endpoint | None


@dataclass(slots=True)
class _EndpointRequest:
    """A request with a valid key and a valid body."""

    http_request: web.Request
    account: Account
    endpoint: Endpoint
    body: dict[str, Any]
    fault: Fault | None

    @property
    def model(self) -> str:
        return str(self.body["model"])


class ModelObserver(Protocol):
    """Sees every request. Its methods must not fail or wait."""

    def observe_request(self, request: RecordedRequest) -> None:
        """A request has come. `is_completed` or `disconnected_at` say later that it has ended."""

    def observe_text(self, request: RecordedRequest, text: str) -> None:
        """The next piece of an answer, reasoning included; of other responses all of it, in words or as it is."""

    def observe_rejection(self, rejection: RejectedRequest) -> None: ...


class ModelStandIn(StandIn):
    """`quotas` are the daily tokens of the first account, by model. `answer` may be replaced.
    `clock` paces the answers and decides when a UTC day ends.
    """

    def __init__(
        self,
        *,
        api_key: str = "sandbox-key",
        tokens_per_second: float = 40.0,
        quotas: Mapping[str, int] | None = None,
        answer: Callable[[dict[str, Any]], str | ScriptedAnswer] = scripted_answer,
        clock: Clock = SystemClock(),
    ) -> None:
        super().__init__(clock)
        self.api_key = api_key
        self.accounts: dict[str, Account] = {}
        self.quotas = self.add_account(api_key, quotas=quotas).quotas
        self.tokens_per_second = tokens_per_second
        self.chunk_interval = CHUNK_INTERVAL
        """Seconds between the chunks of a stream."""
        self.answer = answer
        self.models: dict[str, Model] = dict(BUILTIN_MODELS)
        self.paid_models: set[str] = set()
        self.optional_reasoning_models: set[str] = set()
        """Reasoning models that accept the effort "none"; the others refuse it."""
        self.strictness = Strictness()
        self.list_format = ModelListFormat.RECORDED
        self.overflow_response = OVERFLOW_RESPONSES["vllm"]
        self.quota_message = "Daily token quota of {model} exceeded"
        self.quota_headers: dict[str, str] = {}
        self.answer_shape = AnswerShape.STREAM
        self.reasoning_format = ReasoningFormat.REASONING_CONTENT_FIELD
        """Of answers without a fault."""
        self.usage = UsageLedger(clock)
        self.requests: deque[RecordedRequest] = deque(maxlen=MAX_RECORDS)
        """For completions."""
        self.observers: list[ModelObserver] = []
        self.transcriptions: deque[Transcription] = deque(maxlen=MAX_RECORDS)
        self.rejected_requests: deque[RejectedRequest] = deque(maxlen=MAX_RECORDS)
        self.fault_hook: Callable[[dict[str, Any]], Fault | None] | None = None
        """Called with the body of each request that matches no planned fault."""
        self.base_url = ""
        self.planned_faults: list[_PlannedFault] = []

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        app = web.Application(client_max_size=MAX_REQUEST_BYTES)
        app.router.add_get("/api/v1/models", self._list_models)
        app.router.add_post(
            "/api/v1/chat/completions", self._endpoint_handler(Endpoint.CHAT, ChatRequest, self._chat_completion)
        )
        app.router.add_post(
            "/api/v1/embeddings", self._endpoint_handler(Endpoint.EMBEDDINGS, EmbeddingsRequest, self._embeddings)
        )
        app.router.add_post("/api/v1/audio/transcriptions", self._transcribe)
        self.base_url = f"http://{await self._serve(app, host, port)}/api/v1/"

    def environment(self) -> dict[str, str]:
        """The settings that connect a bot to this server."""
        return {"IOINTELLIGENCE_API_KEY": self.api_key, "IOINTELLIGENCE_BASE_URL": self.base_url}

    # -- for tests and the operator of the sandbox

    def add_account(self, api_key: str, *, quotas: Mapping[str, int] | None = None, is_paid: bool = False) -> Account:
        account = Account(api_key, dict(quotas or {}), is_paid)
        self.accounts[api_key] = account
        return account

    def add_model(self, model: Model) -> None:
        self.models[model.id] = model

    def fail_next(
        self, fault: Fault, *, times: int | None = 1, model: str | None = None, endpoint: Endpoint | None = None
    ) -> None:
        """Fail the next `times` requests (None: all) for `model` and `endpoint` (None: any).

        Faults apply in the order in which they were planned. Keys and bodies are checked before
        the fault, models and quotas after it.
        """
        self.planned_faults.append(_PlannedFault(fault, times, model, endpoint))

    def _next_fault(self, endpoint: Endpoint, body: dict[str, Any]) -> Fault | None:
        for planned in self.planned_faults:
            if planned.model in (None, body["model"]) and planned.endpoint in (None, endpoint):
                if planned.remaining is not None:
                    planned.remaining -= 1
                    if not planned.remaining:
                        self.planned_faults.remove(planned)
                return planned.fault
        return self.fault_hook(body) if self.fault_hook is not None else None

    # -- requests

    def _endpoint_handler(
        self,
        endpoint: Endpoint,
        request_type: type[BaseModel],
        handle: Callable[[_EndpointRequest], Awaitable[web.StreamResponse]],
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle_request(request: web.Request) -> web.StreamResponse:
            body: dict[str, Any] = {}
            try:
                account = self._authenticate(request)
                body = parse_body(await request.read(), request_type)
                fault = self._next_fault(endpoint, body)
                endpoint_request = _EndpointRequest(request, account, endpoint, body, fault)
                if fault is not None and fault.response is not None:
                    return self._send_canned_response(endpoint_request, fault.response)
                return await handle(endpoint_request)
            except web.HTTPRequestEntityTooLarge:
                return web.Response(status=413, text=TOO_LARGE_PAGE, content_type="text/html")
            except ApiError as error:
                return self._reject(request, endpoint, body, error)

        return handle_request

    def _authenticate(self, request: web.Request) -> Account:
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        account = self.accounts.get(bearer or request.headers.get("x-api-key", ""))
        if account is None:
            raise ApiError(401, "Invalid API Key")
        return account

    def _reject(self, request: web.Request, endpoint: Endpoint, body: dict[str, Any], error: ApiError) -> web.Response:
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        rejection = RejectedRequest(error.status, error.detail, body, key, endpoint)
        self.rejected_requests.append(rejection)
        for observer in self.observers:
            observer.observe_rejection(rejection)
        self.notify_waiters()
        detail = error.detail
        if isinstance(detail, str) and detail.startswith("<"):
            return web.Response(status=error.status, text=detail, content_type="text/html")
        body = detail if isinstance(detail, dict) else {"detail": detail}
        return web.json_response(body, status=error.status, headers={**cloudflare_headers(), **error.headers})

    async def _list_models(self, _request: web.Request) -> web.Response:
        models = [model for model in self.models.values() if not model.is_embedding_model]
        return web.json_response(model_list(models, self.list_format), headers=cloudflare_headers())

    def _usable_model(self, request: _EndpointRequest) -> Model:
        """The requested model, if this account may use it now."""
        for_embeddings = request.endpoint is Endpoint.EMBEDDINGS
        model = self.models.get(request.model)
        if model is None or model.is_embedding_model != for_embeddings:
            names = [m.id for m in self.models.values() if m.is_embedding_model == for_embeddings]
            api = "Embeddings" if for_embeddings else "Chat Completions"
            raise ApiError(400, f"The requested model is not available for {api} API. Available models: {names!r}")
        if model.id in self.paid_models and not request.account.is_paid:
            raise ApiError(402, "This model is not included in your current plan")
        quota = request.account.quotas.get(model.id)
        used = self.usage.tokens_used(api_key=request.account.api_key, model=model.id, endpoint=request.endpoint)
        if quota is not None and used >= quota:
            raise ApiError(429, self.quota_message.format(model=model.id), self.quota_headers)
        return model

    async def _chat_completion(self, request: _EndpointRequest) -> web.StreamResponse:
        model = self._usable_model(request)
        self.strictness.check(request.body)
        completion, script = self._create_completion(request, model)
        if script.status != 200:
            self._record(request, is_rejected=True, status=script.status, disconnected_at=self.clock.monotonic())
            raise ApiError(script.status, f"Scripted error {script.status}")
        record = self._record(request, token_usage=(completion.prompt_tokens, 0))
        try:
            return await self._send_completion(request, record, completion, script)
        finally:
            self.usage.add(UsageKey(request.account.api_key, model.id, Endpoint.CHAT), sum(record.token_usage))
            if not record.is_completed and record.disconnected_at is None:
                record.disconnected_at = self.clock.monotonic()
            self.notify_waiters()

    def _record(
        self, request: _EndpointRequest, response: str = "", *, is_rejected: bool = False, **outcome: Any
    ) -> RecordedRequest:
        """`response`: what is sent at once. `is_rejected`: observers see the rejection."""
        record = RecordedRequest(
            request.body,
            request.endpoint,
            api_key=request.account.api_key,
            received_at=self.clock.monotonic(),
            **outcome,
        )
        if request.endpoint is Endpoint.CHAT:
            self.requests.append(record)
        for observer in () if is_rejected else self.observers:
            observer.observe_request(record)
            observer.observe_text(record, response)
        self.notify_waiters()
        return record

    def _send_canned_response(self, request: _EndpointRequest, response: CannedResponse) -> web.Response:
        """Answer with another response, which uses no tokens."""
        text = response.body.decode(errors="replace")
        self._record(request, text, is_completed=True, status=response.status)
        return _to_web_response(response)

    def _create_completion(self, request: _EndpointRequest, model: Model) -> tuple[Completion, ScriptedAnswer]:
        """The answer to a request, and its script. Raises `ApiError` when there is no room for an answer."""
        body = request.body
        tokeniser = Tokeniser(model.id)
        images = see_images(body["messages"], model)
        prompt_tokens = tokeniser.count_prompt(body["messages"]) + sum(image.tokens for image in images)
        requested_tokens = body.get("max_completion_tokens") or body.get("max_tokens")
        if requested_tokens is not None and requested_tokens < 1:
            raise ApiError(400, f"max_tokens must be at least 1, got {requested_tokens}")
        if prompt_tokens + (requested_tokens or 1) > model.context_window:
            if self.overflow_response.truncates_silently:
                # The prompt is cut to the window, which leaves one token for the answer.
                return Completion(model.id, tokeniser, model.context_window - 1, (), (), "length"), ScriptedAnswer("")
            detail = self.overflow_response.body(model.context_window, prompt_tokens, requested_tokens or 0)
            raise ApiError(self.overflow_response.status, detail)
        script = self.answer(body)
        script = ScriptedAnswer(script) if isinstance(script, str) else script
        script = replace(script, text=_describe(images) + script.text)
        reasoning = self._reasoning(body, model, script)
        max_tokens = requested_tokens or model.context_window - prompt_tokens
        completion = Completion.create(model.id, tokeniser, prompt_tokens, max_tokens, reasoning, script.text)
        if request.fault is not None and request.fault.only_reasoning:
            pieces = completion.reasoning_pieces[: len(completion.reasoning_pieces) // 2]
            completion = replace(completion, reasoning_pieces=pieces, text_pieces=(), finish_reason="length")
        return completion, script

    def _reasoning(self, body: dict[str, Any], model: Model, script: ScriptedAnswer) -> str:
        reasoning = body.get("reasoning")
        effort = reasoning.get("effort") if isinstance(reasoning, dict) else None
        effort = effort or body.get("reasoning_effort")
        if effort != "none":
            return script.reasoning
        if model.has_reasoning and model.id not in self.optional_reasoning_models:
            raise ApiError(400, f"Reasoning cannot be disabled for model {model.id}")
        return ""

    async def _send_completion(
        self, request: _EndpointRequest, record: RecordedRequest, completion: Completion, script: ScriptedAnswer
    ) -> web.StreamResponse:
        def record_progress(sent_pieces: int) -> None:
            record.token_usage = completion.token_usage(sent_pieces)
            new_pieces = sent_pieces - len(record.piece_times)
            for observer in self.observers:
                observer.observe_text(record, completion.text(sent_pieces - new_pieces, sent_pieces))
            record.piece_times.extend([self.clock.monotonic()] * new_pieces)

        fault = request.fault or Fault(
            after_pieces=completion.piece_count // 2,
            hold_until=script.hold_until,
            action=script.action,
            reasoning_format=self.reasoning_format,
        )
        if not request.body.get("stream"):
            return await self._send_unstreamed(request, record, completion, fault)
        if self.answer_shape is not AnswerShape.STREAM:
            self._complete(record, completion)
            return _to_web_response(shaped_response(self.answer_shape, completion))
        speed = self.tokens_per_second * script.relative_speed
        stream = CompletionStream(
            request.http_request, completion, fault, speed, record_progress, self.clock, self.chunk_interval
        )
        with contextlib.suppress(ConnectionError):  # the client has left; the caller records it
            record.is_completed = await stream.run()
            if fault.action not in (StreamAction.RESET, StreamAction.CLOSE):
                await stream.response.write_eof()
        return stream.response

    async def _send_unstreamed(
        self, request: _EndpointRequest, record: RecordedRequest, completion: Completion, fault: Fault
    ) -> web.StreamResponse:
        if fault.action is StreamAction.STALL:
            await self.clock.sleep(fault.seconds)
        if fault.action in (StreamAction.RESET, StreamAction.CLOSE):
            break_connection(request.http_request, fault.action)
        self._complete(record, completion)
        return web.json_response(completion.response_body(fault), headers=cloudflare_headers())

    def _complete(self, record: RecordedRequest, completion: Completion) -> None:
        """Record that the whole answer is sent at once."""
        for observer in self.observers:
            observer.observe_text(record, completion.text(0, completion.piece_count))
        record.token_usage = completion.token_usage(completion.piece_count)
        record.is_completed = True

    async def _transcribe(self, request: web.Request) -> web.StreamResponse:
        """OpenAI's API for transcriptions, with a form instead of JSON."""
        body: dict[str, Any] = {}
        try:
            account = self._authenticate(request)
            form = await request.post()
            body = {"model": str(form.get("model", ""))}
            fault = self._next_fault(Endpoint.SPEECH, body)
            speech_request = _EndpointRequest(request, account, Endpoint.SPEECH, body, fault)
            if fault is not None and fault.response is not None:
                return self._send_canned_response(speech_request, fault.response)
            model, file = self.models.get(body["model"]), form.get("file")
            if model is None or not model.is_speech_model:
                raise ApiError(404, f"The model `{body['model']}` does not exist.")
            if not isinstance(file, web.FileField):
                raise ApiError(422, [{"type": "missing", "loc": ["body", "file"], "msg": "Field required"}])
            with file.file:
                content = file.file.read()
            self.transcriptions.append(Transcription(model.id, file.filename, content, account.api_key))
            self.notify_waiters()
            if "." not in file.filename:
                raise ApiError(400, "Unrecognized file format.")
            body |= {"file": file.filename, "bytes": len(content)}
            text = hear(content)
            self._record(speech_request, text, is_completed=True)
            return web.json_response({"text": text}, headers=cloudflare_headers())
        except ApiError as error:
            return self._reject(request, Endpoint.SPEECH, body, error)

    async def _embeddings(self, request: _EndpointRequest) -> web.StreamResponse:
        model = self._usable_model(request)
        inputs = request.body["input"]
        texts = [inputs] if isinstance(inputs, str) else inputs
        if len(texts) > MAX_INPUTS:
            text = f"List should have at most {MAX_INPUTS} items after validation"
            raise ApiError(422, [{"type": "too_long", "loc": ["body", "input"], "msg": text, "input": None}])
        tokeniser = Tokeniser(model.id)
        counts = [tokeniser.count_text(text) for text in texts]
        if max(counts) > model.context_window:
            raise ApiError(
                self.overflow_response.status, self.overflow_response.body(model.context_window, max(counts), 0)
            )
        self.usage.add(UsageKey(request.account.api_key, model.id, Endpoint.EMBEDDINGS), sum(counts))
        text = f"Vectors of {DIMENSIONS} numbers: {len(texts)}"
        self._record(request, text, is_completed=True, token_usage=(sum(counts), 0))
        encoding = str(request.body.get("encoding_format") or "float")
        data = [
            {"object": "embedding", "index": index, "embedding": encode_embedding(embed_text(text), encoding)}
            for index, text in enumerate(texts)
        ]
        body = {"object": "list", "data": data, "model": model.id, "usage": usage_json(sum(counts), 0)}
        return web.json_response(body, headers=cloudflare_headers())


def _describe(images: Sequence[SeenImage]) -> str:
    """What the scripted model says of the pictures in a request."""
    noun = "picture" if len(images) == 1 else "pictures"
    return f"I see {len(images)} {noun}: {', '.join(map(str, images))}.\n\n" if images else ""


def _to_web_response(response: CannedResponse) -> web.Response:
    headers = {**cloudflare_headers(), "Content-Type": response.content_type, **response.headers}
    return web.Response(status=response.status, body=response.body, headers=headers)
