"""An HTTP server that speaks as IO Intelligence does: shapes, errors, streaming, quotas."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from aiohttp import web

from bots.sandbox.model import fields
from bots.sandbox.model.accounts import Account, Kind, Ledger, Use
from bots.sandbox.model.embedding import coded, embed
from bots.sandbox.model.faults import Fault, Refusal, Reply, Then
from bots.sandbox.model.listing import Listing, listed
from bots.sandbox.model.overflow import VLLM, Overflow
from bots.sandbox.model.script import Script, answer
from bots.sandbox.model.streaming import Completion, Stream, break_off, cloud_headers, used
from bots.sandbox.model.tokens import Tokeniser
from core.api.catalogue import Model, builtin

__all__ = ["ModelStandIn", "Recorded", "Refused"]

T = TypeVar("T")

RECORDS = 10_000
LARGEST = 32 * 1024 * 1024  # bytes of a request
MOST_INPUTS = 2048  # texts embedded by one request
TOO_LARGE = """<html><head><title>413 Request Entity Too Large</title></head>
<body><center><h1>413 Request Entity Too Large</h1></center></body></html>"""


@dataclass(slots=True)
class Recorded:
    """A request for a completion and what became of it. Times are monotonic seconds."""

    body: dict[str, Any]
    at: float
    completed: bool = False
    disconnected_at: float | None = None
    usage: tuple[int, int] = field(default=(0, 0))
    """Tokens of prompt and completion, so far."""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that was not begun, and why."""

    status: int
    detail: object
    body: dict[str, Any]
    at: float
    key: str


@dataclass(slots=True)
class _Planned:
    fault: Fault
    times: int | None
    model: str | None
    kind: Kind | None


@dataclass(slots=True)
class _Asked:
    """A request that is being dealt with."""

    http: web.Request
    account: Account
    kind: Kind
    body: dict[str, Any]
    fault: Fault | None

    @property
    def model(self) -> str:
        return str(self.body["model"])


