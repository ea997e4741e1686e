"""The server: REST and the gateway on loopback."""

import re

from aiohttp import web

from bots.sandbox.discord.client import ClientBackend
from bots.sandbox.discord.requests import RequestHandler
from bots.sandbox.discord.state import Call

MAX_REQUEST_BYTES = 30 * 1024 * 1024


class DiscordStandIn(ClientBackend):
    """A Discord server, as strict as Discord's own, and the people who use its channels."""

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        handler = RequestHandler(self)
        app = web.Application(client_max_size=MAX_REQUEST_BYTES)
        app.router.add_get("/gateway", self.gateway.serve)
        app.router.add_get("/gateway/", self.gateway.serve)
        app.router.add_route("*", "/api/v10/{path:.*}", handler.handle)
        app.router.add_get("/attachments/{id}/{name}", handler.serve_attachment)
        address = await self._serve(app, host, port)
        self.api_base, self.gateway_url = f"http://{address}/api/v10", f"ws://{address}/gateway"
        self.gateway.url = self.gateway_url

    async def close(self) -> None:
        for timer in self._acknowledge_timers.values():
            timer.cancel()
        await super().close()

    def environment(self) -> dict[str, str]:
        """The settings that connect a bot to this server."""
        return {
            "DISCORD_BOT_TOKEN": self.token,
            "DISCORD_API_BASE": self.api_base,
            "DISCORD_GATEWAY_URL": self.gateway_url,
        }

    async def wait_until_ready(self, timeout: float = 10) -> None:
        """Wait until a session of the bot is connected."""
        await self.wait_for(lambda: self.gateway.connected_sessions, timeout)

    def calls_to(self, method: str, path: str) -> list[Call]:
        """The calls whose path fully matches the pattern `path`."""
        return [call for call in self.calls if call.method == method and re.fullmatch(path, call.path)]
