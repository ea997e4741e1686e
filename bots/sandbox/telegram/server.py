"""The server: the Bot API over HTTP on loopback."""

import asyncio
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from bots.sandbox import stand_in
from bots.sandbox.stand_in import Fault, FaultKind, Json, drop_connection
from bots.sandbox.telegram.client import UploadedFile
from bots.sandbox.telegram.errors import ApiError, not_found
from bots.sandbox.telegram.inline import InlineBackend
from bots.sandbox.telegram.routes import Routes
from bots.sandbox.telegram.state import BOT_API, Call

MAX_REQUEST_BYTES = 60 * 1024 * 1024

TOKEN_PATTERN = re.compile(r"\d+:[\w-]+", re.ASCII)

INTEGER_PARAMETERS = BOT_API["integer parameters"]
BOOLEAN_PARAMETERS = BOT_API["boolean parameters"]
JSON_PARAMETERS = BOT_API["JSON parameters"]
TRUE_VALUES = frozenset({"true", "yes", "1"})


class TelegramStandIn(InlineBackend):
    """A Bot API server, as strict as Telegram's own, and the people who use its chats."""

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        handler = RequestHandler(self)
        app = web.Application(client_max_size=MAX_REQUEST_BYTES)
        app.router.add_route("*", "/bot{token}/{method}", handler.handle)
        app.router.add_get("/file/bot{token}/{path:.+}", handler.serve_file)
        app.router.add_route("*", "/{anything:.*}", not_found_response)
        self.api_base = f"http://{await self._serve(app, host, port)}"

    async def close(self) -> None:
        if self.webhook is not None:
            await self.webhook.close()
            self.webhook = None
        await super().close()

    def environment(self) -> dict[str, str]:
        """The settings that connect a bot to this server."""
        return {"TELEGRAM_BOT_TOKEN": self.token, "TELEGRAM_API_BASE": self.api_base}

    def calls_to(self, method: str) -> list[Call]:
        return [call for call in self.calls if call.method.lower() == method.lower()]

    def early_calls(self) -> list[Call]:
        """The calls that the bot made before its `retry_after` had passed."""
        return [call for call in self.calls if call.is_early]


class RequestHandler:
    def __init__(self, backend: InlineBackend) -> None:
        self._backend = backend
        self._routes = Routes(backend)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        backend = self._backend
        call = Call(request.match_info["method"], await _read_parameters(request), time=backend.clock.monotonic())
        backend.calls.append(call)
        if (reply := backend.script.next_reply(call.method)) is not None:
            call.is_scripted = reply.status is not None
            backend.notify_waiters()
            response = await reply.respond(request)
            if response is not None:
                call.status = response.status
                backend.finish_call(call)
                return response
        fault = backend.fault_hook(call) if backend.fault_hook is not None else None
        payload: Json
        try:
            pending = self._call_method(call, request, fault)
            if call.method.lower() == "getupdates":
                call.result = await pending
            else:  # a call that has arrived takes effect even when the bot no longer waits for the answer
                call.result = await asyncio.shield(asyncio.ensure_future(pending))
            call.status = 200
            payload = {"ok": True, "result": call.result}
        except ApiError as error:
            call.status, call.description = error.status, error.description
            payload = {"ok": False, "error_code": call.status, "description": call.description}
            if error.parameters:
                payload["parameters"] = error.parameters
        finally:
            backend.finish_call(call)
        if fault is not None and fault.kind is FaultKind.DROP_AFTER:
            drop_connection(request)
        response = _json_response(payload, call.status)
        if call.status == 429:
            response.headers["Retry-After"] = str(payload["parameters"]["retry_after"])
        return response

    async def _call_method(self, call: Call, request: web.Request, fault: Fault | None) -> object:
        if fault is not None:
            await self._apply_fault(fault, call, request)
        token = request.match_info["token"]
        if token != self._backend.token:
            raise ApiError(401, "Unauthorized") if TOKEN_PATTERN.fullmatch(token) else not_found()
        return await self._routes.route(call)

    async def _apply_fault(self, fault: Fault, call: Call, request: web.Request) -> None:
        status = await self._backend.apply_fault(fault, request)
        if status == 429:
            wait = max(1, round(fault.seconds))
            chat = call.params.get("chat_id")
            if isinstance(chat, int):
                self._backend.flood_control.block(chat, wait)
            raise ApiError.too_many_requests(wait)
        if status is not None:
            raise ApiError(status, HTTPStatus(status).phrase)

    async def serve_file(self, request: web.Request) -> web.StreamResponse:
        content = self._backend.files.content(request.match_info["path"])
        if request.match_info["token"] != self._backend.token or content is None:
            return await not_found_response(request)
        return web.Response(body=content, content_type="application/octet-stream")


async def not_found_response(_request: web.Request) -> web.Response:
    return _json_response({"ok": False, "error_code": 404, "description": "Not Found"}, 404)


def _json_response(payload: Json, status: int) -> web.Response:
    return web.Response(body=msgspec.json.encode(payload), status=status, content_type="application/json")


async def _read_parameters(request: web.Request) -> Json:
    """Parameters of the query, of a form (urlencoded or multipart) or of JSON, converted to the Bot API's types."""
    raw: Json = dict(request.query)
    if request.can_read_body:
        content_type = request.content_type
        if content_type == "application/x-www-form-urlencoded":
            body = (await request.read()).decode("utf-8", "replace")
            raw.update(parse_qsl(body, keep_blank_values=True))
        elif content_type == "application/json":
            try:
                decoded = msgspec.json.decode(await request.read())
            except msgspec.DecodeError:
                decoded = None
            raw.update(decoded if isinstance(decoded, dict) else {})
        elif content_type == "multipart/form-data":
            raw.update({name: _read_file(field) for name, field in (await request.post()).items()})
    return {name: _convert(name, value) for name, value in raw.items()}


def _read_file(field: object) -> object:
    """A file of a multipart form with its content; other fields unchanged."""
    if isinstance(field, web.FileField):
        with field.file:
            return UploadedFile(field.filename, field.file.read(), field.content_type)
    return field


def _convert(name: str, value: object) -> object:
    if name == "chat_id":
        return _to_int(value, default=value)
    if name in INTEGER_PARAMETERS:
        return _to_int(value, default=0)
    if name in BOOLEAN_PARAMETERS:
        return value if isinstance(value, bool) else str(value).lower() in TRUE_VALUES
    if name in JSON_PARAMETERS and isinstance(value, str):
        try:
            return msgspec.json.decode(value)
        except msgspec.DecodeError:
            return value
    return value


def _to_int(value: object, *, default: object) -> object:
    try:
        return int(str(value))
    except ValueError:
        return default


@dataclass(frozen=True, slots=True)
class ScriptedReply(stand_in.ScriptedReply):
    body: Any = field(default_factory=lambda: {"ok": True, "result": True})

    @classmethod
    def error(cls, status: int, description: str, **parameters: int) -> "ScriptedReply":
        payload = {"ok": False, "error_code": status, "description": description}
        return cls(status, {**payload, "parameters": parameters} if parameters else payload)
