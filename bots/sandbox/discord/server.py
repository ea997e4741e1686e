"""The server: REST and the gateway on loopback."""

import re
from typing import Any

import msgspec
from aiohttp import web

from bots.sandbox.discord.backend import Backend
from bots.sandbox.discord.client import ClientBackend
from bots.sandbox.discord.errors import ApiError, invalid_form, rate_limited
from bots.sandbox.discord.routes import Routes
from bots.sandbox.discord.state import Call
from bots.sandbox.discord.validation import check_files
from bots.sandbox.stand_in import Fault, FaultKind, Json, drop_connection

MAX_REQUEST_BYTES = 30 * 1024 * 1024


class DiscordStandIn(ClientBackend):
    """A Discord server, as strict as Discord's own, and the people who use its channels."""

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        handler = RequestHandler(self)
        app = web.Application(client_max_size=MAX_REQUEST_BYTES)
        app.router.add_get("/gateway", self.gateway.serve)
        app.router.add_get("/gateway/", self.gateway.serve)
        app.router.add_route("*", "/api/v10/{path:.*}", handler.handle)
        app.router.add_get("/attachments/{id}/{name}", handler.serve_attachment)
        app.router.add_get("/stickers/{id}.png", handler.serve_attachment)
        address = await self._serve(app, host, port)
        self.api_base, self.gateway_url = f"http://{address}/api/v10", f"ws://{address}/gateway"
        self.gateway.url = self.gateway_url

    async def close(self) -> None:
        for timer in self._acknowledge_timers.values():
            timer.cancel()
        await super().close()

    def environment(self) -> dict[str, str]:
        """The settings that connect a bot to this server."""
        return {
            "DISCORD_BOT_TOKEN": self.token,
            "DISCORD_API_BASE": self.api_base,
            "DISCORD_GATEWAY_URL": self.gateway_url,
        }

    async def wait_until_ready(self, timeout: float | None = 10) -> None:
        """Wait until a session of the bot is connected."""
        await self.wait_for(lambda: self.gateway.connected_sessions, timeout)

    def calls_to(self, method: str, path: str) -> list[Call]:
        """The calls whose path fully matches the pattern `path`."""
        return [call for call in self.calls if call.method == method and re.fullmatch(path, call.path)]


class RequestHandler:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._routes = Routes(backend)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"].strip("/")
        call = Call(request.method, f"/{path}", request.query, time=self._backend.clock.monotonic())
        call.client_port = (request.get_extra_info("peername") or ("", 0))[1]
        self._backend.calls.append(call)
        headers = {"Via": "1.1 stand-in"}
        fault: Fault | None = None
        try:
            call.body = await self._read_body(request)
            if (response := await self._scripted_response(request, call)) is not None:
                return response
            fault = self._backend.fault_hook(call) if self._backend.fault_hook is not None else None
            if fault is not None:
                status = await self._backend.apply_fault(fault, request)
                if status == 429:
                    raise rate_limited(fault.seconds)
                if status is not None:
                    raise ApiError(status, 0, f"{status}: Server Error")
            needs_token = not path.startswith(("interactions/", "webhooks/"))
            if needs_token and request.headers.get("Authorization") != f"Bot {self._backend.token}":
                raise ApiError(401, 0, "401: Unauthorized")
            usage = self._backend.rate_limits.consume(request.method, path)
            if usage is not None:
                headers |= usage.headers
                if usage.is_exceeded:
                    raise rate_limited(usage.retry_after, is_global=usage.is_global)
            call.result = result = await self._routes.route(call)
            call.status = 204 if result is None else 201 if call.path.endswith("/threads") else 200
            if fault is not None and fault.kind is FaultKind.DROP_AFTER:
                drop_connection(request)
        except ApiError as error:
            call.status, result = error.status, error.body
            call.result = result
        finally:
            self._backend.finish_call(call)
        if result is None:
            return web.Response(status=204, headers=headers)
        # Without parameters: discord.py reads JSON only from exactly this type.
        headers["Content-Type"] = "application/json"
        return web.Response(body=msgspec.json.encode(result), status=call.status, headers=headers)

    async def _scripted_response(self, request: web.Request, call: Call) -> web.Response | None:
        reply = self._backend.script.next_reply(f"{call.method} {call.path}")
        if reply is None:
            return None
        self._backend.notify_waiters()  # the call has arrived, though its reply may be held
        response = await reply.respond(request)
        if response is not None:
            call.is_scripted, call.status = True, response.status
        return response

    async def _read_body(self, request: web.Request) -> Any:
        try:
            if request.content_type.startswith("multipart/"):
                form = await request.post()
                payload = form.get("payload_json", "{}")
                # A field of type application/json arrives as bytes.
                body = msgspec.json.decode(payload if isinstance(payload, bytes | bytearray) else str(payload))
                self._add_attachments(body, {k: v for k, v in form.items() if isinstance(v, web.FileField)})
                return body
            raw = await request.read()
            body = msgspec.json.decode(raw) if raw else {}
        except msgspec.DecodeError:
            raise ApiError(400, 50109, "The request body contains invalid JSON.") from None
        if not isinstance(body, dict) and not request.path.endswith("/commands"):
            raise invalid_form("_body", "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
        return body

    def _add_attachments(self, body: Json, files: dict[str, web.FileField]) -> None:
        """Replace the files of a request by attachments of its message, after those that the message keeps."""
        contents = {}
        for name, field in files.items():
            with field.file:
                contents[name] = field.file.read()
        check_files(list(contents.values()))
        data = body["data"] if isinstance(body.get("data"), dict) else body
        declared = {str(attachment.get("id")): attachment for attachment in data.get("attachments") or []}
        indexes = {name: name.removeprefix("files[").removesuffix("]") for name in files}
        attachments = [attachment for id_, attachment in declared.items() if id_ not in indexes.values()]
        for name, field in files.items():
            filename = declared.get(indexes[name], {}).get("filename") or field.filename
            attachments.append(self._backend.add_attachment(filename, contents[name], field.content_type))
        data["attachments"] = attachments

    async def serve_attachment(self, request: web.Request) -> web.StreamResponse:
        file = self._backend.files.get(request.match_info["id"])
        expiry = request.query.get("ex")  # stickers have none
        if file is None or (expiry is not None and int(expiry, 16) < self._backend.attachment_expiry):
            return web.Response(status=404, text="This content is no longer available.")
        attachment, content = file
        return web.Response(body=content, headers={"Content-Type": attachment["content_type"]})
