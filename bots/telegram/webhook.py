"""Receives updates by webhook: Telegram gets status 200 only after the inbox has stored the update.

Every process listens. Telegram sends a chat's next update only after the previous one was accepted, so
updates stay in order whichever process receives them. The secret is derived from the token, so it needs
no setting and is the same in all processes.
"""

import asyncio
import hashlib
import hmac
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from telegram import Bot, Update, WebhookInfo
from telegram.error import BadRequest, InvalidToken, TelegramError

from bots.telegram.errors import UpdateNotStoredError, redact_token, retry, retry_after
from bots.telegram.timings import TelegramTimings
from bots.telegram.updates import MESSAGE_UPDATES, sanitise_update
from bots.workers import WORKER_VARIABLE
from core.errors import ConfigurationError, UnavailableError
from core.throttled_log import ThrottledLog

log = structlog.get_logger(__name__)

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 (the name of a header)
MAX_UPDATE_BYTES = 1024 * 1024
MAX_CONCURRENT_UPDATES = 100
HEALTH_PATH = "/healthz"
UNREADABLE_BODY_ERRORS = (
    msgspec.DecodeError,
    UnicodeDecodeError,
    RecursionError,
    web.RequestPayloadError,
    ConnectionError,
)
"""Raised for a body that is not JSON, is not encoded as its headers say, or ends too early."""


@dataclass(frozen=True, slots=True)
class WebhookAddress:
    url: str
    """Where Telegram sends updates."""
    listen: str
    """host:port of the local listener, to which a proxy forwards `url`."""


def derive_secret(token: str) -> str:
    """The secret with which Telegram authenticates itself; it does not reveal the token."""
    return hmac.new(token.encode(), b"parley telegram webhook", hashlib.sha256).hexdigest()


