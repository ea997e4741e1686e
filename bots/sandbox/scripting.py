"""Replies that a test dictates in place of a stand-in's own: any status, any body, at any time."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import msgspec
from aiohttp import web


def drop_connection(request: web.Request) -> NoReturn:
    """Close the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    raise ConnectionResetError


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

    async def respond(self, request: web.Request) -> web.Response | None:
        if self.hold_until is not None:
            await self.hold_until.wait()
        if self.drops_connection:
            drop_connection(request)
        if self.status is None:
            return None
        body = self.body if isinstance(self.body, bytes) else msgspec.json.encode(self.body)
        return web.Response(status=self.status, body=body, headers={"Content-Type": "application/json", **self.headers})


class Script:
    """The replies to come."""

    def __init__(self) -> None:
        self._entries: list[tuple[re.Pattern[str], ScriptedReply]] = []

    def add(self, call: str, *replies: ScriptedReply) -> None:
        """The next calls that fully match the pattern `call` get these replies, in this order."""
        self._entries += [(re.compile(call, re.IGNORECASE), reply) for reply in replies]

    def next_reply(self, call: str) -> ScriptedReply | None:
        for entry in self._entries:
            if entry[0].fullmatch(call):
                self._entries.remove(entry)
                return entry[1]
        return None
