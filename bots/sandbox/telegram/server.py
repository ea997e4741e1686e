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

from bots.sandbox.telegram.backend import MAX_RECORDS
from bots.sandbox.telegram.chats import CHAT_METHODS, CommandRegistry
from bots.sandbox.telegram.client import ClientBackend
from bots.sandbox.telegram.errors import ApiError
from bots.sandbox.telegram.limits import FloodControl, Limits
from bots.sandbox.telegram.messages import MESSAGE_METHODS
from bots.sandbox.telegram.requests import read_parameters
from bots.sandbox.telegram.state import Bot, Json
from bots.sandbox.telegram.updates import CONFLICT_WEBHOOK_SET
from bots.sandbox.telegram.webhook import Webhook

__all__ = ["Call", "Fault", "TelegramStandIn"]

MAX_REQUEST_BYTES = 60 * 1024 * 1024  # bytes
LIMITED_METHODS = frozenset({"sendmessage", "editmessagetext", "editmessagereplymarkup"})
DRAFT_METHODS = frozenset({"sendmessagedraft"})
TOKEN_PATTERN = re.compile(r"\d+:[\w-]+", re.ASCII)
CONFLICT_WEBHOOK_ACTIVE = (
    "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
)
SERVER_ERRORS = {"500": "Internal Server Error", "502": "Bad Gateway"}

FaultKind = Literal["429", "500", "502", "drop_before", "drop_after", "delay"]


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
    is_early: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """An ordered failure.

    429 makes the bot wait `seconds` for this chat. `drop_before` closes the connection before
    anything is done, `drop_after` when it was done; `delay` answers after `seconds`.
    """

    kind: FaultKind
    seconds: float = 0.0


