"""Marks the first questions of each person in a conversation that wait for the answer to another one, until their own
answer starts or they are dropped. Short messages that are joined to one of them get no mark of their own. An
interaction needs no mark: the platform shows by itself that the bot is at work.

The process that stores the question shows the mark, if the question still waits after a moment. The process that
answers or drops it, perhaps another one, removes the mark. A mark is never worth a wait: if the platform's limits are
nearly used up, there is none. A question that is dropped because its sender has lost access, or is erased, keeps its
mark. Where the chat allows no marks, a person reads once in an hour that the question waits.
"""

import asyncio
import math
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import structlog

from core.bounded_dict import BoundedDict
from core.conversation.preferences import load_preferences
from core.delivery.rate_limiter import Priority, RateLimiter
from core.errors import DeliveryError, DeliveryFailure, StoreError
from core.i18n.translation import gettext, load_catalogue, speaking
from core.markdown.document import Document, Paragraph, Text
from core.port import AccountKey, Adapter, Incoming, SupportsWaitingMarks
from core.settings import Settings
from core.store.database import Store
from core.store.inbound import is_queued
from core.store.incoming_codec import StoredIncoming
from core.texts.answers import QUESTION_WAITS
from core.timings import Timings

MAX_TASKS = 500
MAX_NOTIFIED = 1000
NOTICE_INTERVAL_SECONDS = 3600.0

log = structlog.get_logger(__name__)


class WaitingMarks:
    def __init__(
        self,
        store: Store,
        adapters: Mapping[AccountKey, Adapter],
        limiter: Callable[[AccountKey], RateLimiter],
        settings: Settings,
        timings: Timings,
    ) -> None:
        self._store = store
        self._settings = settings
        self._adapters = adapters
        self._limiter = limiter
        self._timings = timings
        self._shown: BoundedDict[str, asyncio.Task[bool]] = BoundedDict(MAX_TASKS)
        """By event: whether there may be a mark, for the questions that this process stored."""
        self._notified_at: BoundedDict[tuple[AccountKey, str, str], float] = BoundedDict(MAX_NOTIFIED)
        """When people got a notice, by account, chat and person."""
        self._removals: set[asyncio.Task[None]] = set()

    def show_later(self, incoming: Incoming) -> None:
        """Mark a question that has just been stored, if it does not start soon. Returns at once."""
        adapter = self._adapter(incoming)
        if adapter is not None:
            self._shown[_event_key(incoming)] = asyncio.create_task(self._show(adapter, incoming))

    def remove_later(self, incoming: Incoming) -> None:
        """Remove the mark of a question whose answer starts, or that is dropped. Returns at once."""
        adapter = self._adapter(incoming)
        has_mark = isinstance(incoming, StoredIncoming) and incoming.was_first_waiting
        shown = self._shown.pop(_event_key(incoming), None)
        if adapter is None or not has_mark or len(self._removals) >= MAX_TASKS:
            return
        task = asyncio.create_task(self._remove(adapter, incoming, shown))
        self._removals.add(task)
        task.add_done_callback(self._removals.discard)

    async def close(self) -> None:
        tasks = [*self._shown.values(), *self._removals]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _adapter(self, incoming: Incoming) -> SupportsWaitingMarks | None:
        adapter: object = self._adapters.get(incoming.place.account_key)
        return adapter if isinstance(adapter, SupportsWaitingMarks) and incoming.message_id is not None else None

    async def _show(self, adapter: SupportsWaitingMarks, incoming: Incoming) -> bool:
        """Returns whether there may be a mark now: a request without a response may have had its effect."""
        await self._timings.clock.sleep(self._timings.waiting_mark_delay)
        is_sent = False
        try:
            if not await self._store.read(is_queued, _event_key(incoming)):
                return False
            async with asyncio.timeout(self._timings.waiting_mark_timeout), self._within_limits(incoming):
                is_sent = True
                await adapter.mark_waiting(incoming.place, incoming.message_id or "", is_waiting=True)
        except (DeliveryError, StoreError, TimeoutError) as error:
            log.debug("turn.not_marked", error=type(error).__name__)
            if isinstance(error, DeliveryError) and error.failure is DeliveryFailure.FORBIDDEN:
                await self._notify(incoming)
            is_refused = isinstance(error, DeliveryError) and error.failure is not DeliveryFailure.UNKNOWN
            return is_sent and not is_refused
        return True

    async def _notify(self, incoming: Incoming) -> None:
        """Say that the question waits, only to its sender where the platform can do that."""
        place, person, now = incoming.place, incoming.sender.user, self._timings.clock.monotonic()
        key = place.account_key, place.chat, person
        if now < self._notified_at.get(key, -math.inf) + NOTICE_INTERVAL_SECONDS:
            return
        self._notified_at[key] = now
        adapter = self._adapters[place.account_key]
        try:
            preferences = await self._store.read(load_preferences, incoming, self._settings)
            with speaking(await load_catalogue(preferences.language)):
                notice = adapter.dialect.render(Document((Paragraph((Text(gettext(QUESTION_WAITS)),)),)))
            async with asyncio.timeout(self._timings.waiting_mark_timeout), self._within_limits(incoming):
                await adapter.send(
                    place,
                    notice,
                    key=f"w{zlib.crc32(_event_key(incoming).encode()):08x}",
                    reply_to=incoming.message_id,
                    person=person,
                    ephemeral=True,
                )
        except (DeliveryError, StoreError, TimeoutError) as error:
            self._notified_at.pop(key, None)
            log.debug("turn.not_marked", error=type(error).__name__)

    async def _remove(
        self, adapter: SupportsWaitingMarks, incoming: Incoming, shown: "asyncio.Task[bool] | None"
    ) -> None:
        if shown is not None and not await shown:
            return
        try:
            async with self._within_limits(incoming):
                await adapter.mark_waiting(incoming.place, incoming.message_id or "", is_waiting=False)
        except DeliveryError as error:
            log.debug("turn.mark_not_removed", failure=error.failure)

    @asynccontextmanager
    async def _within_limits(self, incoming: Incoming) -> AsyncIterator[None]:
        """Wait until the platform's limits have room for one request, which is sent inside."""
        place, limiter = incoming.place, self._limiter(incoming.place.account_key)
        capabilities = self._adapters[place.account_key].capabilities(place)
        granted_at = await limiter.acquire(place.chat, capabilities, Priority.PREVIEW)
        try:
            yield
        except DeliveryError as error:
            if error.failure is DeliveryFailure.RATE_LIMITED:
                limiter.apply_retry_after(place.chat, error)
            raise
        finally:
            limiter.request_ended(place.chat, granted_at)


def _event_key(incoming: Incoming) -> str:
    return f"{incoming.place.account_key}:{incoming.key}"
