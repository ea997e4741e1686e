"""The gateway: connections, sessions, and the events that a session gets or missed."""

import asyncio
import contextlib
import uuid
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from bots.sandbox import stand_in
from bots.sandbox.discord.enums import CLOSE_REASONS, CloseCode, Opcode
from bots.sandbox.stand_in import Json
from core.bounded_dict import BoundedDict
from core.clock import Clock

HEARTBEAT_INTERVAL = 41.25
HEARTBEAT_ACK_DELAY_SECONDS = 0.02
"""With an earlier answer discord.py misreads its own clock."""
MESSAGE_CONTENT_INTENT = 1 << 15
MAX_DISPATCHES = 10_000
MAX_SESSIONS = 100
MAX_PAYLOAD_BYTES = 4096
MAX_FRAMES, FRAME_WINDOW_SECONDS = 120, 60.0
"""A client may send this many frames within the window."""
MAX_SESSION_STARTS, DAY_SECONDS = 1000, 86_400.0
"""Discord resets the token of a bot that starts more sessions in a day."""


@dataclass(slots=True)
class Session:
    id: str
    intents: int
    shard: tuple[int, int] = (0, 1)
    sequence: int = 0
    replay_buffer: deque[Json] = field(default_factory=lambda: deque(maxlen=MAX_DISPATCHES))
    connection: "Connection | None" = None
    send_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Locked while frames are sent, so that new events never overtake a replay."""

    def receives(self, data: Json) -> bool:
        """Whether this shard gets the event. Direct messages go to the first shard."""
        shard_id, count = self.shard
        if count == 1:
            return True
        guild_id = data.get("guild_id") or (data.get("id") if "roles" in data else None)
        return (int(guild_id) >> 22) % count == shard_id if guild_id else shard_id == 0

    async def dispatch(self, event: str, data: Json) -> None:
        async with self.send_lock:
            self.sequence += 1
            frame = {"op": Opcode.DISPATCH, "t": event, "s": self.sequence, "d": data}
            self.replay_buffer.append(frame)
            if self.connection is not None:
                await self.connection.send(frame)


@dataclass(slots=True)
class Connection:
    """A websocket. `compressor` is None without compression."""

    socket: web.WebSocketResponse
    compressor: Any = None
    is_silent: bool = False
    frame_times: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_FRAMES))
    """When the last frames arrived."""

    def exceeds_frame_limit(self, now: float) -> bool:
        is_exceeded = len(self.frame_times) == MAX_FRAMES and now - self.frame_times[0] < FRAME_WINDOW_SECONDS
        self.frame_times.append(now)
        return is_exceeded

    async def send(self, frame: Json) -> None:
        if self.is_silent:
            return
        raw = msgspec.json.encode(frame)
        with contextlib.suppress(ConnectionError):
            if self.compressor is None:
                await self.socket.send_str(raw.decode())
            else:
                compressed = self.compressor.compress(raw) + self.compressor.flush(zlib.Z_SYNC_FLUSH)
                await self.socket.send_bytes(compressed)

    async def close(self, code: CloseCode) -> None:
        await self.socket.close(code=code, message=CLOSE_REASONS[code])


class Gateway:
    def __init__(
        self,
        token: str,
        *,
        message_content_allowed: bool,
        ready_payload: Callable[[], tuple[Json, list[Json]]],
        on_change: Callable[[], None],
        clock: Clock,
    ) -> None:
        self.identifies: list[Json] = []
        self.resumes: list[Json] = []
        self.dispatches: deque[tuple[str, Json]] = deque(maxlen=MAX_DISPATCHES)
        self.heartbeat_interval = HEARTBEAT_INTERVAL
        """Sent to new connections, in seconds."""
        self.remaining_refusals = 0
        """How many of the next connections are refused."""
        self.url = ""
        self.script = GatewayScript()
        self._token = token
        self.is_message_content_allowed = message_content_allowed
        self._ready_payload = ready_payload
        self._on_change = on_change
        self._clock = clock
        self._session_starts: deque[float] = deque()
        self._sessions: BoundedDict[str, Session] = BoundedDict(MAX_SESSIONS)

    @property
    def connected_sessions(self) -> list[Session]:
        return [session for session, _ in self._open_connections()]

    def _open_connections(self) -> list[tuple[Session, Connection]]:
        return [(session, session.connection) for session in self._sessions.values() if session.connection is not None]

    def session_start_limit(self) -> Json:
        """How many sessions the bot may still start today, as `GET /gateway/bot` reports it."""
        now = self._clock.monotonic()
        while self._session_starts and now - self._session_starts[0] >= DAY_SECONDS:
            self._session_starts.popleft()
        remaining = MAX_SESSION_STARTS - len(self._session_starts)
        reset_after = DAY_SECONDS - (now - self._session_starts[0]) if self._session_starts else 0.0
        if self.script.remaining_sessions is not None:
            remaining, reset_after = self.script.remaining_sessions, self.script.session_reset_after
        return {
            "total": MAX_SESSION_STARTS,
            "remaining": remaining,
            "reset_after": int(reset_after * 1000),
            "max_concurrency": self.script.max_concurrency,
        }

    async def dispatch(self, event: str, data: Json, redact: Callable[[Json], Json] | None = None) -> None:
        """Send an event to every session, also to disconnected ones, which may resume.

        `redact` removes what a session without the message content intent must not see.
        """
        self.dispatches.append((event, data))
        for session in list(self._sessions.values()):
            if session.receives(data):
                visible = data if redact is None or session.intents & MESSAGE_CONTENT_INTENT else redact(data)
                await session.dispatch(event, visible)

    def go_silent(self) -> None:
        """Open connections stay open but send nothing more; new connections work."""
        for _, connection in self._open_connections():
            connection.is_silent = True

    async def request_reconnect(self) -> None:
        for session, connection in self._open_connections():
            session.connection = None
            await connection.send({"op": Opcode.RECONNECT, "d": None})

    async def invalidate_sessions(self, *, resumable: bool = False) -> None:
        for session, connection in self._open_connections():
            session.connection = None
            if not resumable:
                del self._sessions[session.id]
            await connection.send({"op": Opcode.INVALIDATE_SESSION, "d": resumable})

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if self.remaining_refusals > 0:
            self.remaining_refusals -= 1
            return web.Response(status=503)
        socket = web.WebSocketResponse(max_msg_size=MAX_PAYLOAD_BYTES, autoping=True, autoclose=False)
        await socket.prepare(request)
        compresses = request.query.get("compress") == "zlib-stream"
        connection = Connection(socket, zlib.compressobj() if compresses else None)
        await connection.send({"op": Opcode.HELLO, "d": {"heartbeat_interval": int(self.heartbeat_interval * 1000)}})
        session: Session | None = None
        try:
            async for frame in socket:
                if frame.type is not WSMsgType.TEXT:
                    continue
                if connection.exceeds_frame_limit(self._clock.monotonic()):
                    await connection.close(CloseCode.RATE_LIMITED)
                    break
                session = await self._handle_frame(connection, msgspec.json.decode(frame.data), session)
            if self.script.ignores_close:
                await asyncio.Event().wait()  # until the server stops
            await socket.close()
        except (msgspec.DecodeError, AttributeError, TypeError, ValueError):
            await connection.close(CloseCode.DECODE_ERROR)
        finally:
            if session is not None and session.connection is connection:
                session.connection = None
            self._on_change()
        return socket

    async def _handle_frame(self, connection: Connection, frame: Json, session: Session | None) -> Session | None:
        data = frame.get("d")
        match frame.get("op"):
            case Opcode.HEARTBEAT:
                await asyncio.sleep(HEARTBEAT_ACK_DELAY_SECONDS)
                await connection.send({"op": Opcode.HEARTBEAT_ACK, "d": None})
            case Opcode.IDENTIFY | Opcode.RESUME if session is not None:
                await connection.close(CloseCode.ALREADY_AUTHENTICATED)
            case Opcode.IDENTIFY if isinstance(data, dict):
                session = await self._identify(connection, data)
            case Opcode.RESUME if isinstance(data, dict):
                session = await self._resume(connection, data)
            case Opcode.PRESENCE | Opcode.VOICE_STATE | Opcode.REQUEST_MEMBERS:
                if session is None:
                    await connection.close(CloseCode.NOT_AUTHENTICATED)
            case _:
                await connection.close(CloseCode.UNKNOWN_OPCODE)
        self._on_change()
        return session

    async def _identify(self, connection: Connection, data: Json) -> Session | None:
        self.identifies.append({**data, "at": self._clock.monotonic()})
        if self.script.close_code is not None:
            await connection.socket.close(code=self.script.close_code)
            return None
        if data.get("token") != self._token or self.session_start_limit()["remaining"] <= 0:
            await connection.close(CloseCode.AUTHENTICATION_FAILED)
            return None
        self._session_starts.append(self._clock.monotonic())
        intents = int(data.get("intents", 0))
        if intents & MESSAGE_CONTENT_INTENT and not self.is_message_content_allowed:
            await connection.close(CloseCode.DISALLOWED_INTENTS)
            return None
        shard_id, shard_count = (int(part) for part in data.get("shard") or (0, 1))
        if not 0 <= shard_id < shard_count:
            await connection.close(CloseCode.INVALID_SHARD)
            return None
        session = Session(uuid.uuid4().hex, intents, (shard_id, shard_count), connection=connection)
        ready, guilds = self._ready_payload()
        shard_guilds = [guild for guild in guilds if session.receives(guild)]
        ready |= {
            "session_id": session.id,
            "resume_gateway_url": self.url,
            "guilds": [{"id": guild["id"], "unavailable": True} for guild in shard_guilds],
        }
        if "shard" in data:
            ready["shard"] = data["shard"]
        if self.script.malformed_readies > 0:
            self.script.malformed_readies -= 1
            del ready["session_id"]
        if self.script.withholds_guilds:
            shard_guilds = []
        self._sessions[session.id] = session
        for event, payload in [("READY", ready), *(("GUILD_CREATE", guild) for guild in shard_guilds)]:
            self.dispatches.append((event, payload))
            await session.dispatch(event, payload)
        return session

    async def _resume(self, connection: Connection, data: Json) -> Session | None:
        self.resumes.append(data)
        session = self._sessions.get(str(data.get("session_id")))
        last_sequence = data.get("seq") or 0
        if not isinstance(last_sequence, int):
            await connection.close(CloseCode.DECODE_ERROR)
            return None
        if data.get("token") != self._token:
            await connection.close(CloseCode.AUTHENTICATION_FAILED)
            return None
        if session is not None and last_sequence > session.sequence:
            await connection.close(CloseCode.INVALID_SEQUENCE)
            return None
        if session is None or last_sequence < session.sequence - len(session.replay_buffer):
            await connection.send({"op": Opcode.INVALIDATE_SESSION, "d": False})
            return None
        async with session.send_lock:
            session.connection = connection
            for frame in list(session.replay_buffer):
                if frame["s"] > last_sequence:
                    await connection.send(frame)
        await session.dispatch("RESUMED", {})
        return session


class ScriptedReply(stand_in.ScriptedReply):
    @classmethod
    def error(cls, status: int, code: int = 0, **fields: Any) -> "ScriptedReply":
        return cls(status, {"code": code, "message": "scripted", **fields})


@dataclass(slots=True)
class GatewayScript:
    """What the gateway recommends to bots, and what it does wrong."""

    shard_count: int = 1
    max_concurrency: int = 1
    remaining_sessions: int | None = None
    """Reported in place of the real count, with `session_reset_after`."""
    session_reset_after: float = 0.0
    """Seconds."""
    close_code: int | None = None
    """Closes every connection that identifies."""
    malformed_readies: int = 0
    """How many of the next READY events lack the session ID."""
    withholds_guilds: bool = False
    """READY lists guilds that are never announced by GUILD_CREATE."""
    ignores_close: bool = False
    """A closing handshake of the bot gets no answer."""
