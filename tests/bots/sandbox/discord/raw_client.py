"""A bot that speaks plain HTTP, on a clock that tests move."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from bots.sandbox.discord import Channel, DiscordStandIn, Interaction, Limits, User
from tests import api_specs
from tests.clock import FakeClock


class RawClient:
    """Has one user and a direct message channel with her. Checks error bodies against the API description."""

    def __init__(self, server: DiscordStandIn, http: aiohttp.ClientSession, clock: FakeClock) -> None:
        self.server, self.http, self.clock = server, http, clock
        self.ann: User = server.create_user("Ann")
        self.dm: Channel = server.open_dm(self.ann)
        self.messages_path = f"/channels/{self.dm.id}/messages"
        self.headers: dict[str, str] = {}
        """Of the last response."""

    async def call(self, method: str, path: str, body: Any = None, *, token: str | None = None) -> tuple[int, Any]:
        """The status and the body of the response."""
        headers = {"Authorization": f"Bot {token or self.server.token}"}
        async with self.http.request(method, self.server.api_base + path, json=body, headers=headers) as response:
            self.headers = dict(response.headers)
            result = await response.json() if response.status != 204 else None
        if api_specs.SPECS_DIR.is_dir() and response.status in (400, 403, 404):
            assert api_specs.discord_response_errors(method, path, response.status, result) == []
        return response.status, result

    async def error_of(self, method: str, path: str, body: Any = None) -> tuple[int, int]:
        """The status and the error code of the response."""
        status, error = await self.call(method, path, body)
        return status, error["code"]

    async def start_interaction(self) -> tuple[Interaction, str]:
        """An interaction by a command, and the path of its callback."""
        self.server.commands = [{"id": "1", "name": "ask", "type": 1, "options": []}]
        interaction = await self.server.use_command(self.ann, self.dm, "ask")
        return interaction, f"/interactions/{interaction.id}/{interaction.token}/callback"

    def webhook_path(self, interaction: Interaction, rest: str = "") -> str:
        return f"/webhooks/{self.server.application_id}/{interaction.token}{rest}"


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
