"""A bot that speaks plain HTTP and says whatever it likes."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from bots.sandbox.discord import Channel, DiscordStandIn, Interaction, Limits, User
from tests import api_specs

__all__ = ["FakeClock", "RawClient", "raw_client"]


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class RawClient:
    """A bot that says whatever it likes."""

    def __init__(self, server: DiscordStandIn, http: aiohttp.ClientSession, clock: FakeClock) -> None:
        self.server, self.http, self.clock = server, http, clock
        self.ann: User = server.create_user("Ann")
        self.dm: Channel = server.open_dm(self.ann)
        self.messages_path = f"/channels/{self.dm.id}/messages"
        self.headers: dict[str, str] = {}

    async def call(self, method: str, path: str, body: Any = None, *, token: str | None = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bot {token or self.server.token}"}
        async with self.http.request(method, self.server.api_base + path, json=body, headers=headers) as answer:
            self.headers = dict(answer.headers)
            found = await answer.json() if answer.status != 204 else None
        if api_specs.SPECS_DIR.is_dir() and answer.status in (400, 403, 404):
            assert api_specs.discord_response_errors(method, path, answer.status, found) == []
        return answer.status, found

    async def error_of(self, method: str, path: str, body: Any = None) -> tuple[int, int]:
        status, found = await self.call(method, path, body)
        return status, found["code"]

    async def start_interaction(self) -> tuple[Interaction, str]:
        """A command just used, and where to respond."""
        self.server.commands = [{"id": "1", "name": "ask", "type": 1, "options": []}]
        made = await self.server.use_command(self.ann, self.dm, "ask")
        return made, f"/interactions/{made.id}/{made.token}/callback"

    def webhook_path(self, made: Interaction, rest: str = "") -> str:
        return f"/webhooks/{self.server.application_id}/{made.token}{rest}"


@contextlib.asynccontextmanager
async def raw_client(limits: Limits) -> AsyncIterator[RawClient]:
    clock = FakeClock()
    server = DiscordStandIn(limits=limits, clock=clock)
    await server.start()
    try:
        async with aiohttp.ClientSession() as http:
            yield RawClient(server, http, clock)
    finally:
        await server.close()
