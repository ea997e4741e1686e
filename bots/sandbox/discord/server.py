"""The server: REST over HTTP beside the gateway."""

from aiohttp import web

from bots.sandbox.discord.people import People
from bots.sandbox.discord.rest import Rest
from bots.sandbox.discord.wire import Wire
from bots.sandbox.discord.world import Call

__all__ = ["DiscordStandIn"]

INVALID_FOR = 600.0  # seconds


class DiscordStandIn(People):
    """A Discord, as strict as Discord itself, and the people who use its channels."""

    _runner: web.AppRunner | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        wire = Wire(self, Rest(self))
        app = web.Application(client_max_size=30 * 1024 * 1024)
        app.router.add_get("/gateway", self.gateway.serve)
        app.router.add_get("/gateway/", self.gateway.serve)
        app.router.add_route("*", "/api/v10/{path:.*}", wire.serve)
        app.router.add_get("/attachments/{id}/{name}", wire.fetch)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        at = f"{host}:{self._runner.addresses[0][1]}"
        self.api_base, self.gateway_url = f"http://{at}/api/v10", f"ws://{at}/gateway"
        self.gateway.url = self.gateway_url

    async def close(self) -> None:
        for timer in self._late.values():
            timer.cancel()
        if self._runner is not None:
            await self._runner.cleanup()

    async def ready(self, timeout: float = 10) -> None:
        """A session of the bot is connected."""
        await self.wait(lambda: self.gateway.connected, timeout)

    def refused(self, status: int = 429) -> list[Call]:
        return [call for call in self.calls if call.status == status]

    @property
    def invalid_requests(self) -> int:
        """Of the last ten minutes: Discord shuts out who makes 10,000 of them."""
        since = self.clock() - INVALID_FOR
        return sum(call.status in (401, 403, 429) and call.time > since for call in self.calls)

    async def force_reconnect(self) -> None:
        await self.gateway.reconnect()

    async def invalidate_session(self, *, resumable: bool = False) -> None:
        await self.gateway.invalidate(resumable=resumable)

    def go_silent(self) -> None:
        """The connection stays open and carries nothing more, until the bot makes a new one."""
        self.gateway.go_silent()

    def refuse_connections(self, count: int, status: int = 503) -> None:
        self.gateway.refusing, self.gateway.refusing_with = count, status
