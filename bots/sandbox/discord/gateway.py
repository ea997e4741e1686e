"""The gateway: sessions of the bot, what they are told, what they missed."""

import asyncio
import contextlib
import time
import uuid
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from bots.sandbox.discord.world import Json

__all__ = ["Gateway"]

HEARTBEAT = 41.25  # seconds
ACKNOWLEDGE = 0.02  # seconds; sooner and discord.py misreads its own clock
MESSAGE_CONTENT = 1 << 15
KEPT = 10_000  # dispatches for a session that comes back
LONGEST_PAYLOAD = 4096  # bytes


@dataclass(slots=True)
class Session:
    id: str
    intents: int
    sequence: int = 0
    sent: deque[Json] = field(default_factory=lambda: deque(maxlen=KEPT))
    line: "Line | None" = None


@dataclass(slots=True)
class Line:
    """One websocket; compressed when the client asked for it."""

    socket: web.WebSocketResponse
    deflate: Any = None

    async def send(self, frame: Json) -> None:
        raw = msgspec.json.encode(frame)
        with contextlib.suppress(ConnectionError):
            if self.deflate is None:
                await self.socket.send_str(raw.decode())
            else:
                packed = self.deflate.compress(raw) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
                await self.socket.send_bytes(packed)


class Gateway:
    def __init__(
        self,
        token: str,
        *,
        message_content: bool,
        welcome: Callable[[], tuple[Json, list[Json]]],
        changed: Callable[[], Any],
    ) -> None:
        self.identifies: list[Json] = []
        self.resumes: list[Json] = []
        self.told: deque[tuple[str, Json]] = deque(maxlen=KEPT)
        """What was dispatched, for whoever wants to check it."""
        self.refusing = 0
        self.refusing_with = 503
        self.silent = False
        self.url = ""
        self._token = token
        self._message_content = message_content
        self._welcome = welcome
        self._changed = changed
        self._sessions: dict[str, Session] = {}

    @property
    def connected(self) -> list[Session]:
        return [session for session in self._sessions.values() if session.line is not None]

    async def dispatch(self, event: str, data: Json, blank: Callable[[Json], Json]) -> None:
        """Tell every session, gone ones too (they may resume). `blank` takes out what a session
        without the message content intent is not shown.
        """
        self.told.append((event, data))
        for session in self._sessions.values():
            shown = data if session.intents & MESSAGE_CONTENT else blank(data)
            session.sequence += 1
            frame = {"op": 0, "t": event, "s": session.sequence, "d": shown}
            session.sent.append(frame)
            if session.line is not None and not self.silent:
                await session.line.send(frame)

    async def reconnect(self) -> None:
        for session in self.connected:
            line, session.line = session.line, None
            if line is not None:
                await line.send({"op": 7, "d": None})

    async def invalidate(self, *, resumable: bool) -> None:
        for session in self.connected:
            line, session.line = session.line, None
            if not resumable:
                del self._sessions[session.id]
            if line is not None:
                await line.send({"op": 9, "d": resumable})

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if self.refusing > 0:
            self.refusing -= 1
            return web.Response(status=self.refusing_with)
        socket = web.WebSocketResponse(max_msg_size=LONGEST_PAYLOAD, autoping=True)
        await socket.prepare(request)
        wants = request.query.get("compress") == "zlib-stream"
        line = Line(socket, zlib.compressobj() if wants else None)
        await line.send({"op": 10, "d": {"heartbeat_interval": int(HEARTBEAT * 1000)}})
        session: Session | None = None
        try:
            async for frame in socket:
                if frame.type is not WSMsgType.TEXT:
                    continue
                session = await self._frame(line, msgspec.json.decode(frame.data), session)
        finally:
            if session is not None and session.line is line:
                session.line = None
            await self._changed()
        return socket

    async def _frame(self, line: Line, frame: Json, session: Session | None) -> Session | None:
        data = frame.get("d")
        match frame.get("op"):
            case 1:
                await asyncio.sleep(ACKNOWLEDGE)
                if not self.silent:
                    await line.send({"op": 11, "d": None})
            case 2 if isinstance(data, dict):
                session = await self._identify(line, data)
            case 6 if isinstance(data, dict):
                session = await self._resume(line, data)
        await self._changed()
        return session

    async def _identify(self, line: Line, data: Json) -> Session | None:
        self.identifies.append({**data, "at": time.monotonic()})
        if data.get("token") != self._token:
            await line.socket.close(code=4004, message=b"Authentication failed.")
            return None
        intents = int(data.get("intents", 0))
        if intents & MESSAGE_CONTENT and not self._message_content:
            await line.socket.close(code=4014, message=b"Disallowed intent(s).")
            return None
        session = Session(uuid.uuid4().hex, intents, line=line)
        ready, guilds = self._welcome()
        ready |= {"session_id": session.id, "resume_gateway_url": self.url}
        if "shard" in data:
            ready["shard"] = data["shard"]
        for event, told in [("READY", ready), *(("GUILD_CREATE", guild) for guild in guilds)]:
            session.sequence += 1
            self.told.append((event, told))
            await line.send({"op": 0, "t": event, "s": session.sequence, "d": told})
        self._sessions[session.id] = session
        return session

    async def _resume(self, line: Line, data: Json) -> Session | None:
        self.resumes.append(data)
        session = self._sessions.get(str(data.get("session_id")))
        if session is None or data.get("token") != self._token:
            await line.send({"op": 9, "d": False})
            return None
        session.line = line
        for frame in [f for f in session.sent if f["s"] > int(data.get("seq") or 0)]:
            await line.send(frame)
        await line.send({"op": 0, "t": "RESUMED", "s": session.sequence, "d": {}})
        return session
