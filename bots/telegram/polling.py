"""Receives updates by long polling (`getUpdates`)."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog
from telegram import Bot, Update
from telegram.error import Conflict, TelegramError

from bots.telegram.errors import redact_token, retry
from bots.telegram.timings import TelegramTimings
from bots.telegram.updates import MESSAGE_UPDATES
from core.errors import UnavailableError

MAX_CONFLICTS = 5

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Poller:
    """Fetches updates and passes them to `receive`, one after the other.

    The offset of the next call confirms an update, only after `receive` has returned for it. `run` ends
    after `max_conflicts` refusals in a row, which mean that another process polls or has set a webhook.
    """

    bot: Bot
    receive: Callable[[Update], Awaitable[None]]
    timings: TelegramTimings
    max_conflicts: int = MAX_CONFLICTS
    allowed_updates: Sequence[str] = MESSAGE_UPDATES
    last_activity: float | None = None
    """When Telegram last answered `getUpdates`, or when polling started."""
    is_connected: bool = False
    """Whether Telegram answered the last request."""
    _conflict_count: int = 0
    _offset: int = 0

    async def run(self) -> None:
        """Poll until cancelled. Raises `InvalidToken` and `UnavailableError`."""
        self.last_activity = self.timings.clock.monotonic()
        try:
            await retry("deleteWebhook", self.bot.delete_webhook, self.bot.token, self.timings)
            self.is_connected = True
            while True:
                await retry("getUpdates", self._poll, self.bot.token, self.timings)
        finally:
            await self._confirm()

    async def _poll(self) -> None:
        try:
            updates = await self._get_updates(self.timings.long_poll_timeout)
        except TelegramError as error:
            self.is_connected = False
            if isinstance(error, Conflict):
                self._count_conflict()
            raise
        self.is_connected = True
        self.last_activity = self.timings.clock.monotonic()
        self._conflict_count = 0
        for update in updates:
            await self.receive(update)
            self._offset = update.update_id + 1

    async def _get_updates(self, timeout: int) -> tuple[Update, ...]:
        return await self.bot.get_updates(offset=self._offset, timeout=timeout, allowed_updates=self.allowed_updates)

    def _count_conflict(self) -> None:
        self._conflict_count += 1
        log.error(
            "telegram.conflict",
            reason="another process polls with the same token, or has set a webhook",
            count=self._conflict_count,
        )
        if self._conflict_count >= self.max_conflicts:
            raise UnavailableError(
                "Another process receives the messages of this Telegram bot. "
                "Stop it, or give each process its own TELEGRAM_BOT_TOKEN."
            )

    async def _confirm(self) -> None:
        """Confirm the stored updates, so that Telegram does not deliver them to the next process."""
        if not self._offset:
            return
        try:
            async with asyncio.timeout(self.timings.confirm_timeout):
                await self._get_updates(0)
        except (TelegramError, TimeoutError) as error:
            log.warning("telegram.updates_not_confirmed", error=redact_token(str(error), self.bot.token))
