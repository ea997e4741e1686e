"""The server: the Bot API over HTTP on loopback."""

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

import msgspec
from aiohttp import web

from bots.sandbox.telegram.chats import CHATS, Commands
from bots.sandbox.telegram.limits import Flood, Limits
from bots.sandbox.telegram.parameters import read
from bots.sandbox.telegram.people import People
from bots.sandbox.telegram.refusal import Refusal
from bots.sandbox.telegram.scene import RECORDS
from bots.sandbox.telegram.updates import WEBHOOK_SET
from bots.sandbox.telegram.webhook import Webhook
from bots.sandbox.telegram.world import Bot, Json
from bots.sandbox.telegram.writing import WRITING

__all__ = ["Call", "Fault", "TelegramStandIn"]

LARGEST_REQUEST = 60 * 1024 * 1024  # bytes
LIMITED = frozenset({"sendmessage", "editmessagetext", "editmessagereplymarkup"})
DRAFTS = frozenset({"sendmessagedraft"})
TOKEN = re.compile(r"\d+:[\w-]+", re.ASCII)
WEBHOOK_ACTIVE = (
    "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete "
    "the webhook first"
)
SERVER_ERRORS = {"500": "Internal Server Error", "502": "Bad Gateway"}

Kind = Literal["429", "500", "502", "drop_before", "drop_after", "delay"]


@dataclass(slots=True)
class Call:
    """What the bot asked, and the answer. `status` is 0 while there is none.

    `early`: it was asked while the bot had been told to wait.
    """

    method: str
    params: Json
    time: float
    status: int = 0
    result: Any = None
    description: str = ""
    early: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """An ordered failure.

    429 makes the bot wait `seconds` for this chat. `drop_before` closes the connection before
    anything is done, `drop_after` when it was done; `delay` answers after `seconds`.
    """

    kind: Kind
    seconds: float = 0.0


