"""Previews: shows an answer while it grows. Best effort, rate limited, always the newest text.

The reader of the model's stream calls `update`, which never waits. `run` shows the newest text whenever the platform
allows, the first words at once:

    0.5 s   no text yet                   typing, or an empty draft
    1.5 s   no text yet                   "Thinking…"; at 0.5 s if the model reasons
            update("A long")              "A long…"                 preview of message 1
            update("A long answer th")    "A long answer", "th…"    message 1 is final, preview of message 2

After the last message that an answer may take, a line that counts its characters stands for the rest.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import structlog

from core.buttons import ButtonAction, encode_action
from core.clock import Interruption, wait_for_any, wait_for_event
from core.delivery.capped_splitter import CappedSplitter
from core.delivery.draft_ids import encode_draft_id
from core.delivery.model_dialect import model_dialect
from core.delivery.outbox import Outbox
from core.delivery.preview_load import PreviewLoad
from core.delivery.rate_limiter import Priority, RequestKind
from core.errors import RETRYABLE_DELIVERY_FAILURES, DeliveryError, DeliveryFailure, RichRejectedError, StoreError
from core.i18n.translation import gettext
from core.markdown.document import Document, Emphasis, Paragraph, Text
from core.markdown.parser import parse_blocks
from core.metrics import NO_PLATFORM_METRICS, AnswerTimes
from core.port import Button, Part, PreviewMode, SupportsDrafts, SupportsThinking
from core.store.turns import LostLeaseError
from core.texts import answers as texts

log = structlog.get_logger(__name__)

SLOW_PREVIEW_FACTOR = 1.5
MAX_SLOWED_INTERVAL = 5.0
"""The longest interval after refusals, unless it is longer anyway."""
MAX_WAIT_WITH_PREVIEWS = 30.0
"""An answer has no further previews after the platform demanded to wait longer."""
FRESH_TEXT_WAIT = 0.1
"""Seconds that a preview which is due waits for new text, because the stream is read at intervals."""


class Preview:
    """The preview of one turn's answer.

    `on_gone` is called when the person deletes the growing message or blocks the bot. `splitter` can split the whole
    answer afterwards, because it knows most of the parts. `on_rich_rejected` returns the one to use after the platform
    rejected a rich message. `heading`: Markdown above what stands there before the first words.
    """

    def __init__(
        self,
        outbox: Outbox,
        on_gone: Callable[[], object],
        *,
        load: PreviewLoad | None = None,
        splitter: CappedSplitter | None = None,
        on_rich_rejected: Callable[[], CappedSplitter] | None = None,
        allows_drafts: bool = True,
        heading: str = "",
        times: AnswerTimes | None = None,
    ) -> None:
        self._times = times or AnswerTimes(NO_PLATFORM_METRICS, outbox.timings.clock, 0.0)
        self._outbox = outbox
        self._adapter = outbox.adapter
        self._rate_limiter = outbox.rate_limiter
        self._turn_id = outbox.turn.id
        self._heading = heading
        self._on_gone = on_gone
        self._timings = outbox.timings
        self._clock = outbox.timings.clock
        self._load = load or PreviewLoad(outbox.timings)
        self._changed = asyncio.Event()
        self._close_requested = Interruption()
        self._text = ""
        self._status = ""
        self._splitter = splitter or CappedSplitter(model_dialect(self._adapter), None)
        self._on_rich_rejected = on_rich_rejected
        self._final_parts = 0
        self._thinking = gettext(texts.THINKING)
        self._started_at = self._clock.monotonic()
        self._first_text_at: float | None = None
        """When the first words were shown."""
        self._shown_at = -math.inf
        """When the text or the status that is shown was the newest."""
        self._granted_at = -math.inf
        """When the rate limiter granted the last request."""
        self._shown_status: str | None = None
        self._typing_at = -math.inf
        self._retry_at = -math.inf
        """When to try again after a failure."""
        self._interrupted = Interruption()
        """The preview ends, or the first words have arrived, which are more urgent than what is waiting."""
        self._capabilities = self._adapter.capabilities(outbox.place)
        shows_drafts = allows_drafts and self._capabilities.preview_mode is PreviewMode.DRAFT
        self._drafts = self._adapter if shows_drafts and isinstance(self._adapter, SupportsDrafts) else None
        """Shows drafts, if the answer may have any. Asking the adapter for each preview would take longer."""
        stop_button = Button(
            gettext(texts.STOP_BUTTON), encode_action(ButtonAction.STOP, self._turn_id), is_destructive=True
        )
        # Drafts have no buttons, but messages that are edited instead of a draft have them.
        has_stop_button = self._capabilities.has_stop_button or self._capabilities.preview_mode is PreviewMode.DRAFT
        self._buttons = (stop_button,) if has_stop_button else ()

    def update(self, text: str, status: str = "") -> None:
        """Set the newest text, or the bot's current activity while there is no text. Never waits."""
        if not self._text and text.isspace():
            text = ""  # not words yet
        if text == self._text and status == self._status:
            return
        if text and not self._text:
            self._interrupted.set()
        elif self._text and not text:
            self._interrupted.clear()
        self._text, self._status = text, status
        if text:
            self._times.text_grew()
        self._changed.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Preview"]:
        """Show previews until the block ends."""
        task = asyncio.create_task(self.run())
        try:
            yield self
        finally:
            error = await self._finish(task)
            if isinstance(error, StoreError):
                # The message's ID is still in memory, so the turn need not fail and ask the model again.
                log.warning("preview.ended", turn=self._turn_id, error=str(error))
            elif isinstance(error, Exception):
                raise error

    async def run(self) -> None:
        """Show previews until `close`. Raises `StoreError`, never `DeliveryError` and `LostLeaseError`."""
        if self._capabilities.preview_mode is PreviewMode.OFF:
            await self._close_requested.cuts_short(self._keep_typing())
            return
        with self._load.previewing():
            await self._show_until_closed()

    async def _show_until_closed(self) -> None:
        while not self._close_requested.is_set():
            if await self._close_requested.cuts_short(self._wait_until_due()):
                return
            try:
                await self._show_newest()
            except LostLeaseError:
                # The database may only be slow. If another process has the turn, the heartbeat cancels it here.
                self._retry_at = self._clock.monotonic() + self._interval()
                self._changed.set()
            except DeliveryError as error:
                self._handle_failure(error)
                if isinstance(error, RichRejectedError) and self._on_rich_rejected is not None:
                    # The next preview shows the same text, split again.
                    self._splitter, self._final_parts = self._on_rich_rejected(), 0
                    self._changed.set()
                elif (
                    error.failure not in RETRYABLE_DELIVERY_FAILURES
                    or (error.retry_after or 0) > MAX_WAIT_WITH_PREVIEWS
                ):
                    return

    def close(self) -> None:
        """Stop previews. `run` returns after the request in flight."""
        self._close_requested.set()
        self._interrupted.set()

    async def _finish(self, run_task: "asyncio.Task[None]") -> BaseException | None:
        """Close and return `run`'s exception. Waits for an edit in flight, which could overwrite the final text."""
        self.close()
        try:
            await wait_for_any({run_task}, self._timings.preview_finish_timeout, self._clock)
        finally:
            run_task.cancel()
            (outcome,) = await asyncio.gather(run_task, return_exceptions=True)
        return outcome

    def _handle_failure(self, error: DeliveryError) -> None:
        log.info("preview.failed", turn=self._turn_id, failure=error.failure)
        self._retry_at = self._clock.monotonic() + self._interval()
        if error.failure is DeliveryFailure.RATE_LIMITED:
            self._rate_limiter.apply_retry_after(self._outbox.place.chat, error, self._kind())
        if error.failure in (DeliveryFailure.GONE, DeliveryFailure.FORBIDDEN):
            self._on_gone()  # nobody would see the rest of the answer, so do not pay for it

    # When to show a preview

    async def _wait_until_due(self) -> None:
        """Wait until there is something to show: the first words at once, what follows at a pace."""
        if (seconds := self._retry_at - self._clock.monotonic()) > 0:
            await self._clock.sleep(seconds)
        if self._first_text_at is None:
            while not self._text and (seconds := self._seconds_until_sign_of_life()) > 0:
                self._changed.clear()
                await self._wait_for_change(seconds)
            return
        if (seconds := self._shown_at + self._interval() - self._clock.monotonic()) > 0:
            await self._load.pause(seconds)
        if self._changed.is_set():
            self._changed.clear()
            await self._wait_for_change(FRESH_TEXT_WAIT)
        else:
            await self._wait_for_change(self._capabilities.draft_refresh_interval)

    def _seconds_until_sign_of_life(self) -> float:
        """How long to wait for the first text before the person sees that the bot is at work."""
        now, typing_from = self._clock.monotonic(), self._started_at + self._timings.typing_delay
        if self._shown_status is not None:
            is_changed = self._current_status() != self._shown_status
            wait = self._interval() if is_changed else self._capabilities.draft_refresh_interval
            return math.inf if wait is None else self._shown_at + wait - now
        if self._status:  # shown at once, except that the model reasons: only if it does so for a moment
            return typing_from - now if self._status == self._thinking else 0.0
        typing_at = max(typing_from, self._typing_at + self._capabilities.typing_interval)
        return min(typing_at, self._started_at + self._timings.thinking_status_delay) - now

    def _current_status(self) -> str:
        return self._status or self._thinking

    def _interval(self) -> float:
        """Seconds between two previews."""
        capabilities, start = self._capabilities, self._capabilities.fast_start
        interval = capabilities.preview_interval
        if start and self._first_text_at is not None and self._shown_at - self._first_text_at < start.seconds:
            interval = start.interval
        elif 0 < capabilities.slow_preview_after_chars < len(self._text):
            interval *= SLOW_PREVIEW_FACTOR
        slowed = interval * self._rate_limiter.interval_factor(self._outbox.place.chat, capabilities, self._kind())
        return self._load.interval(max(interval, min(slowed, MAX_SLOWED_INTERVAL)))

    async def _wait_for_change(self, timeout: float | None) -> None:
        if timeout is None or math.isinf(timeout):
            await self._changed.wait()
        else:
            await wait_for_event(self._changed, timeout, self._clock)

    # What to show

    async def _show_newest(self) -> None:
        if not self._text and not self._is_status_due():
            await self._show_activity()
            return
        if not await self._acquire_slot(self._kind()):
            return
        try:
            await self._send_newest()
        finally:
            self._rate_limiter.request_ended(self._outbox.place.chat, self._granted_at)

    async def _send_newest(self) -> None:
        self._changed.clear()
        text, self._shown_at = self._text, self._clock.monotonic()
        unseen_since = self._times.take_unseen()
        parts = await self._split(text) if text else ()
        if self._close_requested.is_set():
            return
        for position in range(self._final_parts, len(parts) - 1):
            await self._outbox.put(position, parts[position], Priority.CONTROL)
            self._final_parts = position + 1
        if drafts := self._open_drafts():
            await self._show_draft(drafts, parts[-1] if parts else self._draft_status())
        else:
            part = parts[-1] if parts else self._render_status(self._current_status())
            part = replace(part, buttons=self._buttons)
            await self._outbox.put(self._final_parts, part, self._priority(text))
        self._shown_status = None if text else self._current_status()
        if text:
            self._times.text_shown(unseen_since)
        if text and self._first_text_at is None:
            self._first_text_at = self._shown_at

    def _is_status_due(self) -> bool:
        thinking_from = self._started_at + self._timings.thinking_status_delay
        return bool(self._status) or self._shown_status is not None or self._clock.monotonic() >= thinking_from

    async def _show_activity(self) -> None:
        """Show that the bot is at work, although there is nothing to say yet."""
        self._typing_at = self._clock.monotonic()
        drafts = self._open_drafts()
        if drafts is None:
            await self._interrupted.cuts_short(self._show_typing())
        elif await self._acquire_slot(RequestKind.DRAFT):
            await self._show_draft(drafts, Part(""))  # the platform shows "Thinking…"
            self._shown_at, self._shown_status = self._typing_at, self._thinking

    async def _show_draft(self, adapter: SupportsDrafts, part: Part) -> None:
        self._outbox.check_preview_allowed()
        draft_id = encode_draft_id(self._turn_id, self._final_parts)
        await adapter.show_draft(self._outbox.place, draft_id, part)

    def _open_drafts(self) -> SupportsDrafts | None:
        """What shows the open part as a draft; None if it is a message."""
        # A draft would stay beside the message that shows the answer until the platform removes it.
        return None if self._outbox.has_message(self._final_parts) else self._drafts

    def _kind(self) -> RequestKind:
        """What the next preview is."""
        if self._open_drafts() is not None:
            return RequestKind.DRAFT
        return RequestKind.EDIT if self._outbox.has_message(self._final_parts) else RequestKind.MESSAGE

    def _priority(self, text: str) -> Priority:
        return Priority.FIRST_TEXT if text and self._first_text_at is None else Priority.PREVIEW

    async def _split(self, text: str) -> tuple[Part, ...]:
        """The parts of `text`; the last one may still change."""
        first = await self._splitter.update_async(text, is_growing=True)
        if first.is_complete or self._capabilities.answers_in_one_message:
            return first.parts
        return (*first.parts, self._render_status(texts.answer_continues(len(text))))

    def _draft_status(self) -> Part:
        if self._status and isinstance(dialect := self._splitter.dialect, SupportsThinking):
            return dialect.render_thinking(self._status)
        # The platform shows "Thinking…" for an empty draft; another status is more informative.
        return Part("") if self._current_status() == self._thinking else self._render_status(self._status)

    def _render_status(self, status: str) -> Part:
        heading = tuple(placed.block for placed in parse_blocks(self._heading)) if self._heading else ()
        return self._adapter.dialect.render(Document((*heading, Paragraph((Emphasis((Text(status),)),)))))

    async def _keep_typing(self) -> None:
        while True:
            await self._show_typing()
            await self._clock.sleep(self._capabilities.typing_interval)

    async def _show_typing(self) -> None:
        try:
            await self._acquire(RequestKind.TYPING, Priority.PREVIEW)
            self._outbox.check_preview_allowed()
            await self._adapter.show_typing(self._outbox.place)
        except DeliveryError as error:
            log.info("preview.typing_failed", turn=self._turn_id, failure=error.failure)
            if error.failure is DeliveryFailure.RATE_LIMITED and not error.is_foreseen:
                self._rate_limiter.apply_retry_after(self._outbox.place.chat, error, RequestKind.TYPING)
        except LostLeaseError:
            pass  # as in `_show_until_closed`
        finally:
            self._rate_limiter.request_ended(self._outbox.place.chat, self._granted_at)

    async def _acquire_slot(self, kind: RequestKind) -> bool:
        """Wait for this preview's turn. False if the preview ends, or the first words arrive, which are more urgent."""
        interruption = self._close_requested if self._text else self._interrupted
        return not await interruption.cuts_short(self._acquire(kind, self._priority(self._text)))

    async def _acquire(self, kind: RequestKind, priority: Priority) -> None:
        last_shown_at = None if math.isinf(self._shown_at) else self._shown_at
        capabilities = self._adapter.capabilities(self._outbox.place)  # limits may change
        chat = self._outbox.place.chat
        self._granted_at = await self._rate_limiter.acquire(
            chat, capabilities, priority, kind, last_shown_at=last_shown_at
        )
