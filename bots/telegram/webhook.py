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
from datetime import datetime
from urllib.parse import urlsplit

import msgspec
import structlog
from aiohttp import web
from telegram import Bot, Update, WebhookInfo
from telegram.error import BadRequest, InvalidToken, NetworkError, RetryAfter, TelegramError

from bots.telegram.faults import seconds
from bots.telegram.polling import ALLOWED_UPDATES, readable
from core.errors import ConfigurationError, UnavailableError

__all__ = ["HEADER", "Webhook", "secret_of"]

log = structlog.get_logger(__name__)

HEADER = "X-Telegram-Bot-Api-Secret-Token"
LARGEST = 1024 * 1024  # bytes of an update
AT_ONCE = 100  # updates being kept at the same time
CHECK_EVERY = 60.0  # seconds
CHECK_AGAIN = 15.0  # seconds after a look that failed: before the adapter counts as deaf
LONGEST_PAUSE = 30.0
READ_IN = 30.0  # seconds for an update to arrive
ENDING = 2.0  # seconds for what is being kept when the listener closes
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
        self._secret = secret_of(bot.token).encode()
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._complained: datetime | None = None
        """When Telegram met the last trouble we know of."""
        self.last_heard: float | None = None
        self.port = 0

    async def run(self) -> None:
        """Listen until cancelled. Raises `ConfigurationError` and `UnavailableError`."""
        app = web.Application(client_max_size=LARGEST)
        app.router.add_post(urlsplit(self._url).path or "/", self._received)
        app.router.add_get(HEALTH, _healthy)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=ENDING)
        await runner.setup()
        try:
            host, _, port = self._listen.rpartition(":")
            try:
                await web.TCPSite(runner, host.strip("[]") or None, int(port)).start()
            except (OSError, OverflowError) as error:
                raise UnavailableError(
                    f"TELEGRAM_WEBHOOK_LISTEN {self._listen}: {getattr(error, 'strerror', error)}"
                ) from error
            self.port = runner.addresses[0][1]
            await self._announce()
            await self._watch()
        finally:
            await runner.cleanup()

    async def _announce(self) -> None:
        """Tell Telegram the address. The secret cannot be asked for, so it is set each time."""
        pause = 1.0
        while True:
            try:
                await self._bot.set_webhook(
                    self._url,
                    allowed_updates=list(ALLOWED_UPDATES),
                    max_connections=AT_ONCE,
                    secret_token=self._secret.decode(),
                )
            except InvalidToken:
                raise
            except TelegramError as error:
                if _wrong_address(error):
                    raise ConfigurationError(f"TELEGRAM_WEBHOOK_URL: {error.message}") from None
                wait = max(pause, _asked_to_wait(error))
                # What Telegram itself says of the address; others may say theirs, with the token.
                said = {"said": error.message} if isinstance(error, BadRequest) else {}
                log.warning(
                    "telegram.webhook_not_set",
                    error=type(error).__name__,
                    retry_in=round(wait, 1),
                    **said,
                )
                await asyncio.sleep(wait)
                pause = min(LONGEST_PAUSE, 2 * pause)
            else:
                self.last_heard = time.monotonic()
                log.info("telegram.webhook_set", listen=self._listen, port=self.port)
                return

    async def _watch(self) -> None:
        """See that Telegram still knows the address, and what it complains about."""
        pause = CHECK_EVERY
        while True:
            await asyncio.sleep(pause)
            try:
                info = await self._bot.get_webhook_info()
            except InvalidToken:
                raise
            except TelegramError as error:
                log.warning("telegram.webhook_not_checked", error=type(error).__name__)
                pause = max(CHECK_AGAIN, _asked_to_wait(error))
                continue
            pause = CHECK_EVERY
            self.last_heard = time.monotonic()
            self._tell(info)
            if _plain(info.url) != _plain(self._url):
                log.error("telegram.webhook_moved", meaning="another process took it away")
                await self._announce()

    def _tell(self, info: WebhookInfo) -> None:
        """Log what Telegram could not deliver since the last look."""
        if info.last_error_message and info.last_error_date != self._complained:
            self._complained = info.last_error_date
            log.warning(
                "telegram.webhook_trouble",
                said=info.last_error_message,
                pending=info.pending_update_count,
            )

    async def _received(self, request: web.Request) -> web.Response:
        given = request.headers.get(HEADER, "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, self._secret):
            return web.Response(status=401)
        async with self._at_once:
            try:
                async with asyncio.timeout(READ_IN):
                    raw = msgspec.json.decode(await request.read(), type=dict)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return web.Response(status=400)
            except TimeoutError:
                return web.Response(status=408)
            try:
                await self._put(Update.de_json(readable(raw), self._bot))
            except NetworkError:
                return web.Response(status=503)  # Telegram delivers it again
        return web.Response()


def _wrong_address(error: TelegramError) -> bool:
    """Whether the address itself is refused; that its host is not found may pass."""
    said = error.message.lower()
    return isinstance(error, BadRequest) and "webhook" in said and "resolve" not in said


def _asked_to_wait(error: TelegramError) -> float:
    """Seconds."""
    return seconds(error.retry_after) if isinstance(error, RetryAfter) else 0.0


def _plain(url: str) -> tuple[str, str, int | None, str, str]:
    """What two writings of one address have in common."""
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, parts.hostname or "", port, parts.path or "/", parts.query


async def _healthy(_request: web.Request) -> web.Response:
    return web.Response(text="ok")
