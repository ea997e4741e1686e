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

from bots.sandbox.discord.scripting import GatewayScript
from bots.sandbox.stand_in import BoundedDict, Json

__all__ = ["Gateway"]

HEARTBEAT_INTERVAL = 41.25  # seconds
HEARTBEAT_ACK_DELAY_SECONDS = 0.02  # seconds; sooner and discord.py misreads its own clock
MESSAGE_CONTENT_INTENT = 1 << 15
MAX_DISPATCHES = 10_000  # dispatches for a session that comes back
MAX_SESSIONS = 100  # that may come back
MAX_PAYLOAD_BYTES = 4096  # bytes
MAX_FRAMES, FRAME_WINDOW_SECONDS = 120, 60.0  # from a client, within so many seconds
MAX_SESSION_STARTS, DAY_SECONDS = (
    1000,
    86_400.0,
)  # sessions a day; Discord resets the token of who wants more


@dataclass(slots=True)
class Session:
    id: str
    intents: int
    shard: tuple[int, int] = (0, 1)
    sequence: int = 0
    replay_buffer: deque[Json] = field(default_factory=lambda: deque(maxlen=MAX_DISPATCHES))
    connection: "Connection | None" = None
    send_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while frames are sent, so that what is new never overtakes a replay."""

    def receives(self, data: Json) -> bool:
        """Whether this shard is told; direct messages go to the first."""
        shard_id, count = self.shard
        if count == 1:
            return True
        guild_id = data.get("guild_id") or (data.get("id") if "roles" in data else None)
        return (int(guild_id) >> 22) % count == shard_id if guild_id else shard_id == 0

    async def dispatch(self, event: str, data: Json) -> None:
        async with self.send_lock:
            self.sequence += 1
            frame = {"op": 0, "t": event, "s": self.sequence, "d": data}
            self.replay_buffer.append(frame)
            if self.connection is not None:
                await self.connection.send(frame)


@dataclass(slots=True)
class Connection:
    """One websocket; compressed when the client asked for it."""

    socket: web.WebSocketResponse
    compressor: Any = None
    is_silent: bool = False
    frame_times: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_FRAMES))
    """When the latest frames came."""

    def exceeds_frame_limit(self, now: float) -> bool:
        full = len(self.frame_times) == MAX_FRAMES and now - self.frame_times[0] < FRAME_WINDOW_SECONDS
        self.frame_times.append(now)
        return full

    async def send(self, frame: Json) -> None:
        if self.is_silent:
            return
        raw = msgspec.json.encode(frame)
        with contextlib.suppress(ConnectionError):
            if self.compressor is None:
                await self.socket.send_str(raw.decode())
            else:
                packed = self.compressor.compress(raw) + self.compressor.flush(zlib.Z_SYNC_FLUSH)
                await self.socket.send_bytes(packed)


class Gateway:
    def __init__(
        self,
        token: str,
        *,
        message_content_allowed: bool,
        ready_payload: Callable[[], tuple[Json, list[Json]]],
        on_change: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self.identifies: list[Json] = []
        self.resumes: list[Json] = []
        self.dispatches: deque[tuple[str, Json]] = deque(maxlen=MAX_DISPATCHES)
        """What was dispatched, for whoever wants to check it."""
        self.heartbeat_interval = HEARTBEAT_INTERVAL
        """Seconds between the heartbeats that new connections are asked for."""
        self.remaining_refusals = 0
        self.refusal_status = 503
        self.url = ""
        self.script = GatewayScript()
        self._token = token
        self._message_content_allowed = message_content_allowed
        self._ready_payload = ready_payload
        self._on_change = on_change
        self._clock = clock
        self._session_starts: deque[float] = deque()
        self._sessions: BoundedDict[str, Session] = BoundedDict(MAX_SESSIONS)

    @property
    def connected_sessions(self) -> list[Session]:
        return [session for session in self._sessions.values() if session.connection is not None]

    def session_start_limit(self) -> Json:
        """How many sessions the bot may still begin today, as `GET /gateway/bot` tells it."""
        now = self._clock()
        while self._session_starts and now - self._session_starts[0] >= DAY_SECONDS:
            self._session_starts.popleft()
        left = MAX_SESSION_STARTS - len(self._session_starts)
        after = int((DAY_SECONDS - (now - self._session_starts[0])) * 1000) if self._session_starts else 0
        if (limit := self.script.session_limit) is not None:
            left, after = limit.remaining, int(limit.reset_after * 1000)
        return {
            "total": MAX_SESSION_STARTS,
            "remaining": left,
            "reset_after": after,
            "max_concurrency": self.script.max_concurrency,
        }

    async def dispatch(
        self, event: str, data: Json, redact: Callable[[Json], Json] | None = None, *, required_intents: int = -1
    ) -> None:
        """Send an event to every session, also to disconnected ones, which may resume.

        `redact` removes what a session without the message content intent must not see. A session
        needs any of `required_intents`.
        """
        self.dispatches.append((event, data))
        for session in list(self._sessions.values()):
            if session.receives(data) and (required_intents < 0 or session.intents & required_intents):
                visible = data if redact is None or session.intents & MESSAGE_CONTENT_INTENT else redact(data)
                await session.dispatch(event, visible)

    def go_silent(self) -> None:
        """The present connections stay open and carry nothing more; new ones do."""
        for session in self.connected_sessions:
            if session.connection is not None:
                session.connection.is_silent = True

    async def request_reconnect(self) -> None:
        for session in self.connected_sessions:
            connection, session.connection = session.connection, None
            if connection is not None:
                await connection.send({"op": 7, "d": None})

    async def invalidate_sessions(self, *, resumable: bool) -> None:
        for session in self.connected_sessions:
            connection, session.connection = session.connection, None
            if not resumable:
                del self._sessions[session.id]
            if connection is not None:
                await connection.send({"op": 9, "d": resumable})

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if self.remaining_refusals > 0:
            self.remaining_refusals -= 1
            return web.Response(status=self.refusal_status)
        socket = web.WebSocketResponse(max_msg_size=MAX_PAYLOAD_BYTES, autoping=True, autoclose=False)
        await socket.prepare(request)
        wants = request.query.get("compress") == "zlib-stream"
        connection = Connection(socket, zlib.compressobj() if wants else None)
        await connection.send({"op": 10, "d": {"heartbeat_interval": int(self.heartbeat_interval * 1000)}})
        session: Session | None = None
        try:
            async for frame in socket:
                if frame.type is not WSMsgType.TEXT:
                    continue
                if connection.exceeds_frame_limit(self._clock()):
                    await socket.close(code=4008, message=b"You are being rate limited.")
                    break
                session = await self._handle_frame(connection, msgspec.json.decode(frame.data), session)
            if self.script.ignores_close:
                await asyncio.Event().wait()  # until the server stops
            await socket.close()
        except (msgspec.DecodeError, AttributeError, TypeError, ValueError):
            await socket.close(code=4002, message=b"Decode error.")
        finally:
            if session is not None and session.connection is connection:
                session.connection = None
            self._on_change()
        return socket

    async def _handle_frame(self, connection: Connection, frame: Json, session: Session | None) -> Session | None:
        data = frame.get("d")
        match frame.get("op"):
            case 1:
                await asyncio.sleep(HEARTBEAT_ACK_DELAY_SECONDS)
                await connection.send({"op": 11, "d": None})
            case 2 | 6 if session is not None:
                await connection.socket.close(code=4005, message=b"Already authenticated.")
            case 2 if isinstance(data, dict):
                session = await self._identify(connection, data)
            case 6 if isinstance(data, dict):
                session = await self._resume(connection, data)
            case 3 | 4 | 8 if session is None:
                await connection.socket.close(code=4003, message=b"Not authenticated.")
            case 3 | 4 | 8:
                pass  # presence, voice, members: nothing that shows
            case _:
                await connection.socket.close(code=4001, message=b"Unknown opcode.")
        self._on_change()
        return session

    async def _identify(self, connection: Connection, data: Json) -> Session | None:
        self.identifies.append({**data, "at": time.monotonic()})
        if self.script.close_code is not None:
            await connection.socket.close(code=self.script.close_code)
            return None
        if data.get("token") != self._token:
            await connection.socket.close(code=4004, message=b"Authentication failed.")
            return None
        if self.session_start_limit()["remaining"] <= 0:
            await connection.socket.close(code=4004, message=b"Authentication failed.")
            return None
        self._session_starts.append(self._clock())
        intents = int(data.get("intents", 0))
        if intents & MESSAGE_CONTENT_INTENT and not self._message_content_allowed:
            await connection.socket.close(code=4014, message=b"Disallowed intent(s).")
            return None
        shard_id, shard_count = (int(part) for part in data.get("shard") or (0, 1))
        if not 0 <= shard_id < shard_count:
            await connection.socket.close(code=4010, message=b"Invalid shard.")
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
        for event, payload in [
            ("READY", ready),
            *(("GUILD_CREATE", guild) for guild in shard_guilds),
        ]:
            self.dispatches.append((event, payload))
            await session.dispatch(event, payload)
        return session

    async def _resume(self, connection: Connection, data: Json) -> Session | None:
        self.resumes.append(data)
        session = self._sessions.get(str(data.get("session_id")))
        last_sequence = int(data.get("seq") or 0)
        if data.get("token") != self._token:
            await connection.socket.close(code=4004, message=b"Authentication failed.")
            return None
        if session is not None and last_sequence > session.sequence:
            await connection.socket.close(code=4007, message=b"Invalid seq.")
            return None
        if session is None or last_sequence < session.sequence - len(session.replay_buffer):
            await connection.send({"op": 9, "d": False})
            return None
        async with session.send_lock:
            session.connection = connection
            for frame in [frame for frame in session.replay_buffer if frame["s"] > last_sequence]:
                await connection.send(frame)
        await session.dispatch("RESUMED", {})
        return session
