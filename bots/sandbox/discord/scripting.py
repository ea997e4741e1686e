"""Behaviour that a test dictates: replies to REST calls, and faults of the gateway."""

from dataclasses import dataclass
from typing import Any

from bots.sandbox import scripting


class ScriptedReply(scripting.ScriptedReply):
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
    """So many READY events to come lack the session ID."""
    withholds_guilds: bool = False
    """READY lists guilds that are never announced by GUILD_CREATE."""
    ignores_close: bool = False
    """A closing handshake of the bot gets no answer."""