class TelegramStandIn(ClientBackend):
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
        unknown_methods: Collection[str] = (),
        webhook_retry_delay: float = 1.0,
    ) -> None:
        bot = Bot(int(token.partition(":")[0]), "Parley", username="parley_sandbox_bot")
        super().__init__(bot, clock)
        self.token = token
        self.api_base = ""
        self.fault_hook: Callable[[Call], Fault | None] | None = None
        self.calls: deque[Call] = deque(maxlen=MAX_RECORDS)
        self.commands = CommandRegistry()
        self.flood_control = FloodControl(limits, clock)
        self._webhook: Webhook | None = None
        self._webhook_retry_delay = webhook_retry_delay
        self._runner: web.AppRunner | None = None
        methods: dict[str, Callable[[ClientBackend, Json], object]] = {
            **MESSAGE_METHODS,
            **CHAT_METHODS,
            "setmycommands": self.commands.set,
            "getmycommands": self.commands.get,
            "deletemycommands": self.commands.delete,
            "getwebhookinfo": self._webhook_info,
        }
        self._handlers = {name: do for name, do in methods.items() if name not in unknown_methods}

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        app = web.Application(client_max_size=MAX_REQUEST_BYTES)
        app.router.add_route("*", "/bot{token}/{method}", self._handle_request)
        app.router.add_get("/file/bot{token}/{path:.+}", self._download)
        app.router.add_route("*", "/{anything:.*}", _not_found_response)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        bound_host, bound_port = self._runner.addresses[0][:2]
        self.api_base = f"http://{bound_host}:{bound_port}"

    async def close(self) -> None:
        if self._webhook is not None:
            await self._webhook.close()
            self._webhook = None
        if self._runner is not None:
            await self._runner.cleanup()

    def calls_with_status(self, status: int = 429) -> list[Call]:
        """The calls that got this status."""
        return [call for call in self.calls if call.status == status]

    def early_calls(self) -> list[Call]:
        """The calls that were made although the bot had been told to wait."""
        return [call for call in self.calls if call.is_early]

    # -- one request

    async def _handle_request(self, request: web.Request) -> web.StreamResponse:
        call = Call(request.match_info["method"], await read_parameters(request), self.clock())
        self.calls.append(call)
        fault = self.fault_hook(call) if self.fault_hook is not None else None
        payload: Json
        try:
            pending = self._call_method(call, request, fault)
            if call.method.lower() == "getupdates":
                call.result = await pending
            else:  # what has arrived is done, whether or not the bot still waits for the answer
                call.result = await asyncio.shield(asyncio.ensure_future(pending))
            call.status = 200
            payload = {"ok": True, "result": call.result}
        except ApiError as error:
            call.status, call.description = error.status, error.description
            payload = {"ok": False, "error_code": call.status, "description": call.description}
            if error.parameters:
                payload["parameters"] = error.parameters
        finally:
            self.notify_waiters()
        if fault is not None and fault.kind == "drop_after":
            _drop_connection(request)
        response = web.Response(body=msgspec.json.encode(payload), status=call.status, content_type="application/json")
        if call.status == 429:
            response.headers["Retry-After"] = str(payload["parameters"]["retry_after"])
        return response

    async def _download(self, request: web.Request) -> web.StreamResponse:
        content = self.files.content(request.match_info["path"])
        if request.match_info["token"] != self.token or content is None:
            return await _not_found_response(request)
        return web.Response(body=content, content_type="application/octet-stream")

    async def _call_method(self, call: Call, request: web.Request, fault: Fault | None) -> object:
        if fault is not None:
            await self._apply_fault(fault, call, request)
        token = request.match_info["token"]
        if token != self.token:
            raise ApiError(401, "Unauthorized") if TOKEN_PATTERN.fullmatch(token) else _not_found()
        method = call.method.lower()
        if method == "getupdates":
            return await self._get_updates(call.params)
        if method in {"setwebhook", "deletewebhook"}:
            return await self._set_webhook(method, call.params)
        handler = self._handlers.get(method)
        if handler is None:
            raise _not_found(": method not found")
        if method in LIMITED_METHODS or method in DRAFT_METHODS:
            self._enforce_limits(call, is_draft=method in DRAFT_METHODS)
        return handler(self, call.params)

    async def _apply_fault(self, fault: Fault, call: Call, request: web.Request) -> None:
        match fault.kind:
            case "429":
                wait = max(1, round(fault.seconds))
                chat = call.params.get("chat_id")
                if isinstance(chat, int):
                    self.flood_control.block(chat, wait)
                raise ApiError.too_many_requests(wait)
            case "500" | "502":
                raise ApiError(int(fault.kind), SERVER_ERRORS[fault.kind])
            case "drop_before":
                _drop_connection(request)
            case "delay":
                await asyncio.sleep(fault.seconds)

    def _enforce_limits(self, call: Call, *, is_draft: bool) -> None:
        chat = self.chats.get(call.params.get("chat_id") or 0)
        if chat is None:
            return
        wait = self.flood_control.remaining_wait(chat.id)
        call.is_early = wait > 0
        wait = wait or self.flood_control.admit(chat.id, is_private=chat.is_private, is_draft=is_draft)
        if wait > 0:
            raise ApiError.too_many_requests(wait)

    # -- receiving

    async def _get_updates(self, params: Json) -> list[Json]:
        if self._webhook is not None:
            await self.updates.raise_conflict(CONFLICT_WEBHOOK_ACTIVE)
        self.updates.set_allowed_kinds(params.get("allowed_updates"))
        self.notify_waiters()
        return await self.updates.poll(
            params.get("offset") or 0, params.get("limit") or 100, params.get("timeout") or 0
        )

    async def _set_webhook(self, method: str, params: Json) -> bool:
        new_webhook = None
        if method == "setwebhook" and params.get("url"):
            new_webhook = Webhook(self.updates, params, self._webhook_retry_delay)
            self.updates.terminate_poll(CONFLICT_WEBHOOK_SET)
        self.updates.set_allowed_kinds(params.get("allowed_updates"))
        if params.get("drop_pending_updates"):
            self.updates.pending.clear()
        old_webhook, self._webhook = self._webhook, new_webhook
        if old_webhook is not None:
            await old_webhook.close()
        return True

    def _webhook_info(self, _backend: ClientBackend, _params: Json) -> Json:
        payload: Json = {
            "url": "",
            "has_custom_certificate": False,
            "pending_update_count": len(self.updates.pending),
        }
        if self.updates.allowed_kinds:
            payload["allowed_updates"] = list(self.updates.allowed_kinds)
        return payload | (self._webhook.info() if self._webhook is not None else {})


async def _not_found_response(_request: web.Request) -> web.Response:
    answer = {"ok": False, "error_code": 404, "description": "Not Found"}
    return web.Response(body=msgspec.json.encode(answer), status=404, content_type="application/json")


def _not_found(detail: str = "") -> ApiError:
    return ApiError(404, f"Not Found{detail}")


def _drop_connection(request: web.Request) -> NoReturn:
    """End the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    raise ConnectionResetError
