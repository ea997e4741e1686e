"""The server: the Bot API over HTTP on loopback."""

from aiohttp import web

from bots.sandbox.telegram.client import ClientBackend
from bots.sandbox.telegram.requests import RequestHandler, not_found_response
from bots.sandbox.telegram.state import Call

MAX_REQUEST_BYTES = 60 * 1024 * 1024


class TelegramStandIn(ClientBackend):
    """A Bot API server, as strict as Telegram's own, and the people who use its chats."""

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        handler = RequestHandler(self)
        app = web.Application(client_max_size=MAX_REQUEST_BYTES)
        app.router.add_route("*", "/bot{token}/{method}", handler.handle)
        app.router.add_get("/file/bot{token}/{path:.+}", handler.serve_file)
        app.router.add_route("*", "/{anything:.*}", not_found_response)
        self.api_base = f"http://{await self._serve(app, host, port)}"

    async def close(self) -> None:
        if self.webhook is not None:
            await self.webhook.close()
            self.webhook = None
        await super().close()

    def environment(self) -> dict[str, str]:
        """The settings that connect a bot to this server."""
        return {"TELEGRAM_BOT_TOKEN": self.token, "TELEGRAM_API_BASE": self.api_base}

    def calls_to(self, method: str) -> list[Call]:
        return [call for call in self.calls if call.method.lower() == method.lower()]

    def early_calls(self) -> list[Call]:
        """The calls that the bot made before its `retry_after` had passed."""
        return [call for call in self.calls if call.is_early]
