"""An HTTP server that speaks as IO Intelligence does: shapes, errors, streaming, quotas."""

import asyncio
import base64
import contextlib
import hashlib
import math
import re
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from bots.sandbox.model.script import Script, answer
from core.api.catalogue import Model, builtin

__all__ = ["ModelStandIn", "Recorded"]

T = TypeVar("T")

TICK = 0.05  # seconds between chunks: several tokens a chunk, as the service does
TOKEN = re.compile(r"\w{1,5}|\s+|[^\w\s]")
RECORDS = 10_000
DIMENSIONS = 1024


@dataclass(slots=True)
class Recorded:
    """A request for a completion and what became of it. Times are monotonic seconds."""

    body: dict[str, Any]
    at: float
    completed: bool = False
    disconnected_at: float | None = None
    usage: tuple[int, int] = field(default=(0, 0))


class Refusal(Exception):  # noqa: N818 (an answer, not an error)
    def __init__(self, status: int, detail: object) -> None:
        super().__init__(status)
        self.status = status
        self.detail = detail


class ModelStandIn:
    """`quotas` are daily tokens by model (none unless given); `answer` may be replaced."""

    def __init__(
        self,
        *,
        api_key: str = "sandbox-key",
        tokens_per_second: float = 40.0,
        quotas: dict[str, int] | None = None,
        answer: Callable[[dict[str, Any]], str | Script] = answer,
    ) -> None:
        self.api_key = api_key
        self.tokens_per_second = tokens_per_second
        self.quotas = quotas or {}
        self.answer = answer
        self.models: dict[str, Model] = builtin()
        self.used: dict[str, int] = defaultdict(int)
        self.requests: deque[Recorded] = deque(maxlen=RECORDS)
        self.base_url = ""
        self._runner: web.AppRunner | None = None
        self._changed = asyncio.Condition()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        app = web.Application(client_max_size=32 * 1024 * 1024)
        app.router.add_get("/api/v1/models", self._models)
        app.router.add_get("/api/v1/embedding-models", self._models)
        app.router.add_post("/api/v1/chat/completions", self._guarded(self._chat))
        app.router.add_post("/api/v1/embeddings", self._guarded(self._embed))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        self.base_url = f"{site.name}/api/v1/"
        real_port = self._runner.addresses[0][1]
        self.base_url = f"http://{host}:{real_port}/api/v1/"

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def wait(self, condition: Callable[[], T], timeout: float = 10) -> T:
        """What `condition` returns, once it is true; looked at whenever something changed."""
        async with asyncio.timeout(timeout), self._changed:
            return await self._changed.wait_for(condition)

    async def _note(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _guarded(
        self, handle: Callable[[web.Request, dict[str, Any]], Any]
    ) -> Callable[[web.Request], Any]:
        async def guard(request: web.Request) -> web.StreamResponse:
            try:
                if request.headers.get("Authorization") != f"Bearer {self.api_key}":
                    raise Refusal(401, "Invalid API Key")
                return await handle(request, _body(await request.read()))  # type: ignore[no-any-return]
            except Refusal as refusal:
                headers = {"x-request-id": uuid.uuid4().hex}
                return web.json_response(
                    {"detail": refusal.detail}, status=refusal.status, headers=headers
                )

        return guard

    async def _models(self, request: web.Request) -> web.Response:
        embeds = request.path.endswith("embedding-models")
        data = [
            {
                "id": model.id,
                "name": model.id,
                "object": "model",
                "created": 1757900000,
                "owned_by": "io-intelligence",
                "root": model.id,
                "parent": None,
                "max_model_len": None,
                "context_window": model.context,
                "supports_reasoning": model.reasons,
                "input_modalities": ["text"],
                "permission": [],
            }
            for model in self.models.values()
            if model.embeds == embeds
        ]
        return web.json_response({"object": "list", "data": data})

    def _model(self, body: dict[str, Any], *, embeds: bool) -> Model:
        model = self.models.get(body["model"])
        if model is None or model.embeds != embeds:
            names = [m.id for m in self.models.values() if m.embeds == embeds]
            kind = "Embeddings" if embeds else "Chat Completions"
            raise Refusal(
                400,
                f"The requested model is not available for {kind} API. Available models: {names!r}",
            )
        if self.used[model.id] >= self.quotas.get(model.id, math.inf):
            raise Refusal(429, f"Daily token quota of {model.id} exceeded")
        return model

    async def _chat(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        model = self._model(body, embeds=False)
        prompt = sum(len(TOKEN.findall(str(m["content"]))) + 4 for m in body["messages"]) + 50
        asked = body.get("max_completion_tokens") or body.get("max_tokens")
        if prompt + (asked or 1) > model.context:
            raise Refusal(400, _overflow(model.context, prompt, asked or 0))
        script = self.answer(body)
        if isinstance(script, str):
            script = Script(script)
        record = Recorded(body, time.monotonic(), usage=(prompt, 0))
        self.requests.append(record)
        await self._note()
        if script.status != 200:
            raise Refusal(script.status, f"Scripted error {script.status}")
        thought, text = TOKEN.findall(script.reasoning), TOKEN.findall(script.text)
        finish = "stop"
        most = asked or model.context - prompt
        if len(thought) + len(text) > most:
            thought, text = thought[:most], text[: max(0, most - len(thought))]
            finish = "length"
        stream = _Stream(self, request, record, model.id, script)
        try:
            if body.get("stream"):
                with contextlib.suppress(ConnectionError):  # the client left: noted below
                    await stream.run(thought, text, finish)
                return stream.response
            record.usage = (prompt, len(thought) + len(text))
            record.completed = True
            return web.json_response(_whole(model.id, record.usage, thought, text, finish))
        finally:
            self.used[model.id] += sum(record.usage)
            if not record.completed and record.disconnected_at is None:
                record.disconnected_at = time.monotonic()
            await asyncio.shield(self._note())

    async def _embed(self, _request: web.Request, body: dict[str, Any]) -> web.Response:
        model = self._model(body, embeds=True)
        given = body.get("input", [])
        texts = [given] if isinstance(given, str) else [str(item) for item in given]
        counts = [len(TOKEN.findall(text)) for text in texts]
        if max(counts, default=0) > model.context:
            raise Refusal(400, _overflow(model.context, max(counts), 0))
        self.used[model.id] += sum(counts)
        data = [
            {"object": "embedding", "index": index, "embedding": _coded(embed(text), body)}
            for index, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": sum(counts), "total_tokens": sum(counts), "completion_tokens": 0}
        return web.json_response(
            {"object": "list", "data": data, "model": model.id, "usage": usage}
        )


def embed(text: str) -> list[float]:
    """A hashed bag of words: near texts are near."""
    vector = [0.0] * DIMENSIONS
    for word in re.findall(r"\w+", text.casefold()):
        at = int.from_bytes(hashlib.blake2b(word[:6].encode(), digest_size=4).digest(), "big")
        vector[at % DIMENSIONS] += 1.0
    norm = math.sqrt(sum(value * value for value in vector)) or 1.0
    return [value / norm for value in vector]


def _coded(vector: list[float], body: dict[str, Any]) -> object:
    if body.get("encoding_format") != "base64":
        return vector
    import array

    return base64.b64encode(array.array("f", vector).tobytes()).decode()


def _body(raw: bytes) -> dict[str, Any]:
    """The request's body, refused as pydantic would."""
    try:
        body = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        raise Refusal(422, [_wrong("json_invalid", "JSON decode error", None)]) from None
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        raise Refusal(422, [_wrong("missing", "Field required", None, "model")])
    temperature = body.get("temperature")
    if temperature is not None and not isinstance(temperature, int | float):
        said = "Input should be a valid number, unable to parse string as a number"
        raise Refusal(422, [_wrong("float_parsing", said, temperature, "temperature")])
    if "messages" in body and not (
        isinstance(body["messages"], list)
        and body["messages"]
        and all(isinstance(m, dict) and {"role", "content"} <= m.keys() for m in body["messages"])
    ):
        raise Refusal(422, [_wrong("list_type", "Input should be a valid list", None, "messages")])
    return body


def _wrong(kind: str, said: str, given: object, *where: str) -> dict[str, object]:
    return {"type": kind, "loc": ["body", *where], "msg": said, "input": given}


def _overflow(context: int, prompt: int, asked: int) -> str:
    return (
        f"This model's maximum context length is {context} tokens. However, you requested {asked} "
        f"output tokens and your prompt contains at least {prompt} input tokens, for a total of "
        f"at least {prompt + asked} tokens. Please reduce the length of the input prompt or the "
        f"number of requested output tokens. (parameter=input_tokens, value={prompt})"
    )


def _usage(prompt: int, completion: int) -> dict[str, object]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def _whole(
    model: str, usage: tuple[int, int], thought: list[str], text: list[str], finish: str
) -> dict[str, object]:
    message = {"role": "assistant", "content": "".join(text), "refusal": None}
    if thought:
        message["reasoning_content"] = "".join(thought)
    return {
        "id": str(uuid.uuid4()),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        "usage": _usage(*usage),
    }


class _Stream:
    """One streamed completion, chunk by chunk in the recorded shape."""

    def __init__(
        self,
        server: ModelStandIn,
        request: web.Request,
        record: Recorded,
        model: str,
        script: Script,
    ) -> None:
        self._record = record
        self._request = request
        self._script = script
        self._speed = server.tokens_per_second * script.speed
        self._prompt = record.usage[0]
        self._frame = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }
        self.response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "x-request-id": uuid.uuid4().hex}
        )

    async def run(self, thought: list[str], text: list[str], finish: str) -> web.StreamResponse:
        await self.response.prepare(self._request)
        await self._send({"role": "assistant", "content": ""}, None)
        tokens = [("reasoning_content", token) for token in thought]
        tokens += [("content", token) for token in (["\n\n"] if thought else []) + text]
        began, sent = time.monotonic(), 0
        stop_at = len(tokens) // 2 if self._script.fault else len(tokens)
        while sent < stop_at:
            due = min(stop_at, int((time.monotonic() - began + TICK) * self._speed) + 1)
            while sent < due:
                kind = tokens[sent][0]
                end = sent
                while end < due and tokens[end][0] == kind:
                    end += 1
                self._record.usage = (self._prompt, end)
                # The recorded service ends with content and reason in one chunk.
                reason = finish if end == len(tokens) else None
                await self._send({kind: "".join(t for _, t in tokens[sent:end])}, reason)
                sent = end
            if sent < stop_at:
                await asyncio.sleep(TICK)
        if self._script.fault == "cut":
            transport = self._request.transport
            if transport is not None:
                transport.close()
            return self.response
        if self._script.fault == "stall":
            await asyncio.sleep(3600)
        if not tokens:
            await self._send({}, finish)
        await self._write({**self._frame, "choices": [], "usage": _usage(*self._record.usage)})
        await self.response.write(b"data: [DONE]\n\n")
        self._record.completed = True
        await self.response.write_eof()
        return self.response

    async def _send(self, delta: dict[str, str], finish: str | None) -> None:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        await self._write(
            {
                **self._frame,
                "choices": [choice],
                "usage": _usage(*self._record.usage),
                "provider": "ai.io.net",
            }
        )

    async def _write(self, payload: dict[str, object]) -> None:
        await self.response.write(b"data: " + msgspec.json.encode(payload) + b"\n\n")
