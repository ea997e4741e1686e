"""A Bot API that misbehaves to order. The strict one is the sandbox's stand-in."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

TOKEN = "123456:AAsecret-Token_value"
BOT_USER = {
    "id": 123456,
    "is_bot": True,
    "first_name": "Parley",
    "username": "parley_bot",
    "can_read_all_group_messages": False,
}


@dataclass
class Call:
    method: str
    params: dict[str, Any]
    time: float = field(default_factory=time.monotonic)


@dataclass
class Reply:
    """`drop`: close the connection instead of answering; `hold`: wait for this first."""

    status: int = 200
    result: Any = True
    description: str = ""
    parameters: dict[str, Any] | None = None
    body: str | None = None
    drop: bool = False
    wait_for: asyncio.Event | None = None


def error_reply(status: int, description: str, **parameters: Any) -> Reply:
    return Reply(status, description=description, parameters=parameters or None)


@dataclass
class ScriptedBotApi:
    calls: list[Call] = field(default_factory=list)
    updates: list[dict[str, Any]] = field(default_factory=list)
    confirmed_offset: int = 0
    token: str = TOKEN
    base_url: str = ""
    _scripts: dict[str, list[Reply]] = field(default_factory=dict)
    _commands: dict[str, Any] = field(default_factory=dict)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _runner: web.AppRunner | None = None
    _messages: int = 1000
    _last_update: int = 100

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/{token}/{method}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.01, handler_cancellation=True, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def script(self, method: str, *replies: Reply) -> None:
        """The next calls of `method` get these answers, in turn."""
        self._scripts.setdefault(method, []).extend(replies)

    async def push_update(self, **content: Any) -> int:
        async with self._changed:
            self._last_update += 1
            self.updates.append({"update_id": self._last_update, **content})
            self._changed.notify_all()
        return self._last_update

    async def wait_until(self, condition: Callable[[], bool], seconds: float = 10) -> None:
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(condition)

    def params_of(self, method: str) -> list[dict[str, Any]]:
        return [call.params for call in self.calls if call.method == method]

    async def wait_for_calls(self, method: str, times: int = 1) -> list[dict[str, Any]]:
        await self.wait_until(lambda: len(self.params_of(method)) >= times)
        return self.params_of(method)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        params = {name: _value(str(value)) for name, value in form.items()}
        method = request.match_info["method"]
        async with self._changed:
            self.calls.append(Call(method, params))
            if method == "getUpdates":
                self._confirm(int(params.get("offset") or 0))
            self._changed.notify_all()
        reply = self._scripts[method].pop(0) if self._scripts.get(method) else None
        if reply is None:
            if request.match_info["token"] != f"bot{self.token}":
                reply = error_reply(401, "Unauthorized")
            else:
                reply = Reply(result=await self._answer(method, params))
        if reply.wait_for is not None:
            await reply.wait_for.wait()
        if reply.drop:
            assert request.transport is not None
            request.transport.close()
        return _response(reply)

    def _confirm(self, offset: int) -> None:
        self.confirmed_offset = max(self.confirmed_offset, offset)
        self.updates = [update for update in self.updates if update["update_id"] >= offset]

    async def _answer(self, method: str, params: dict[str, Any]) -> Any:
        match method:
            case "getMe":
                return BOT_USER
            case "getUpdates":
                return await self._poll(float(params.get("timeout") or 0))
            case "getMyCommands":
                return self._commands.get(params["scope"]["type"], [])
            case "setMyCommands":
                self._commands[params["scope"]["type"]] = params["commands"]
                return True
            case "sendMessage" | "editMessageText":
                self._messages += 1
                return {
                    "message_id": params.get("message_id", self._messages),
                    "date": 0,
                    "chat": {"id": params["chat_id"], "type": "private"},
                    "text": params["text"],
                }
            case _:
                return True

    async def _poll(self, seconds: float) -> list[dict[str, Any]]:
        try:
            await self.wait_until(lambda: bool(self.updates), seconds)
        except TimeoutError:
            return []
        return list(self.updates)


def _value(text: str) -> Any:
    try:
        return json.loads(text) if text[:1] in {"{", "["} else int(text)
    except ValueError:
        return {"true": True, "false": False}.get(text, text)


def _response(reply: Reply) -> web.Response:
    if reply.body is not None:
        return web.Response(status=reply.status, text=reply.body)
    if reply.status == 200:
        return web.json_response({"ok": True, "result": reply.result})
    content: dict[str, Any] = {
        "ok": False,
        "error_code": reply.status,
        "description": reply.description,
    }
    if reply.parameters:
        content["parameters"] = reply.parameters
    return web.json_response(content, status=reply.status)
