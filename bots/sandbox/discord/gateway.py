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
SESSIONS = 100  # that may come back
LONGEST_PAYLOAD = 4096  # bytes
MOST_FRAMES, FRAMES_IN = 120, 60.0  # from a client, within so many seconds
STARTS, DAY = 1000, 86_400.0  # sessions a day; Discord resets the token of who wants more


@dataclass(slots=True)
class Session:
    id: str
    intents: int
    shard: tuple[int, int] = (0, 1)
    sequence: int = 0
    sent: deque[Json] = field(default_factory=lambda: deque(maxlen=KEPT))
    line: "Line | None" = None
    order: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while frames are sent, so that what is new never overtakes a replay."""

    def concerns(self, data: Json) -> bool:
        """Whether this shard is told; direct messages go to the first."""
        number, count = self.shard
        guild = data.get("guild_id") or (data.get("id") if "roles" in data else None)
        return (int(guild) >> 22) % count == number if guild else number == 0

    async def tell(self, event: str, data: Json) -> None:
        async with self.order:
            self.sequence += 1
            frame = {"op": 0, "t": event, "s": self.sequence, "d": data}
            self.sent.append(frame)
            if self.line is not None:
                await self.line.send(frame)


@dataclass(slots=True)
class Line:
    """One websocket; compressed when the client asked for it."""

    socket: web.WebSocketResponse
    deflate: Any = None
    silent: bool = False
    heard: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_FRAMES))
    """When the latest frames came."""

    def floods(self, now: float) -> bool:
        full = len(self.heard) == MOST_FRAMES and now - self.heard[0] < FRAMES_IN
        self.heard.append(now)
        return full

    async def send(self, frame: Json) -> None:
        if self.silent:
            return
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
        clock: Callable[[], float],
    ) -> None:
        self.identifies: list[Json] = []
        self.resumes: list[Json] = []
        self.told: deque[tuple[str, Json]] = deque(maxlen=KEPT)
        """What was dispatched, for whoever wants to check it."""
        self.heartbeat = HEARTBEAT
        """Seconds between the heartbeats that new connections are asked for."""
        self.refusing = 0
        self.refusing_with = 503
        self.url = ""
        self._token = token
        self._message_content = message_content
        self._welcome = welcome
        self._changed = changed
        self._clock = clock
        self._started: deque[float] = deque()
        self._sessions: dict[str, Session] = {}

    @property
    def connected(self) -> list[Session]:
        return [session for session in self._sessions.values() if session.line is not None]

    def start_limit(self) -> Json:
        """How many sessions the bot may still begin today, as `GET /gateway/bot` tells it."""
        now = self._clock()
        while self._started and now - self._started[0] >= DAY:
            self._started.popleft()
        left = STARTS - len(self._started)
        after = int((DAY - (now - self._started[0])) * 1000) if self._started else 0
        return {"total": STARTS, "remaining": left, "reset_after": after, "max_concurrency": 1}

    async def dispatch(
        self, event: str, data: Json, blank: Callable[[Json], Json], *, needs: int = -1
    ) -> None:
        """Tell every session, gone ones too (they may resume). `blank` takes out what a session
        without the message content intent is not shown; `needs` are intents, any will do.
        """
        self.told.append((event, data))
        for session in list(self._sessions.values()):
            if session.concerns(data) and (needs < 0 or session.intents & needs):
                shown = data if session.intents & MESSAGE_CONTENT else blank(data)
                await session.tell(event, shown)

    def go_silent(self) -> None:
        """The present connections stay open and carry nothing more; new ones do."""
        for session in self.connected:
            if session.line is not None:
                session.line.silent = True

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
        await line.send({"op": 10, "d": {"heartbeat_interval": int(self.heartbeat * 1000)}})
        session: Session | None = None
        try:
            async for frame in socket:
                if frame.type is not WSMsgType.TEXT:
                    continue
                if line.floods(self._clock()):
                    await socket.close(code=4008, message=b"You are being rate limited.")
                    break
                session = await self._frame(line, msgspec.json.decode(frame.data), session)
        except (msgspec.DecodeError, AttributeError, TypeError, ValueError):
            await socket.close(code=4002, message=b"Decode error.")
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
                await line.send({"op": 11, "d": None})
            case 2 | 6 if session is not None:
                await line.socket.close(code=4005, message=b"Already authenticated.")
            case 2 if isinstance(data, dict):
                session = await self._identify(line, data)
            case 6 if isinstance(data, dict):
                session = await self._resume(line, data)
            case 3 | 4 | 8 if session is None:
                await line.socket.close(code=4003, message=b"Not authenticated.")
            case 3 | 4 | 8:
                pass  # presence, voice, members: nothing that shows
            case _:
                await line.socket.close(code=4001, message=b"Unknown opcode.")
        await self._changed()
        return session

    async def _identify(self, line: Line, data: Json) -> Session | None:
        self.identifies.append({**data, "at": time.monotonic()})
        if data.get("token") != self._token:
            await line.socket.close(code=4004, message=b"Authentication failed.")
            return None
        if self.start_limit()["remaining"] <= 0:
            await line.socket.close(code=4004, message=b"Authentication failed.")
            return None
        self._started.append(self._clock())
        intents = int(data.get("intents", 0))
        if intents & MESSAGE_CONTENT and not self._message_content:
            await line.socket.close(code=4014, message=b"Disallowed intent(s).")
            return None
        number, count = (int(part) for part in data.get("shard") or (0, 1))
        if not 0 <= number < count:
            await line.socket.close(code=4010, message=b"Invalid shard.")
            return None
        session = Session(uuid.uuid4().hex, intents, (number, count), line=line)
        ready, guilds = self._welcome()
        mine = [guild for guild in guilds if session.concerns(guild)]
        ready |= {
            "session_id": session.id,
            "resume_gateway_url": self.url,
            "guilds": [{"id": guild["id"], "unavailable": True} for guild in mine],
        }
        if "shard" in data:
            ready["shard"] = data["shard"]
        self._sessions[session.id] = session
        while len(self._sessions) > SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        for event, told in [("READY", ready), *(("GUILD_CREATE", guild) for guild in mine)]:
            self.told.append((event, told))
            await session.tell(event, told)
        return session

    async def _resume(self, line: Line, data: Json) -> Session | None:
        self.resumes.append(data)
        session = self._sessions.get(str(data.get("session_id")))
        seen = int(data.get("seq") or 0)
        if data.get("token") != self._token:
            await line.socket.close(code=4004, message=b"Authentication failed.")
            return None
        if session is not None and seen > session.sequence:
            await line.socket.close(code=4007, message=b"Invalid seq.")
            return None
        if session is None or seen < session.sequence - len(session.sent):
            await line.send({"op": 9, "d": False})
            return None
        async with session.order:
            session.line = line
            for frame in [frame for frame in session.sent if frame["s"] > seen]:
                await line.send(frame)
        await session.tell("RESUMED", {})
        return session
