"""Behaviour that a test dictates: replies to REST calls, and faults of the gateway."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

__all__ = ["GatewayScript", "Script", "ScriptedReply", "SessionLimit"]


@dataclass(frozen=True, slots=True)
class ScriptedReply:
    """One response. `status` None: after `hold_until` the stand-in answers as usual."""

    status: int | None = 200
    body: Any = None
    """Sent as JSON; bytes are sent unchanged."""
    headers: Mapping[str, str] = field(default_factory=dict)
    drops_connection: bool = False
    hold_until: asyncio.Event | None = None
    """The response waits for this event."""

    @classmethod
    def error(cls, status: int, code: int = 0, **fields: Any) -> "ScriptedReply":
        return cls(status, {"code": code, "message": "scripted", **fields})

    async def respond(self) -> web.Response | None:
        if self.hold_until is not None:
            await self.hold_until.wait()
        if self.status is None:
            return None
        body = self.body if isinstance(self.body, bytes) else msgspec.json.encode(self.body)
        return web.Response(status=self.status, body=body, headers={"Content-Type": "application/json", **self.headers})


class Script:
    """The replies to come."""

    def __init__(self) -> None:
        self._entries: list[tuple[str, re.Pattern[str], ScriptedReply]] = []

    def add(self, method: str, path: str, *replies: ScriptedReply) -> None:
        """The next calls whose path fully matches the pattern `path` get these replies, in this order."""
        self._entries += [(method, re.compile(path), reply) for reply in replies]

    def next_reply(self, method: str, path: str) -> ScriptedReply | None:
        for entry in self._entries:
            if entry[0] == method and entry[1].fullmatch(path):
                self._entries.remove(entry)
                return entry[2]
        return None


@dataclass(frozen=True, slots=True)
class SessionLimit:
    remaining: int
    reset_after: float
    """Seconds."""


@dataclass(slots=True)
class GatewayScript:
    """What the gateway recommends to bots, and what it does wrong."""

    shard_count: int = 1
    max_concurrency: int = 1
    session_limit: SessionLimit | None = None
    """Reported in place of the real count."""
    close_code: int | None = None
    """Closes every connection that identifies."""
    malformed_readies: int = 0
    """So many READY events to come lack the session ID."""
    withholds_guilds: bool = False
    """READY lists guilds that are never announced by GUILD_CREATE."""
    ignores_close: bool = False
    """A closing handshake of the bot gets no answer."""