class ModelStandIn:
    """`quotas` are the first account's daily tokens by model (none unless given); `answer` may be
    replaced; `clock` (seconds since the epoch) says when a UTC day ends.
    """

    def __init__(
        self,
        *,
        api_key: str = "sandbox-key",
        tokens_per_second: float = 40.0,
        quotas: Mapping[str, int] | None = None,
        answer: Callable[[dict[str, Any]], str | Script] = answer,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.api_key = api_key
        self.accounts: dict[str, Account] = {}
        self.quotas = self.add_key(api_key, quotas=quotas).quotas
        self.tokens_per_second = tokens_per_second
        self.answer = answer
        self.models: dict[str, Model] = builtin()
        self.higher_tier: set[str] = set()
        """Models that need a paid account."""
        self.unthinking: set[str] = set()
        """Reasoning models that can leave it (effort "none"); the others refuse that."""
        self.listing = Listing.RECORDED
        self.overflow: Overflow = VLLM
        self.quota_says = "Daily token quota of {model} exceeded"
        self.quota_headers: dict[str, str] = {}
        self.used = Ledger(clock)
        self.requests: deque[Recorded] = deque(maxlen=RECORDS)
        self.refused: deque[Refused] = deque(maxlen=RECORDS)
        self.hook: Callable[[dict[str, Any]], Fault | None] | None = None
        """Asked about each request's body that no planned fault fits."""
        self.base_url = ""
        self._planned: list[_Planned] = []
        self._runner: web.AppRunner | None = None
        self._changed = asyncio.Condition()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        app = web.Application(client_max_size=LARGEST)
        app.router.add_get("/api/v1/models", self._models)
        app.router.add_get("/api/v1/embedding-models", self._models)
        app.router.add_get("/api/v1/stats/token-usage", self._statistics)
        app.router.add_post(
            "/api/v1/chat/completions", self._guarded(Kind.CHAT, fields.CHAT, self._chat)
        )
        app.router.add_post(
            "/api/v1/embeddings", self._guarded(Kind.EMBEDDINGS, fields.EMBEDDINGS, self._embed)
        )
        # Who leaves is noticed at once, also while nothing is being said.
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.2, handler_cancellation=True
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        self.base_url = f"http://{host}:{self._runner.addresses[0][1]}/api/v1/"

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

    # What a test or an operator of the sandbox does.

    def add_key(
        self, key: str, *, quotas: Mapping[str, int] | None = None, paid: bool = False
    ) -> Account:
        """An account of its own, with its own quotas and use."""
        account = Account(key, dict(quotas or {}), paid)
        self.accounts[key] = account
        return account

    def vanish(self, model: str) -> None:
        """Offered no more; asked for, it is unknown."""
        del self.models[model]

    def appear(self, model: Model) -> None:
        self.models[model.id] = model

    def reset_day(self) -> None:
        """Quotas are whole again."""
        self.used.reset()

    def fail_next(
        self,
        fault: Fault,
        *,
        times: int | None = 1,
        model: str | None = None,
        kind: Kind | None = None,
    ) -> None:
        """`fault` happens to the next `times` requests (None: all) that fit. What was planned
        first comes first. Keys and fields are checked before, models and quotas after.
        """
        self._planned.append(_Planned(fault, times, model, kind))

    def heal(self) -> None:
        """Forget the faults that are still planned."""
        self._planned.clear()

    def _fault(self, kind: Kind, body: dict[str, Any]) -> Fault | None:
        for planned in self._planned:
            if planned.model in (None, body["model"]) and planned.kind in (None, kind):
                if planned.times is not None:
                    planned.times -= 1
                    if not planned.times:
                        self._planned.remove(planned)
                return planned.fault
        return self.hook(body) if self.hook is not None else None

    # What a client asks.

    def _guarded(
        self, kind: Kind, needed: str, handle: Callable[[_Asked], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def guard(request: web.Request) -> web.StreamResponse:
            body: dict[str, Any] = {}
            try:
                account = self._account(request)
                body = fields.decoded(await request.read(), needed)
                return await handle(_Asked(request, account, kind, body, self._fault(kind, body)))
            except web.HTTPRequestEntityTooLarge:
                return web.Response(status=413, text=TOO_LARGE, content_type="text/html")
            except Refusal as refusal:
                return await self._refuse(request, body, refusal)

        return guard

    def _account(self, request: web.Request) -> Account:
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        account = self.accounts.get(bearer or request.headers.get("x-api-key", ""))
        if account is None:
            raise Refusal(401, "Invalid API Key")
        return account

    async def _refuse(
        self, request: web.Request, body: dict[str, Any], refusal: Refusal
    ) -> web.Response:
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.refused.append(Refused(refusal.status, refusal.detail, body, time.monotonic(), key))
        await self._note()
        headers = {**cloud_headers(), **refusal.headers}
        if isinstance(refusal.detail, str) and refusal.detail.startswith("<"):
            return web.Response(
                status=refusal.status, text=refusal.detail, content_type="text/html"
            )
        detail = refusal.detail
        said = detail if isinstance(detail, dict) else {"detail": detail}
        return web.json_response(said, status=refusal.status, headers=headers)

    async def _models(self, request: web.Request) -> web.Response:
        embeds = request.path.endswith("embedding-models")
        models = [model for model in self.models.values() if model.embeds == embeds]
        return web.json_response(listed(models, self.listing), headers=cloud_headers())

    async def _statistics(self, request: web.Request) -> web.Response:
        try:
            return web.json_response(self.used.statistics(self._account(request)))
        except Refusal as refusal:
            return await self._refuse(request, {}, refusal)

    def _model(self, asked: _Asked) -> Model:
        """The model asked for, if this account may use it now."""
        embeds = asked.kind is Kind.EMBEDDINGS
        model = self.models.get(asked.model)
        if model is None or model.embeds != embeds:
            names = [m.id for m in self.models.values() if m.embeds == embeds]
            api = "Embeddings" if embeds else "Chat Completions"
            raise Refusal(
                400,
                f"The requested model is not available for {api} API. Available models: {names!r}",
            )
        if model.id in self.higher_tier and not asked.account.paid:
            raise Refusal(402, "This model is not included in your current plan")
        quota = asked.account.quotas.get(model.id)
        spent = self.used.of(key=asked.account.key, model=model.id, kind=asked.kind)
        if quota is not None and spent >= quota:
            raise Refusal(429, self.quota_says.format(model=model.id), self.quota_headers)
        return model

    async def _chat(self, asked: _Asked) -> web.StreamResponse:
        if asked.fault is not None and asked.fault.reply is not None:
            return await self._replied(asked, asked.fault.reply)
        model = self._model(asked)
        completion, script = self._completion(asked, model)
        record = Recorded(
            asked.body, time.monotonic(), usage=(completion.prompt, 0), key=asked.account.key
        )
        self.requests.append(record)
        await self._note()
        try:
            if script.status != 200:
                record.usage = (0, 0)
                raise Refusal(script.status, f"Scripted error {script.status}")
            return await self._said(asked, record, completion, script)
        finally:
            self.used.add(Use(asked.account.key, model.id, Kind.CHAT), sum(record.usage))
            if not record.completed and record.disconnected_at is None:
                record.disconnected_at = time.monotonic()
            await asyncio.shield(self._note())

    async def _replied(self, asked: _Asked, reply: Reply) -> web.Response:
        """Something else instead of an answer: recorded, and free."""
        if asked.kind is Kind.CHAT:
            record = Recorded(asked.body, time.monotonic(), True, key=asked.account.key)
            self.requests.append(record)
            await self._note()
        headers = {**cloud_headers(), "Content-Type": reply.content_type, **reply.headers}
        return web.Response(status=reply.status, body=reply.body, headers=headers)

    def _completion(self, asked: _Asked, model: Model) -> tuple[Completion, Script]:
        """What is said to it; `Refusal` where nothing is."""
        body = asked.body
        tokeniser = Tokeniser(model.id)
        prompt = tokeniser.prompt(body["messages"])
        most = body.get("max_completion_tokens") or body.get("max_tokens")
        if most is not None and most < 1:
            raise Refusal(400, f"max_tokens must be at least 1, got {most}")
        if prompt + (most or 1) > model.context:
            if self.overflow.silent:
                # The prompt is cut to the window; what is left for the answer is one token.
                return Completion(model.id, tokeniser, model.context - 1, (), (), "length"), Script(
                    ""
                )
            detail = self.overflow.body(model.context, prompt, most or 0)
            raise Refusal(self.overflow.status, detail)
        script = self.answer(body)
        script = Script(script) if isinstance(script, str) else script
        thought = self._thought(body, model, script)
        room = most or model.context - prompt
        made = Completion.of(model.id, tokeniser, prompt, room, thought, script.text)
        if asked.fault is not None and asked.fault.only_thinking:
            half = made.thought[: len(made.thought) // 2]
            made = replace(made, thought=half, text=(), finish="length")
        return made, script

    def _thought(self, body: dict[str, Any], model: Model, script: Script) -> str:
        reasoning = body.get("reasoning")
        effort = reasoning.get("effort") if isinstance(reasoning, dict) else None
        effort = effort or body.get("reasoning_effort")
        if effort != "none":
            return script.reasoning
        if model.reasons and model.id not in self.unthinking:
            raise Refusal(400, f"Reasoning cannot be disabled for model {model.id}")
        return ""

    async def _said(
        self, asked: _Asked, record: Recorded, completion: Completion, script: Script
    ) -> web.StreamResponse:
        def note(said: int) -> None:
            record.usage = completion.spent(said)

        fault = asked.fault or _scripted(script, len(completion.parts))
        if not asked.body.get("stream"):
            return await self._whole(asked, record, completion, fault)
        speed = self.tokens_per_second * script.speed
        stream = Stream(asked.http, completion, fault, speed, note)
        with contextlib.suppress(ConnectionError):  # the client left: noted by the caller
            record.completed = await stream.run()
            if fault.then not in (Then.RESET, Then.CLOSE):
                await stream.response.write_eof()
        return stream.response

    async def _whole(
        self, asked: _Asked, record: Recorded, completion: Completion, fault: Fault
    ) -> web.StreamResponse:
        if fault.then is Then.STALL:
            await asyncio.sleep(fault.seconds)
        if fault.then in (Then.RESET, Then.CLOSE):
            break_off(asked.http, reset=fault.then is Then.RESET)
        record.usage = completion.spent(len(completion.parts))
        record.completed = True
        return web.json_response(completion.whole(fault), headers=cloud_headers())

    async def _embed(self, asked: _Asked) -> web.StreamResponse:
        if asked.fault is not None and asked.fault.reply is not None:
            return await self._replied(asked, asked.fault.reply)
        model = self._model(asked)
        given = asked.body["input"]
        texts = [given] if isinstance(given, str) else given
        if len(texts) > MOST_INPUTS:
            said = f"List should have at most {MOST_INPUTS} items after validation"
            wrong = {"type": "too_long", "loc": ["body", "input"], "msg": said, "input": None}
            raise Refusal(422, [wrong])
        tokeniser = Tokeniser(model.id)
        counts = [tokeniser.text(text) for text in texts]
        if max(counts) > model.context:
            raise Refusal(self.overflow.status, self.overflow.body(model.context, max(counts), 0))
        self.used.add(Use(asked.account.key, model.id, Kind.EMBEDDINGS), sum(counts))
        encoding = str(asked.body.get("encoding_format") or "float")
        data = [
            {"object": "embedding", "index": at, "embedding": coded(embed(text), encoding)}
            for at, text in enumerate(texts)
        ]
        answer = {"object": "list", "data": data, "model": model.id, "usage": used(sum(counts), 0)}
        return web.json_response(answer, headers=cloud_headers())


def _scripted(script: Script, length: int) -> Fault:
    """The fault a script asks for: in the middle of its text."""
    then = {"cut": Then.CLOSE, "stall": Then.STALL}.get(script.fault, Then.ON)
    return Fault(after=length // 2, then=then)
