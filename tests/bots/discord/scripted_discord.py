"""A Discord of one server, one channel, one thread and one person, for the adapter's own tests.

It answers as Discord does where the adapter looks, records every request, and misbehaves on
demand (`misbehave`), which the strict stand-in of the sandbox does not.
"""

import asyncio
import contextlib
import itertools
import json
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMsgType, web

BOT, GUILD, CHANNEL, THREAD, PERSON, ROLE, DM = (str(10**17 + n) for n in range(7))
TOKEN = "MTAwMDAwMDAwMDAwMDAwMDAw.G.secret-part-of-the-token"
WRITE_PERMISSIONS = str(1 << 10 | 1 << 11 | 1 << 38)
MANAGE_PERMISSIONS = str(1 << 5 | 1 << 10)
_counter = itertools.count()


def snowflake() -> str:
    return str((int(time.time() * 1000) - 1420070400000) << 22 | next(_counter) % 4096)


def user(user_id: str = PERSON, name: str = "ada", *, bot: bool = False) -> dict[str, Any]:
    return {
        "id": user_id,
        "username": name,
        "discriminator": "0",
        "avatar": None,
        "global_name": name.title(),
        "bot": bot,
    }


def member(**more: Any) -> dict[str, Any]:
    return {"roles": [], "flags": 0, "joined_at": "2024-01-01T00:00:00Z", **more}


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    body: Any
    time: float


Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


