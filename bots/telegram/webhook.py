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

from bots.telegram.errors import to_seconds
from bots.telegram.polling import ALLOWED_UPDATES, sanitise_update
from core.errors import ConfigurationError, UnavailableError

__all__ = ["SECRET_HEADER", "WebhookServer", "derive_secret"]

log = structlog.get_logger(__name__)

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 (the header's name)
MAX_UPDATE_BYTES = 1024 * 1024  # bytes of an update
MAX_CONCURRENT_UPDATES = 100  # updates being kept at the same time
CHECK_INTERVAL = 60.0  # seconds
RECHECK_INTERVAL = 15.0  # seconds after a look that failed: before the adapter counts as deaf
MAX_RETRY_SECONDS = 30.0
READ_TIMEOUT_SECONDS = 30.0  # seconds for an update to arrive
SHUTDOWN_TIMEOUT_SECONDS = 2.0  # seconds for what is being kept when the listener closes
HEALTH_PATH = "/healthz"


def derive_secret(token: str) -> str:
    """What Telegram proves itself with; does not tell the token."""
    return hmac.new(token.encode(), b"parley telegram webhook", hashlib.sha256).hexdigest()


class WebhookServer:
    """Listens on `listen` (host:port) for what Telegram sends to `url`.

    `put` keeps an update and raises `NetworkError` when it is to be delivered again.
    """

    def __init__(
        self,
        bot: Bot,
        url: str,
        listen_address: str,
        handle_update: Callable[[Update], Awaitable[None]],
    ) -> None:
        self._bot = bot
        self._url = url
        self._listen_address = listen_address
        self._handle_update = handle_update
        self._secret = derive_secret(bot.token).encode()
        self._update_slots = asyncio.Semaphore(MAX_CONCURRENT_UPDATES)
        self._last_error_date: datetime | None = None
        """When Telegram met the last trouble we know of."""
        self.last_activity: float | None = None
        self.port = 0

    async def run(self) -> None:
        """Listen until cancelled. Raises `ConfigurationError` and `UnavailableError`."""
        app = web.Application(client_max_size=MAX_UPDATE_BYTES)
        app.router.add_post(urlsplit(self._url).path or "/", self._handle_request)
        app.router.add_get(HEALTH_PATH, _health)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT_SECONDS)
        await runner.setup()
        try:
            host, _, port = self._listen_address.rpartition(":")
            try:
                await web.TCPSite(runner, host.strip("[]") or None, int(port)).start()
            except (OSError, OverflowError) as error:
                raise UnavailableError(
                    f"TELEGRAM_WEBHOOK_LISTEN {self._listen_address}: {getattr(error, 'strerror', error)}"
                ) from error
            self.port = runner.addresses[0][1]
            await self._set_webhook()
            await self._check_periodically()
        finally:
            await runner.cleanup()

    async def _set_webhook(self) -> None:
        """Tell Telegram the address. The secret cannot be asked for, so it is set each time."""
        pause = 1.0
        while True:
            try:
                await self._bot.set_webhook(
                    self._url,
                    allowed_updates=list(ALLOWED_UPDATES),
                    max_connections=MAX_CONCURRENT_UPDATES,
                    secret_token=self._secret.decode(),
                )
            except InvalidToken:
                raise
            except TelegramError as error:
                if _is_url_rejected(error):
                    raise ConfigurationError(f"TELEGRAM_WEBHOOK_URL: {error.message}") from None
                wait = max(pause, _retry_after(error))
                # What Telegram itself says of the address; others may say theirs, with the token.
                details = {"said": error.message} if isinstance(error, BadRequest) else {}
                log.warning(
                    "telegram.webhook_not_set",
                    error=type(error).__name__,
                    retry_in=round(wait, 1),
                    **details,
                )
                await asyncio.sleep(wait)
                pause = min(MAX_RETRY_SECONDS, 2 * pause)
            else:
                self.last_activity = time.monotonic()
                log.info("telegram.webhook_set", listen=self._listen_address, port=self.port)
                return

    async def _check_periodically(self) -> None:
        """See that Telegram still knows the address, and what it complains about."""
        pause = CHECK_INTERVAL
        while True:
            await asyncio.sleep(pause)
            try:
                info = await self._bot.get_webhook_info()
            except InvalidToken:
                raise
            except TelegramError as error:
                log.warning("telegram.webhook_not_checked", error=type(error).__name__)
                pause = max(RECHECK_INTERVAL, _retry_after(error))
                continue
            pause = CHECK_INTERVAL
            self.last_activity = time.monotonic()
            self._log_delivery_error(info)
            if _normalise_url(info.url) != _normalise_url(self._url):
                log.error("telegram.webhook_moved", meaning="another process took it away")
                await self._set_webhook()

    def _log_delivery_error(self, info: WebhookInfo) -> None:
        """Log what Telegram could not deliver since the last look."""
        if info.last_error_message and info.last_error_date != self._last_error_date:
            self._last_error_date = info.last_error_date
            log.warning(
                "telegram.webhook_trouble",
                said=info.last_error_message,
                pending=info.pending_update_count,
            )

    async def _handle_request(self, request: web.Request) -> web.Response:
        secret = request.headers.get(SECRET_HEADER, "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(secret, self._secret):
            return web.Response(status=401)
        async with self._update_slots:
            try:
                async with asyncio.timeout(READ_TIMEOUT_SECONDS):
                    payload = msgspec.json.decode(await request.read(), type=dict)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return web.Response(status=400)
            except TimeoutError:
                return web.Response(status=408)
            try:
                await self._handle_update(Update.de_json(sanitise_update(payload), self._bot))
            except NetworkError:
                return web.Response(status=503)  # Telegram delivers it again
        return web.Response()


def _is_url_rejected(error: TelegramError) -> bool:
    """Whether the address itself is refused; that its host is not found may pass."""
    message = error.message.lower()
    return isinstance(error, BadRequest) and "webhook" in message and "resolve" not in message


def _retry_after(error: TelegramError) -> float:
    """Seconds."""
    return to_seconds(error.retry_after) if isinstance(error, RetryAfter) else 0.0


def _normalise_url(url: str) -> tuple[str, str, int | None, str, str]:
    """What two writings of one address have in common."""
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, parts.hostname or "", port, parts.path or "/", parts.query


async def _health(_request: web.Request) -> web.Response:
    return web.Response(text="ok")
