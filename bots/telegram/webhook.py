"""Receiving by webhook: Telegram is answered 200 only after the inbox has kept the update.

Every process listens; Telegram sends a chat's next update after the answer to the last, so order
holds whichever process it reaches. The secret is derived from the token: nothing to set, and the
same in all processes.
"""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import msgspec
import structlog
from aiohttp import web
from telegram import Bot, Update
from telegram.error import InvalidToken, NetworkError, TelegramError

from bots.telegram.polling import ALLOWED_UPDATES, readable
from core.errors import ConfigurationError, UnavailableError

__all__ = ["HEADER", "Webhook", "secret_of"]

log = structlog.get_logger(__name__)

HEADER = "X-Telegram-Bot-Api-Secret-Token"
LARGEST = 1024 * 1024  # bytes of an update
AT_ONCE = 100  # updates being kept at the same time
CHECK_EVERY = 60.0  # seconds
LONGEST_PAUSE = 30.0
HEALTH = "/healthz"


def secret_of(token: str) -> str:
    """What Telegram proves itself with; does not tell the token."""
    return hmac.new(token.encode(), b"parley telegram webhook", hashlib.sha256).hexdigest()


class Webhook:
    """Listens on `listen` (host:port) for what Telegram sends to `url`.

    `put` keeps an update and raises `NetworkError` when it is to be delivered again.
    """

    def __init__(
        self,
        bot: Bot,
        url: str,
        listen: str,
        put: Callable[[Update], Awaitable[None]],
    ) -> None:
        self._bot = bot
        self._url = url
        self._listen = listen
        self._put = put
        self._secret = secret_of(bot.token)
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self.last_heard: float | None = None
        self.port = 0

    async def run(self) -> None:
        """Listen until cancelled. Raises `ConfigurationError` and `UnavailableError`."""
        app = web.Application(client_max_size=LARGEST)
        app.router.add_post(urlsplit(self._url).path or "/", self._received)
        app.router.add_get(HEALTH, _healthy)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
        await runner.setup()
        try:
            host, _, port = self._listen.rpartition(":")
            try:
                await web.TCPSite(runner, host or None, int(port)).start()
            except OSError as error:
                raise UnavailableError(
                    f"TELEGRAM_WEBHOOK_LISTEN {self._listen}: {error.strerror}"
                ) from error
            self.port = runner.addresses[0][1]
            await self._announce()
            await self._watch()
        finally:
            await runner.cleanup()

    async def _announce(self) -> None:
        """Tell Telegram the address. The secret can not be asked for, so it is set each time."""
        pause = 1.0
        while True:
            try:
                await self._bot.set_webhook(
                    self._url,
                    allowed_updates=list(ALLOWED_UPDATES),
                    max_connections=AT_ONCE,
                    secret_token=self._secret,
                )
            except InvalidToken:
                raise
            except NetworkError as error:
                if "webhook" in error.message.lower():
                    raise ConfigurationError(f"TELEGRAM_WEBHOOK_URL: {error.message}") from None
                log.warning("telegram.webhook_not_set", error=type(error).__name__)
            except TelegramError as error:
                log.warning("telegram.webhook_not_set", error=type(error).__name__)
            else:
                self.last_heard = time.monotonic()
                log.info("telegram.webhook_set", listen=self._listen, port=self.port)
                return
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)

    async def _watch(self) -> None:
        """See that Telegram still knows the address, and what it complains about."""
        while True:
            await asyncio.sleep(CHECK_EVERY)
            try:
                info = await self._bot.get_webhook_info()
            except TelegramError as error:
                log.warning("telegram.webhook_not_checked", error=type(error).__name__)
                continue
            self.last_heard = time.monotonic()
            if info.last_error_message:
                log.warning(
                    "telegram.webhook_trouble",
                    said=info.last_error_message,
                    pending=info.pending_update_count,
                )
            if info.url != self._url:
                log.error("telegram.webhook_moved", meaning="another process has set another")
                await self._announce()

    async def _received(self, request: web.Request) -> web.Response:
        given = request.headers.get(HEADER, "")
        if not hmac.compare_digest(given.encode(), self._secret.encode()):
            return web.Response(status=401)
        try:
            raw = msgspec.json.decode(await request.read(), type=dict)
        except msgspec.DecodeError:
            return web.Response(status=400)
        async with self._at_once:
            update = Update.de_json(readable(raw), self._bot)
            try:
                await self._put(update)
            except NetworkError:
                return web.Response(status=503)  # Telegram delivers it again
        return web.Response()


async def _healthy(_request: web.Request) -> web.Response:
    return web.Response(text="ok")
