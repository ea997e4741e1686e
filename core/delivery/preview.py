"""Previews: shows an answer while it grows. Best effort, rate limited, always the newest text.

The reader of the model's stream calls `update`, which never waits. `run` shows the newest text whenever the platform
allows. A full message becomes final, and the answer continues in the next one:

    update("A long")              ->  "A long…"                       preview of message 1
    update("A long answer th")    ->  "A long answer", "th…"          message 1 is final, preview of message 2

After the last message that an answer may take, a line that counts its characters stands for the rest.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from core.buttons import ButtonAction, encode_action
from core.clock import run_until, wait_for_any, wait_for_event
from core.delivery.capped_splitter import CappedSplitter
from core.delivery.draft_ids import encode_draft_id
from core.delivery.outbox import Outbox
from core.delivery.rate_limiter import Priority
from core.errors import DeliveryError, DeliveryFailure, StoreError
from core.markdown.document import Document, Emphasis, Paragraph, Text
from core.port import Button, Part, PreviewMode, SupportsDrafts
from core.texts import answers as texts

log = structlog.get_logger(__name__)

MIN_FIRST_PREVIEW_CHARS = 24
SLOW_PREVIEW_FACTOR = 1.5
PASSING_FAILURES = (DeliveryFailure.RATE_LIMITED, DeliveryFailure.TRANSIENT, DeliveryFailure.UNKNOWN)


class Preview:
    """The preview of one turn's answer.

    `on_gone` is called when the person deletes the growing message or blocks the bot. `max_messages`: None for as many
    as it takes.
    """

    def __init__(self, outbox: Outbox, on_gone: Callable[[], object], *, max_messages: int | None = None) -> None:
        self._outbox = outbox
        self._adapter = outbox.adapter
        self._rate_limiter = outbox.rate_limiter
        self._turn_id = outbox.turn.id
        self._on_gone = on_gone
        self._timings = outbox.timings
        self._clock = outbox.timings.clock
        self._changed = asyncio.Event()
        self._close_requested = asyncio.Event()
        self._text = ""
        self._status = ""
        self._splitter = CappedSplitter(self._adapter.dialect, max_messages)
        self._final_parts = 0
        self._capabilities = self._adapter.capabilities(outbox.place)
        stop_button = Button(texts.STOP_BUTTON, encode_action(ButtonAction.STOP, self._turn_id), is_destructive=True)
        self._buttons = (stop_button,) if self._capabilities.has_stop_button else ()

    def update(self, text: str, status: str = "") -> None:
        """Set the newest text, or the bot's current activity while there is no text. Never waits."""
        if text != self._text or status != self._status:
            self._text, self._status = text, status
            self._changed.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Preview"]:
        """Show previews until the block ends. Raises `LostLeaseError`."""
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
        """Show previews until `close`. Raises `LostLeaseError` and `StoreError`, never `DeliveryError`."""
        if self._capabilities.preview_mode is PreviewMode.OFF:
            await run_until(self._close_requested, self._keep_typing())
            return
        while not self._close_requested.is_set():
            try:
                await self._show_newest()
            except DeliveryError as error:
                self._handle_failure(error)
                if error.failure not in PASSING_FAILURES:
                    return
            await run_until(self._close_requested, self._wait_for_change())

    def close(self) -> None:
        """Stop previews. `run` returns after the request in flight."""
        self._close_requested.set()

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
        if error.failure is DeliveryFailure.RATE_LIMITED:
            self._rate_limiter.apply_retry_after(self._outbox.place.chat, error)
        if error.failure in (DeliveryFailure.GONE, DeliveryFailure.FORBIDDEN):
            self._on_gone()  # nobody would see the rest of the answer, so do not pay for it

    async def _wait_for_change(self) -> None:
        capabilities, interval = self._capabilities, self._capabilities.preview_interval
        if 0 < capabilities.slow_preview_after_chars < len(self._text):
            interval *= SLOW_PREVIEW_FACTOR
        await self._clock.sleep(interval)
        if capabilities.draft_refresh_interval is None:
            await self._changed.wait()
        else:  # repeat an unchanged draft before the platform removes it
            await wait_for_event(self._changed, capabilities.draft_refresh_interval, self._clock)
        if self._final_parts == 0 and 0 < len(self._text) < MIN_FIRST_PREVIEW_CHARS:
            await self._clock.sleep(self._timings.first_preview_delay)

    async def _show_newest(self) -> None:
        await run_until(self._close_requested, self._acquire_slot())
        if self._close_requested.is_set():
            return
        self._changed.clear()
        parts = await self._split(self._text) if self._text else ()
        if self._close_requested.is_set():
            return
        for position in range(self._final_parts, len(parts) - 1):
            await self._outbox.put(position, parts[position], Priority.CONTROL)
            self._final_parts = position + 1
        if self._capabilities.preview_mode is PreviewMode.DRAFT and isinstance(self._adapter, SupportsDrafts):
            part = parts[-1] if parts else self._draft_status()
            self._outbox.check_preview_allowed()
            draft_id = encode_draft_id(self._turn_id, self._final_parts)
            await self._adapter.show_draft(self._outbox.place, draft_id, part)
        else:
            part = parts[-1] if parts else self._render_status(self._status or texts.THINKING)
            part = Part(part.text, part.native, self._buttons)
            await self._outbox.put(self._final_parts, part, Priority.PREVIEW)

    async def _split(self, text: str) -> tuple[Part, ...]:
        """The parts of `text`; the last one may still change."""
        first = await self._splitter.update_async(text, is_growing=True)
        if first.is_complete:
            return first.parts
        return (*first.parts, self._render_status(texts.answer_continues(len(text))))

    def _draft_status(self) -> Part:
        # The platform shows "Thinking…" for an empty draft; a status is more informative.
        return self._render_status(self._status) if self._status else Part("")

    def _render_status(self, status: str) -> Part:
        return self._adapter.dialect.render(Document((Paragraph((Emphasis((Text(status),)),)),)))

    async def _keep_typing(self) -> None:
        while True:
            try:
                await self._acquire_slot()
                self._outbox.check_preview_allowed()
                await self._adapter.show_typing(self._outbox.place)
            except DeliveryError as error:
                log.info("preview.typing_failed", turn=self._turn_id, failure=error.failure)
                if error.failure is DeliveryFailure.RATE_LIMITED:
                    self._rate_limiter.apply_retry_after(self._outbox.place.chat, error)
            await self._clock.sleep(self._capabilities.typing_interval)

    async def _acquire_slot(self) -> None:
        chat = self._outbox.place.chat
        await self._rate_limiter.acquire(chat, self._capabilities.rate_limit, Priority.PREVIEW)