class WebhookServer:
    """Listens for updates, and registers its address with Telegram.

    `receive` raises `UpdateNotStoredError` if Telegram has to deliver the update again.
    """

    def __init__(
        self,
        bot: Bot,
        address: WebhookAddress,
        receive: Callable[[Update], Awaitable[None]],
        timings: TelegramTimings,
        allowed_updates: Sequence[str] = MESSAGE_UPDATES,
    ) -> None:
        self._bot = bot
        self._address = address
        self._receive = receive
        self._allowed_updates = allowed_updates
        self._timings = timings
        self._clock = timings.clock
        self._secret = derive_secret(bot.token).encode()
        self._throttled_log = ThrottledLog(clock=timings.clock)
        self._update_slots = asyncio.Semaphore(MAX_CONCURRENT_UPDATES)
        self._last_error_date: datetime | None = None
        """The date of the last delivery error that was logged."""
        self.last_activity: float | None = None
        """When Telegram last answered a request; None until the address is registered."""
        self.is_connected = False
        """Whether Telegram answered the last request."""
        self.port = 0

    async def run(self) -> None:
        """Listen until cancelled. Raises `ConfigurationError`, `InvalidToken` and `UnavailableError`."""
        app = web.Application(client_max_size=MAX_UPDATE_BYTES)
        app.router.add_post(urlsplit(self._address.url).path or "/", self._handle_request)
        app.router.add_get(HEALTH_PATH, _health)
        runner = web.AppRunner(
            app,
            access_log=None,
            logger=_ServerLogger(self._throttled_log),
            shutdown_timeout=self._timings.webhook_shutdown_timeout,
        )
        await runner.setup()
        try:
            host, _, port = self._address.listen.rpartition(":")
            try:
                is_worker = WORKER_VARIABLE in os.environ
                await web.TCPSite(runner, host.strip("[]") or None, int(port), reuse_port=is_worker or None).start()
            except (OSError, OverflowError) as error:
                raise UnavailableError(
                    f"TELEGRAM_WEBHOOK_LISTEN {self._address.listen}: {getattr(error, 'strerror', error)}"
                ) from error
            self.port = runner.addresses[0][1]
            await self._publish_address()
            await self._check_periodically()
        finally:
            await runner.cleanup()

    async def _publish_address(self) -> None:
        await retry("setWebhook", self._set_webhook, self._bot.token, self._timings)
        self._record_answer()
        log.info("telegram.webhook_set", listen=self._address.listen, port=self.port)

    async def _set_webhook(self) -> None:
        try:
            await self._bot.set_webhook(
                self._address.url,
                allowed_updates=self._allowed_updates,
                max_connections=MAX_CONCURRENT_UPDATES,
                secret_token=self._secret.decode(),
            )
        except BadRequest as error:
            if _is_url_rejected(error):
                raise ConfigurationError(f"TELEGRAM_WEBHOOK_URL: {error.message}") from None
            raise

    async def _check_periodically(self) -> None:
        """Check that the address is still registered, and log Telegram's delivery errors."""
        delay = self._timings.webhook_check_interval
        while True:
            await self._clock.sleep(delay)
            try:
                info = await self._bot.get_webhook_info()
            except InvalidToken:
                raise
            except TelegramError as error:
                self.is_connected = False
                log.warning("telegram.webhook_check_failed", error=redact_token(str(error), self._bot.token))
                delay = max(self._timings.webhook_recheck_interval, retry_after(error))
                continue
            delay = self._timings.webhook_check_interval
            self._record_answer()
            self._log_delivery_error(info)
            if not is_same_url(info.url, self._address.url):
                log.error("telegram.webhook_replaced", reason="another process changed or deleted it")
                await self._publish_address()

    def _record_answer(self) -> None:
        self.last_activity = self._clock.monotonic()
        self.is_connected = True

    def _log_delivery_error(self, info: WebhookInfo) -> None:
        if info.last_error_message and info.last_error_date != self._last_error_date:
            self._last_error_date = info.last_error_date
            log.warning(
                "telegram.webhook_delivery_failed", error=info.last_error_message, pending=info.pending_update_count
            )

    async def _handle_request(self, request: web.Request) -> web.Response:
        secret = request.headers.get(SECRET_HEADER, "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(secret, self._secret):
            remote = request.remote or "unknown"
            self._throttled_log.log(
                remote,
                lambda suppressed: log.warning("telegram.webhook_unauthorized", remote=remote, suppressed=suppressed),
            )
            return web.Response(status=401)
        async with self._update_slots:
            try:
                async with asyncio.timeout(self._timings.webhook_read_timeout):
                    payload = msgspec.json.decode(await request.read(), type=dict)
            except UNREADABLE_BODY_ERRORS:
                return web.Response(status=400)
            except TimeoutError:
                return web.Response(status=408)
            update = sanitise_update(payload)
            if update is None:
                return web.Response()
            try:
                await self._receive(Update.de_json(update, self._bot))
            except UpdateNotStoredError:
                return web.Response(status=503)  # Telegram delivers it again
        return web.Response()


class _ServerLogger(logging.LoggerAdapter[logging.Logger]):
    """aiohttp's log of the listener, without a traceback for each malformed request: anyone can send one."""

    def __init__(self, throttled_log: ThrottledLog) -> None:
        super().__init__(logging.getLogger("aiohttp.server"))
        self._throttled_log = throttled_log

    def exception(self, msg: object, *args: object, exc_info: Any = True, **kwargs: Any) -> None:
        if isinstance(exc_info, HttpProcessingError | web.RequestPayloadError):
            self._throttled_log.log(
                "malformed request", lambda suppressed: log.info("telegram.webhook_malformed", suppressed=suppressed)
            )
        else:
            super().exception(msg, *args, exc_info=exc_info, **kwargs)


def _is_url_rejected(error: BadRequest) -> bool:
    """Whether Telegram refuses the URL permanently; a failure to resolve the host may be temporary."""
    message = error.message.lower()
    return "webhook" in message and "resolve" not in message


def is_same_url(first: str, second: str) -> bool:
    """Whether these are two spellings of one URL."""
    return _normalise_url(first) == _normalise_url(second)


def _normalise_url(url: str) -> tuple[str, str, int | None, str, str]:
    """A normal form: equal for two spellings of one URL."""
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, parts.hostname or "", port, parts.path or "/", parts.query


async def _health(_request: web.Request) -> web.Response:
    return web.Response(text="ok")
