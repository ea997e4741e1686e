"""Shows an answer while it grows: best effort, paced, always the newest text.

The reader of the model's stream only sets `text` and `status`; this task does the showing. A
message that is full is delivered for good while the answer goes on in the next one.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from core.buttons import ButtonAction, encode_action
from core.delivery.draft_ids import encode_draft_id
from core.delivery.outbox import Outbox
from core.delivery.rate_limiter import Priority, RateLimiter
from core.delivery.splitter import Splitter
from core.errors import DeliveryError, DeliveryFailure
from core.markdown.document import Document, Emphasis, Paragraph, Text
from core.port import Adapter, Button, Capabilities, Part, PreviewMode, SupportsDrafts

__all__ = ["Preview"]

log = structlog.get_logger(__name__)

THINKING_STATUS = "Thinking…"
FINISH_TIMEOUT_SECONDS = 10.0  # seconds to wait for a preview that is on its way
FIRST_PREVIEW_DELAY_SECONDS = 0.3  # seconds, so that the first preview is more than one token


def render_status(adapter: Adapter, status: str, buttons: tuple[Button, ...]) -> Part:
    part = adapter.dialect.render(Document((Paragraph((Emphasis((Text(status),)),)),)))
    return Part(part.text, part.native, buttons)


class Preview:
    """`gone` is called when the person deleted the message that grows, or shut the bot out."""

    def __init__(
        self,
        adapter: Adapter,
        rate_limiter: RateLimiter,
        outbox: Outbox,
        turn_id: int,
        on_gone: Callable[[], None],
    ) -> None:
        self._adapter = adapter
        self._rate_limiter = rate_limiter
        self._outbox = outbox
        self._turn_id = turn_id
        self._on_gone = on_gone
        self._changed = asyncio.Event()
        self._close_requested = asyncio.Event()
        self._text = ""
        self._status = ""
        self._splitter = Splitter(adapter.dialect)
        self._delivered_parts = 0
        self._idle_wait: asyncio.Future[None] | None = None
        self._capabilities: Capabilities = adapter.capabilities(outbox.place)
        stop_button = Button("Stop", encode_action(ButtonAction.STOP, turn_id), is_destructive=True)
        self._buttons = (stop_button,) if self._capabilities.has_stop_button else ()

    def update(self, text: str, status: str = "") -> None:
        """The newest text, or what the model does before there is any. Never waits."""
        if text != self._text or status != self._status:
            self._text, self._status = text, status
            self._changed.set()

    def close(self) -> None:
        """Show nothing more. `run` returns when the request in flight has ended."""
        self._close_requested.set()
        if self._idle_wait is not None:
            self._idle_wait.cancel()

    async def finish(self, run_task: "asyncio.Task[None]") -> BaseException | None:
        """Close, and how `run` ended. A request in flight ends first, within reason: an edit that
        arrives late would undo the final.
        """
        self.close()
        try:
            await asyncio.wait({run_task}, timeout=FINISH_TIMEOUT_SECONDS)
        finally:
            run_task.cancel()
            (outcome,) = await asyncio.gather(run_task, return_exceptions=True)
        return outcome

    async def run(self) -> None:
        """Show until closed. Never raises on account of the platform, but as `Outbox.fence`."""
        if self._capabilities.preview_mode is PreviewMode.OFF:
            await self._wait_interruptibly(self._keep_typing())
            return
        while not self._close_requested.is_set():
            try:
                await self._show_newest()
            except DeliveryError as error:
                log.info("preview", turn=self._turn_id, fault=error.failure)
                if error.failure is DeliveryFailure.RATE_LIMITED:
                    self._rate_limiter.apply_retry_after(self._outbox.place.chat, error)
                if error.failure in (DeliveryFailure.GONE, DeliveryFailure.FORBIDDEN):
                    self._on_gone()  # nobody would see the rest: do not pay for it
                    return
                if error.failure not in (
                    DeliveryFailure.RATE_LIMITED,
                    DeliveryFailure.TRANSIENT,
                    DeliveryFailure.UNKNOWN,
                ):
                    return
            interval = self._capabilities.preview_interval
            if (
                self._capabilities.slow_preview_after_chars
                and len(self._text) > self._capabilities.slow_preview_after_chars
            ):
                interval *= 1.5
            await self._wait_interruptibly(self._wait_for_change(interval))

    async def _wait_interruptibly(self, waiting: Coroutine[Any, Any, None]) -> None:
        """Wait where `close` may interrupt: nothing is on its way to the platform."""
        if self._close_requested.is_set():
            waiting.close()
            return
        self._idle_wait = asyncio.ensure_future(waiting)
        try:
            await self._idle_wait
        except asyncio.CancelledError:
            if not self._close_requested.is_set():
                raise
        finally:
            self._idle_wait = None

    async def _wait_for_change(self, interval: float) -> None:
        await asyncio.sleep(interval)
        try:
            async with asyncio.timeout(self._capabilities.draft_lifetime):
                await self._changed.wait()
        except TimeoutError:
            pass  # an unchanged draft is shown again before it vanishes
        if self._delivered_parts == 0 and self._text and len(self._text) < 24:
            await asyncio.sleep(FIRST_PREVIEW_DELAY_SECONDS)

    async def _show_newest(self) -> None:
        place = self._outbox.place
        await self._wait_interruptibly(
            self._rate_limiter.acquire(place.chat, self._capabilities.rate_limit, Priority.PREVIEW)
        )
        if self._close_requested.is_set():
            return
        self._changed.clear()
        parts = await self._splitter.update_async(self._text) if self._text else ()
        if self._close_requested.is_set():
            return
        for position in range(self._delivered_parts, len(parts) - 1):
            await self._outbox.put(position, parts[position], Priority.CONTROL)
            self._delivered_parts = position + 1
        if self._capabilities.preview_mode is PreviewMode.DRAFT and isinstance(self._adapter, SupportsDrafts):
            draft_part = parts[-1] if parts else self._thinking_part()
            self._outbox.check_preview_allowed()
            await self._adapter.show_draft(place, encode_draft_id(self._turn_id, self._delivered_parts), draft_part)
        else:
            part = parts[-1] if parts else render_status(self._adapter, self._status or THINKING_STATUS, ())
            part = Part(part.text, part.native, self._buttons)
            await self._outbox.put(self._delivered_parts, part, Priority.PREVIEW)

    def _thinking_part(self) -> Part:
        # The empty draft is the platform's own "Thinking..."; a status says more, once it can.
        return render_status(self._adapter, self._status, ()) if self._status else Part("")

    async def _keep_typing(self) -> None:
        while True:
            try:
                await self._rate_limiter.acquire(
                    self._outbox.place.chat, self._capabilities.rate_limit, Priority.PREVIEW
                )
                self._outbox.check_preview_allowed()
                await self._adapter.show_typing(self._outbox.place)
            except DeliveryError as error:
                log.info("typing", turn=self._turn_id, fault=error.failure)
                if error.failure is DeliveryFailure.RATE_LIMITED:
                    self._rate_limiter.apply_retry_after(self._outbox.place.chat, error)
            await asyncio.sleep(self._capabilities.typing_interval)
