"""Replies that a test dictates in place of the stand-in's own: any status, any body, at any time."""

import asyncio
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

from bots.sandbox.stand_in import drop_connection
from bots.sandbox.telegram.state import Json

__all__ = ["Script", "ScriptedReply"]


@dataclass(frozen=True, slots=True)
class ScriptedReply:
    """One response. A status other than 200 is an error with `description` and `parameters`."""

    status: int = 200
    result: Any = True
    description: str = ""
    parameters: Json = field(default_factory=dict)
    body: str | None = None
    """The whole response in place of JSON, such as the error page of a proxy."""
    drops_connection: bool = False
    hold_until: asyncio.Event | None = None
    """The response waits for this event."""

    @classmethod
    def error(cls, status: int, description: str, **parameters: int) -> "ScriptedReply":
        return cls(status, None, description, parameters)

    async def respond(self, request: web.Request) -> web.Response:
        if self.hold_until is not None:
            await self.hold_until.wait()
        if self.drops_connection:
            drop_connection(request)
        if self.body is not None:
            return web.Response(status=self.status, text=self.body)
        return web.Response(
            status=self.status, body=msgspec.json.encode(self._payload()), content_type="application/json"
        )

    def _payload(self) -> Json:
        if self.status == 200:
            return {"ok": True, "result": self.result}
        payload: Json = {"ok": False, "error_code": self.status, "description": self.description}
        return payload | ({"parameters": self.parameters} if self.parameters else {})


class Script:
    """The replies to come, by method."""

    def __init__(self) -> None:
        self._replies: defaultdict[str, deque[ScriptedReply]] = defaultdict(deque)

    def add(self, method: str, *replies: ScriptedReply) -> None:
        """The next calls of `method` get these replies, in this order."""
        self._replies[method.lower()].extend(replies)

    def next_reply(self, method: str) -> ScriptedReply | None:
        replies = self._replies[method.lower()]
        return replies.popleft() if replies else None