class ScriptedDiscord:
    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.messages: dict[str, dict[str, Any]] = {}
        self.user_messages: list[dict[str, Any]] = []
        """What people wrote, as its history shows it."""
        self.nonces: dict[str, str] = {}
        self.callbacks: dict[str, dict[str, Any]] = {}
        self.originals: dict[str, str] = {}
        self.identifies: list[dict[str, Any]] = []
        self.resumes: list[dict[str, Any]] = []
        self.close_code: int | None = None
        self.gateway_refusals = 0
        self.malformed_readies = 0
        self.omits_guilds = False
        self.identify_times: list[float] = []
        """When each IDENTIFY came, on the monotonic clock."""
        self.shards = self.concurrency = 1
        self.sessions_remaining, self.sessions_reset_after = 900, 0.0
        """Sessions Discord still allows, and the seconds until it allows all of them again."""
        self.ignores_close = asyncio.Event()
        """Set: the gateway says no good-bye."""
        self.token = TOKEN
        self.url = ""
        self._scripts: list[tuple[str, re.Pattern[str], Behaviour]] = []
        self._sockets: set[web.WebSocketResponse] = set()
        self._changed = asyncio.Condition()
        self._sequence = 0
        self._replay: deque[dict[str, Any]] = deque()

    # What a test does

    @property
    def api_base(self) -> str:
        return f"{self.url}/api/v10"

    @property
    def gateway_url(self) -> str:
        return f"{self.url.replace('http', 'ws')}/gw"

    async def wait_until(self, condition: Callable[[], Any], timeout: float = 5.0) -> Any:
        async with asyncio.timeout(timeout), self._changed:
            await self._changed.wait_for(condition)
        return condition()

    def requests_to(self, method: str, path: str) -> list[Request]:
        return [r for r in self.requests if r.method == method and re.fullmatch(path, r.path)]

    def script(self, method: str, path: str, *behaviours: Behaviour) -> None:
        """The next requests to `path` meet these behaviours, one each."""
        self._scripts += [(method, re.compile(path), behaviour) for behaviour in behaviours]

    async def dispatch(self, event: str, data: dict[str, Any]) -> None:
        self._sequence += 1
        frame = {"op": 0, "t": event, "s": self._sequence, "d": data}
        if not self._sockets:
            self._replay.append(frame)
        for socket in list(self._sockets):
            await socket.send_str(json.dumps(frame))

    async def reconnect(self) -> None:
        """Ask the client to come back, and forget about it until it has."""
        sockets, self._sockets = self._sockets, set()
        for socket in sockets:
            await socket.send_str(json.dumps({"op": 7, "d": None}))

    async def invalidate(self) -> None:
        """End all sessions for good: the clients have to begin new ones."""
        sockets, self._sockets = self._sockets, set()
        for socket in sockets:
            await socket.send_str(json.dumps({"op": 9, "d": False}))

    async def say(self, content: str = "", *, channel: str = CHANNEL, **more: Any) -> str:
        identity = more.pop("id", snowflake())
        place = {} if channel == DM else {"guild_id": GUILD, "member": member()}
        data = {
            "id": identity,
            "channel_id": channel,
            "author": user(),
            "content": content,
            "type": 0,
            "timestamp": "2024-01-01T00:00:00Z",
            "edited_timestamp": None,
            "tts": False,
            "mention_everyone": False,
            "mentions": [],
            "mention_roles": [],
            "attachments": [],
            "embeds": [],
            "pinned": False,
            "components": [],
            **place,
            **more,
        }
        self.user_messages.append({k: v for k, v in data.items() if k not in ("guild_id", "member")})
        await self.dispatch("MESSAGE_CREATE", data)
        return str(identity)

    async def interact(self, kind: int, data: dict[str, Any], **more: Any) -> str:
        identity = snowflake()
        channel = more.pop("channel", {"id": CHANNEL, "type": 0, "name": "general", "position": 0})
        private = channel["type"] in (1, 3)
        who: dict[str, Any] = (
            {"user": user()}
            if private
            else {
                "guild_id": GUILD,
                "guild": {"id": GUILD, "locale": "en-US", "features": []},
                "member": member(user=user(), permissions="0"),
            }
        )
        await self.dispatch(
            "INTERACTION_CREATE",
            {
                "id": identity,
                "application_id": BOT,
                "type": kind,
                "token": f"aW50ZXJhY3Rpb24{identity}",
                "version": 1,
                "channel_id": channel["id"],
                "channel": channel,
                "data": data,
                "app_permissions": WRITE_PERMISSIONS,
                "locale": "de",
                "entitlements": [],
                "attachment_size_limit": 10_000_000,
                "authorizing_integration_owners": {"0": "0" if private else GUILD},
                "context": {0: 0, 1: 1, 3: 2}.get(channel["type"], 0),
                **who,
                **more,
            },
        )
        return identity

    async def command(self, name: str, **more: Any) -> str:
        kind = more.pop("kind", 2)
        options = more.pop("options", [])
        data = {"id": "1", "name": name, "type": 1, "options": options}
        return await self.interact(kind, data, **more)

    async def press(self, message: str, custom_id: str, **more: Any) -> str:
        component = {"custom_id": custom_id, "component_type": 2}
        if values := more.pop("values", None):
            component |= {"component_type": 3, "values": values}
        shown = {**self.messages[message], **more.pop("shown", {})}
        return await self.interact(3, component, message=shown, **more)

    def callback_of(self, interaction: str) -> dict[str, Any] | None:
        return self.callbacks.get(interaction)

    # Serving

    async def serve_api(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        path = request.path.removeprefix("/api/v10")
        await self._notify(Request(request.method, path, body, asyncio.get_running_loop().time()))
        for planned in self._scripts:
            method, pattern, behaviour = planned
            if method == request.method and pattern.fullmatch(path):
                self._scripts.remove(planned)
                if (response := await behaviour(request)) is not None:
                    return response
                break
        if request.headers.get("Authorization") not in (None, f"Bot {self.token}"):
            return json_response({"code": 0, "message": "401: Unauthorized"}, 401)
        response = self._answer(request.method, path, body or dict(request.query))
        await self._notify(None)
        return response

    def _answer(self, method: str, path: str, body: Any) -> web.Response:
        match method, path.strip("/").split("/"):
            case "GET", ["users", "@me"]:
                return json_response(user(BOT, "parley", bot=True))
            case "GET", ["oauth2", "applications", "@me"]:
                return json_response(application())
            case "GET", ["gateway", "bot"]:
                limit = {
                    "total": 1000,
                    "remaining": self.sessions_remaining,
                    "reset_after": int(self.sessions_reset_after * 1000),
                    "max_concurrency": self.concurrency,
                }
                found = {
                    "url": self.gateway_url,
                    "shards": self.shards,
                    "session_start_limit": limit,
                }
                return json_response(found)
            case "PUT", ["applications", _, "commands"]:
                return json_response([{**one, "id": "1", "application_id": BOT} for one in body])
            case "GET", ["channels", channel, "messages"]:
                return json_response(self._history(channel, int(body["after"]), int(body["limit"])))
            case "GET", ["channels", _, "messages", message]:
                question = next((one for one in self.user_messages if one["id"] == message), None)
                return json_response(question) if question else _unknown_message()
            case "POST", ["users", "@me", "channels"]:
                return json_response({"id": DM, "type": 1, "recipients": [user(body["recipient_id"])]})
            case "POST", ["channels", channel, "messages"]:
                known = self.nonces.get(str(body.get("nonce")))
                return json_response(self.messages[known] if known else self._create(channel, body))
            case "PATCH", ["channels", _, "messages", message]:
                return self._edit(message, body)
            case "DELETE", ["channels", _, "messages", message]:
                self.messages.pop(message, None)
                return web.Response(status=204)
            case "POST", ["channels", _, "typing"]:
                return web.Response(status=204)
            case "PATCH", ["channels", channel]:
                return json_response({"id": channel, "type": 11})
            case "POST", ["interactions", interaction, token, "callback"]:
                return self._callback(interaction, token, body)
            case method, ["webhooks", _, token, *rest]:
                return self._webhook(method, token, rest, body)
        return json_response({"code": 0, "message": "404: Not Found"}, 404)

    def _history(self, channel: str, after: int, limit: int) -> list[dict[str, Any]]:
        """The first `limit` after `after`, newest first."""
        here = [m for m in [*self.user_messages, *self.messages.values()] if m["channel_id"] == channel]
        later = sorted((m for m in here if int(m["id"]) > after), key=lambda m: int(m["id"]))
        return later[:limit][::-1]

    def _create(self, channel: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:
        message = {
            "id": snowflake(),
            "channel_id": channel,
            "author": user(BOT, "parley", bot=True),
            "content": body.get("content", ""),
            "components": body.get("components", []),
            "flags": body.get("flags", 0),
            "type": 0,
            "timestamp": "2024-01-01T00:00:00Z",
            "edited_timestamp": None,
            "tts": False,
            "mention_everyone": False,
            "mentions": [],
            "mention_roles": [],
            "attachments": [],
            "embeds": [],
            "pinned": False,
            **more,
        }
        self.messages[message["id"]] = message
        if body.get("nonce"):
            self.nonces[str(body["nonce"])] = message["id"]
        return message

    def _edit(self, message: str, body: dict[str, Any], *, hook: bool = False) -> web.Response:
        found = self.messages.get(message)
        if found is None or (found["flags"] & 64 and not hook):
            return _unknown_message()
        found |= body
        found["flags"] &= ~128
        return json_response(found)

    def _callback(self, interaction: str, token: str, body: dict[str, Any]) -> web.Response:
        if interaction in self.callbacks:
            return json_response({"code": 40060, "message": "already acknowledged"}, 400)
        self.callbacks[interaction] = body
        told: dict[str, Any] = {"id": interaction, "type": 2}
        if body["type"] in (4, 5):
            data = body.get("data", {})
            flags = data.get("flags", 0) | (128 if body["type"] == 5 else 0)
            message = self._create(CHANNEL, {**data, "flags": flags})
            self.originals[token] = message["id"]
            told["response_message_id"] = message["id"]
        return json_response({"interaction": told})

    def _webhook(self, method: str, token: str, rest: list[str], body: Any) -> web.Response:
        if method == "POST":
            return json_response(self._create(CHANNEL, body))
        message = self.originals.get(token, "") if rest[-1] == "@original" else rest[-1]
        if message not in self.messages:
            return json_response({"code": 10015, "message": "Unknown Webhook"}, 404)
        if method == "PATCH":
            return self._edit(message, body, hook=True)
        if method == "DELETE":
            del self.messages[message]
            return web.Response(status=204)
        return json_response(self.messages[message])

    async def serve_gateway(self, request: web.Request) -> web.StreamResponse:
        if self.gateway_refusals:
            self.gateway_refusals -= 1
            await self._notify(None)
            return web.Response(status=503)
        socket = web.WebSocketResponse(autoclose=False)
        await socket.prepare(request)
        await socket.send_json({"op": 10, "d": {"heartbeat_interval": 41250}})
        try:
            async for frame in socket:
                if frame.type is not WSMsgType.TEXT:
                    continue
                await self._gateway_frame(socket, json.loads(frame.data))
            if self.ignores_close.is_set():
                await asyncio.sleep(60)
            await socket.close()
        finally:
            self._sockets.discard(socket)
            await self._notify(None)
        return socket

    async def _gateway_frame(self, socket: web.WebSocketResponse, frame: dict[str, Any]) -> None:
        if frame["op"] == 1:
            await socket.send_json({"op": 11})
        elif frame["op"] == 2:
            self.identifies.append(frame["d"])
            self.identify_times.append(time.monotonic())
            if self.close_code is not None:
                await socket.close(code=self.close_code)
            else:
                await self._send_ready(socket)
        elif frame["op"] == 6:
            self.resumes.append(frame["d"])
            while self._replay:
                await socket.send_json(self._replay.popleft())
            await socket.send_json({"op": 0, "t": "RESUMED", "s": self._sequence, "d": {}})
            self._sockets.add(socket)
        await self._notify(None)

    async def _send_ready(self, socket: web.WebSocketResponse) -> None:
        self._replay.clear()  # what a new session did not hear it is never told
        ready = {
            "v": 10,
            "user": user(BOT, "parley", bot=True),
            "guilds": [{"id": GUILD, "unavailable": True}],
            "session_id": "session",
            "resume_gateway_url": self.gateway_url,
            "application": {"id": BOT, "flags": 0},
        }
        if self.malformed_readies:
            self.malformed_readies -= 1
            del ready["session_id"]
        events = [("READY", ready), ("GUILD_CREATE", guild())]
        for event, data in events[: 1 if self.omits_guilds else 2]:
            self._sequence += 1
            await socket.send_json({"op": 0, "t": event, "s": self._sequence, "d": data})
        self._sockets.add(socket)

    @property
    def connection_count(self) -> int:
        return len(self._sockets)

    async def _notify(self, request: Request | None) -> None:
        async with self._changed:
            if request is not None:
                self.requests.append(request)
            self._changed.notify_all()


def json_response(body: Any, status: int = 200, /, **headers: str) -> web.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.Response(
        body=json.dumps(body).encode(),
        status=status,
        headers={"Content-Type": "application/json", "Via": "1.1 test", **named},
    )


def _unknown_message() -> web.Response:
    return json_response({"code": 10008, "message": "Unknown Message"}, 404)


def error_reply(status: int, code: int = 0, **more: Any) -> Behaviour:
    async def refuse(_: web.Request) -> web.StreamResponse:
        return json_response({"code": code, "message": "no", **more}, status)

    return refuse


def application() -> dict[str, Any]:
    return {
        "id": BOT,
        "name": "parley",
        "description": "",
        "icon": None,
        "bot_public": True,
        "bot_require_code_grant": False,
        "owner": user(),
        "verify_key": "",
        "flags": 0,
    }


def guild() -> dict[str, Any]:
    everyone = {"id": GUILD, "name": "@everyone", "permissions": WRITE_PERMISSIONS, "position": 0}
    own = {"id": ROLE, "name": "parley", "permissions": "0", "position": 1, "tags": {"bot_id": BOT}}
    look = {"color": 0, "hoist": False, "managed": False, "mentionable": False, "flags": 0}
    thread = {
        "id": THREAD,
        "type": 11,
        "parent_id": CHANNEL,
        "owner_id": PERSON,
        "name": "a thread",
        "message_count": 1,
        "member_count": 1,
        "guild_id": GUILD,
        "thread_metadata": {
            "archived": False,
            "auto_archive_duration": 60,
            "archive_timestamp": "2024-01-01T00:00:00Z",
            "locked": False,
        },
    }
    return {
        "id": GUILD,
        "name": "A server",
        "owner_id": "1",
        "roles": [everyone | look, own | look],
        "members": [member(user=user(BOT, "parley", bot=True))],
        "channels": [{"id": CHANNEL, "type": 0, "name": "general", "position": 0}],
        "threads": [thread],
        "emojis": [],
        "stickers": [],
        "features": [],
        "member_count": 2,
        "unavailable": False,
    }


@contextlib.asynccontextmanager
async def scripted_discord() -> AsyncIterator[ScriptedDiscord]:
    discord = ScriptedDiscord()
    app = web.Application()
    app.router.add_get("/gw", discord.serve_gateway)
    app.router.add_get("/gw/", discord.serve_gateway)
    app.router.add_route("*", "/api/v10/{path:.*}", discord.serve_api)
    runner = web.AppRunner(app, shutdown_timeout=0.2, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    discord.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield discord
    finally:
        await runner.cleanup()