class TelegramStandIn(People):
    """A Bot API server, as strict as Telegram's own, and the people who use its chats.

    `faults` is asked before each call and may order it to fail. `unknown` are methods (in lower
    case) this server does not know, as an older one would not; rich messages never are. A
    webhook's deliveries are repeated after `webhook_delay` seconds, then twice that, and so on.
    """

    def __init__(
        self,
        *,
        token: str = "123456789:AAsandbox-token-for-telegram-stand-in",  # noqa: S107 (a stand-in's)
        limits: Limits = Limits(),  # noqa: B008 (frozen)
        clock: Callable[[], float] = time.monotonic,
        unknown: Collection[str] = (),
        webhook_delay: float = 1.0,
    ) -> None:
        bot = Bot(int(token.partition(":")[0]), "Parley", username="parley_sandbox_bot")
        super().__init__(bot, clock)
        self.token = token
        self.base_url = ""
        self.faults: Callable[[Call], Fault | None] | None = None
        self.calls: deque[Call] = deque(maxlen=RECORDS)
        self.commands = Commands()
        self.flood = Flood(limits, clock)
        self._webhook: Webhook | None = None
        self._webhook_delay = webhook_delay
        self._runner: web.AppRunner | None = None
        methods: dict[str, Callable[[People, Json], object]] = {
            **WRITING,
            **CHATS,
            "setmycommands": self.commands.set,
            "getmycommands": self.commands.get,
            "deletemycommands": self.commands.delete,
            "getwebhookinfo": self._webhook_info,
        }
        self._methods = {name: do for name, do in methods.items() if name not in unknown}

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        app = web.Application(client_max_size=LARGEST_REQUEST)
        app.router.add_route("*", "/bot{token}/{method}", self._serve)
        app.router.add_route("*", "/{anything:.*}", _nothing_there)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        bound_host, bound_port = self._runner.addresses[0][:2]
        self.base_url = f"http://{bound_host}:{bound_port}"

    async def close(self) -> None:
        if self._webhook is not None:
            await self._webhook.close()
            self._webhook = None
        if self._runner is not None:
            await self._runner.cleanup()

    def refused(self, status: int = 429) -> list[Call]:
        """The calls that got this status."""
        return [call for call in self.calls if call.status == status]

    def early(self) -> list[Call]:
        """The calls that were made although the bot had been told to wait."""
        return [call for call in self.calls if call.early]

    # -- one request

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        call = Call(request.match_info["method"], await read(request), self.clock())
        self.calls.append(call)
        fault = self.faults(call) if self.faults is not None else None
        answer: Json
        try:
            answering = self._answer(call, request, fault)
            if call.method.lower() == "getupdates":
                call.result = await answering
            else:  # what has arrived is done, whether or not the bot still waits for the answer
                call.result = await asyncio.shield(asyncio.ensure_future(answering))
            call.status = 200
            answer = {"ok": True, "result": call.result}
        except Refusal as refusal:
            call.status, call.description = refusal.status, refusal.description
            answer = {"ok": False, "error_code": call.status, "description": call.description}
            if refusal.parameters:
                answer["parameters"] = refusal.parameters
        finally:
            self.touch()
        if fault is not None and fault.kind == "drop_after":
            _drop(request)
        response = web.Response(
            body=msgspec.json.encode(answer), status=call.status, content_type="application/json"
        )
        if call.status == 429:
            response.headers["Retry-After"] = str(answer["parameters"]["retry_after"])
        return response

    async def _answer(self, call: Call, request: web.Request, fault: Fault | None) -> object:
        if fault is not None:
            await self._fail(fault, call, request)
        token = request.match_info["token"]
        if token != self.token:
            raise Refusal(401, "Unauthorized") if TOKEN.fullmatch(token) else _not_found()
        method = call.method.lower()
        if method == "getupdates":
            return await self._get_updates(call.params)
        if method in {"setwebhook", "deletewebhook"}:
            return await self._set_webhook(method, call.params)
        do = self._methods.get(method)
        if do is None:
            raise _not_found(": method not found")
        if method in LIMITED or method in DRAFTS:
            self._limit(call, draft=method in DRAFTS)
        return do(self, call.params)

    async def _fail(self, fault: Fault, call: Call, request: web.Request) -> None:
        match fault.kind:
            case "429":
                wait = max(1, round(fault.seconds))
                chat = call.params.get("chat_id")
                if isinstance(chat, int):
                    self.flood.hold(chat, wait)
                raise Refusal.flood(wait)
            case "500" | "502":
                raise Refusal(int(fault.kind), SERVER_ERRORS[fault.kind])
            case "drop_before":
                _drop(request)
            case "delay":
                await asyncio.sleep(fault.seconds)

    def _limit(self, call: Call, *, draft: bool) -> None:
        chat = self.chats.get(call.params.get("chat_id") or 0)
        if chat is None:
            return
        wait = self.flood.held(chat.id)
        call.early = wait > 0
        wait = wait or self.flood.admit(chat.id, private=chat.private, draft=draft)
        if wait > 0:
            raise Refusal.flood(wait)

    # -- receiving

    async def _get_updates(self, params: Json) -> list[Json]:
        if self._webhook is not None:
            await self.updates.refuse(WEBHOOK_ACTIVE)
        self.updates.allow(params.get("allowed_updates"))
        self.touch()
        return await self.updates.poll(
            params.get("offset") or 0, params.get("limit") or 100, params.get("timeout") or 0
        )

    async def _set_webhook(self, method: str, params: Json) -> bool:
        new = None
        if method == "setwebhook" and params.get("url"):
            new = Webhook(self.updates, params, self._webhook_delay)
            self.updates.cut_off(WEBHOOK_SET)
        self.updates.allow(params.get("allowed_updates"))
        if params.get("drop_pending_updates"):
            self.updates.pending.clear()
        old, self._webhook = self._webhook, new
        if old is not None:
            await old.close()
        return True

    def _webhook_info(self, _scene: People, _params: Json) -> Json:
        shown: Json = {
            "url": "",
            "has_custom_certificate": False,
            "pending_update_count": len(self.updates.pending),
        }
        if self.updates.allowed:
            shown["allowed_updates"] = list(self.updates.allowed)
        return shown | (self._webhook.info() if self._webhook is not None else {})


async def _nothing_there(_request: web.Request) -> web.Response:
    answer = {"ok": False, "error_code": 404, "description": "Not Found"}
    return web.Response(
        body=msgspec.json.encode(answer), status=404, content_type="application/json"
    )


def _not_found(more: str = "") -> Refusal:
    return Refusal(404, f"Not Found{more}")


def _drop(request: web.Request) -> NoReturn:
    """End the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    raise ConnectionResetError
