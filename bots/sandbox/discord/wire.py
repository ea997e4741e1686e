"""One REST call: read, counted, answered or made to fail."""

import asyncio
import re
from typing import Any

import msgspec
from aiohttp import web

from bots.sandbox.discord.rest import Rest
from bots.sandbox.discord.rules import Refusal, check_files, invalid
from bots.sandbox.discord.scene import Scene
from bots.sandbox.discord.world import Call, Created, Fault, Json

__all__ = ["Wire"]


class _Dropped(Exception):  # noqa: N818 (no error: ordered by a test)
    """The connection has been ended without an answer."""


class Wire:
    def __init__(self, scene: Scene, rest: Rest) -> None:
        self._scene = scene
        self._rest = rest

    async def serve(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"].strip("/")
        call = Call(request.method, f"/{path}", None, self._scene.clock())
        self._scene.calls.append(call)
        headers = {"Via": "1.1 stand-in"}
        fault: Fault | None = None
        try:
            call.body = await self._body(request)
            fault = self._scene.faults(call) if self._scene.faults is not None else None
            if fault is not None:
                await _before(fault, request)
            hook = path.startswith(("interactions/", "webhooks/"))
            if not hook and request.headers.get("Authorization") != f"Bot {self._scene.token}":
                raise Refusal(401, 0, "401: Unauthorized")
            spent = self._scene.buckets.spend(*_bucket(request.method, path))
            if spent is not None:
                headers |= spent.headers
                if spent.refused:
                    wait = {"retry_after": round(spent.retry_after, 3), "global": spent.everywhere}
                    if spent.everywhere:
                        headers["X-RateLimit-Global"] = "true"
                    headers["Retry-After"] = str(max(1, round(spent.retry_after)))
                    raise Refusal(429, 0, "You are being rate limited.", **wait)
            result = await self._rest.answer(request, path.split("/"), call.body)
            made = 201 if isinstance(result, Created) else 200
            call.status = 204 if result is None else made
            if fault is not None and fault.kind == "drop_after":
                _drop(request)
        except Refusal as refusal:
            call.status, result = refusal.status, refusal.body
        except _Dropped:
            await self._scene.note()
            return web.Response()  # to nobody
        call.result = result
        await self._scene.note()
        if result is None:
            return web.Response(status=204, headers=headers)
        # Exactly this type: discord.py takes anything else for text.
        headers["Content-Type"] = "application/json"
        return web.Response(body=msgspec.json.encode(result), status=call.status, headers=headers)

    async def _body(self, request: web.Request) -> Any:
        try:
            if request.content_type.startswith("multipart/"):
                form = await request.post()
                body = msgspec.json.decode(str(form.get("payload_json", "{}")))
                self._attach(body, {k: v for k, v in form.items() if isinstance(v, web.FileField)})
                return body
            raw = await request.read()
            body = msgspec.json.decode(raw) if raw else {}
        except msgspec.DecodeError:
            raise Refusal(400, 50109, "The request body contains invalid JSON.") from None
        if not isinstance(body, dict) and not request.path.endswith("/commands"):
            said = "Only dictionaries may be used in a DictType"
            raise invalid("_body", "DICT_TYPE_CONVERT", said)
        return body

    def _attach(self, body: Json, files: dict[str, web.FileField]) -> None:
        """Turn the files of a request into attachments of its message; those it keeps stay."""
        contents = {name: field.file.read() for name, field in files.items()}
        check_files([len(content) for content in contents.values()])
        data = body["data"] if isinstance(body.get("data"), dict) else body
        told = {str(one.get("id")): one for one in data.get("attachments") or []}
        numbers = {name.removeprefix("files[").removesuffix("]") for name in files}
        shown = [one for number, one in told.items() if number not in numbers]
        for name, field in files.items():
            number = name.removeprefix("files[").removesuffix("]")
            filename = told.get(number, {}).get("filename") or field.filename
            shown.append(self._scene.keep(filename, contents[name], field.content_type))
        data["attachments"] = shown

    async def fetch(self, request: web.Request) -> web.StreamResponse:
        kept = self._scene.files.get(request.match_info["id"])
        if kept is None:
            return web.Response(status=404)
        about, content = kept
        return web.Response(body=content, headers={"Content-Type": about["content_type"]})


def _bucket(method: str, path: str) -> tuple[str, str]:
    """The rule a call falls under, and the place it is counted for."""
    if match := re.fullmatch(r"channels/(\d+)/messages(/\d+)?", path):
        kind = {"POST": "create", "PATCH": "edit", "DELETE": "delete"}.get(method, "")
        return kind, match[1]
    if match := re.fullmatch(r"channels/(\d+)/typing", path):
        return "typing", match[1]
    if match := re.match(r"channels/(\d+)/messages/\d+/reactions/", path):
        return "reaction", match[1]
    if match := re.match(r"webhooks/\d+/(\w+)", path):
        return "webhook", match[1]
    return ("webhook", path) if path.startswith("interactions/") else ("", "")


async def _before(fault: Fault, request: web.Request) -> None:
    match fault.kind:
        case "429":
            wait = {"retry_after": fault.seconds, "global": False}
            raise Refusal(429, 0, "You are being rate limited.", **wait)
        case "500" | "502" | "503":
            raise Refusal(int(fault.kind), 0, f"{fault.kind}: Server Error")
        case "drop_before":
            _drop(request)
        case "delay":
            await asyncio.sleep(fault.seconds)


def _drop(request: web.Request) -> None:
    """End the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    raise _Dropped
