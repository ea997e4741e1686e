"""Shows an answer while it grows: best effort, paced, always the newest text.

The reader of the model's stream only sets `text` and `status`; this task does the showing. A
message that is full is delivered for good while the answer goes on in the next one.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from core.delivery.gate import Gate, Priority
from core.delivery.outbox import Outbox
from core.delivery.pages import Pages
from core.errors import DeliveryError, Fault
from core.markdown.document import Document, Emphasis, Paragraph, Text
from core.port import Button, Capabilities, Chat, Drafts, Part

__all__ = ["Preview"]

log = structlog.get_logger(__name__)

THINKING = "Thinking…"
LAST = 10.0  # seconds to wait for a preview that is on its way
FIRST_WORDS = 0.3  # seconds, so that the first preview is more than one token


def status_part(chat: Chat, status: str, buttons: tuple[Button, ...]) -> Part:
    part = chat.dialect.render(Document((Paragraph((Emphasis((Text(status),)),)),)))
    return Part(part.text, part.native, buttons)


class Preview:
    """`gone` is called when the person deleted the message that grows, or shut the bot out."""

    def __init__(
        self, chat: Chat, gate: Gate, outbox: Outbox, turn: int, gone: Callable[[], None]
    ) -> None:
        self._chat = chat
        self._gate = gate
        self._outbox = outbox
        self._turn = turn
        self._gone = gone
        self._changed = asyncio.Event()
        self._closing = asyncio.Event()
        self._text = ""
        self._status = ""
        self._pages = Pages(chat.dialect)
        self._closed = 0
        self._idle: asyncio.Future[None] | None = None
        self._may: Capabilities = chat.capabilities(outbox.place)
        self._buttons = (
            (Button("Stop", f"stop:{turn}", danger=True),) if self._may.stop_button else ()
        )

    def show(self, text: str, status: str = "") -> None:
        """The newest text, or what the model does before there is any. Never waits."""
        if text != self._text or status != self._status:
            self._text, self._status = text, status
            self._changed.set()

    def close(self) -> None:
        """Show nothing more. `run` returns when the request in flight has ended."""
        self._closing.set()
        if self._idle is not None:
            self._idle.cancel()

    async def settled(self, running: "asyncio.Task[None]") -> BaseException | None:
        """Close, and how `run` ended. A request in flight ends first, within reason: an edit that
        arrives late would undo the final.
        """
        self.close()
        try:
            await asyncio.wait({running}, timeout=LAST)
        finally:
            running.cancel()
            (ended,) = await asyncio.gather(running, return_exceptions=True)
        return ended

    async def run(self) -> None:
        """Show until closed. Never raises on account of the platform, but as `Outbox.fence`."""
        if self._may.preview == "off":
            await self._wait(self._type())
            return
        while not self._closing.is_set():
            try:
                await self._step()
            except DeliveryError as error:
                log.info("preview", turn=self._turn, fault=error.fault)
                if error.fault is Fault.RATE:
                    self._gate.refused(self._outbox.place.chat, error)
                if error.fault in (Fault.GONE, Fault.FORBIDDEN):
                    self._gone()  # nobody would see the rest: do not pay for it
                    return
                if error.fault not in (Fault.RATE, Fault.TRANSIENT, Fault.UNKNOWN):
                    return
            pause = self._may.preview_every
            if self._may.slower_after and len(self._text) > self._may.slower_after:
                pause *= 1.5
            await self._wait(self._news(pause))

    async def _wait(self, waiting: Coroutine[Any, Any, None]) -> None:
        """Wait where `close` may interrupt: nothing is on its way to the platform."""
        if self._closing.is_set():
            waiting.close()
            return
        self._idle = asyncio.ensure_future(waiting)
        try:
            await self._idle
        except asyncio.CancelledError:
            if not self._closing.is_set():
                raise
        finally:
            self._idle = None

    async def _news(self, pause: float) -> None:
        await asyncio.sleep(pause)
        try:
            async with asyncio.timeout(self._may.preview_expires):
                await self._changed.wait()
        except TimeoutError:
            pass  # an unchanged draft is shown again before it vanishes
        if self._closed == 0 and self._text and len(self._text) < 24:
            await asyncio.sleep(FIRST_WORDS)

    async def _step(self) -> None:
        place = self._outbox.place
        await self._wait(self._gate.enter(place.chat, self._may.pace, Priority.PREVIEW))
        if self._closing.is_set():
            return
        self._changed.clear()
        parts = await self._pages.follow(self._text) if self._text else ()
        if self._closing.is_set():
            return
        for position in range(self._closed, len(parts) - 1):
            await self._outbox.put(position, parts[position], Priority.CONTROL)
            self._closed = position + 1
        if self._may.preview == "draft" and isinstance(self._chat, Drafts):
            shown = parts[-1] if parts else self._thinking()
            self._outbox.may_show()
            await self._chat.draft(place, self._draft(self._closed), shown)
        else:
            part = parts[-1] if parts else status_part(self._chat, self._status or THINKING, ())
            part = Part(part.text, part.native, self._buttons)
            await self._outbox.put(self._closed, part, Priority.PREVIEW)

    def _thinking(self) -> Part:
        # The empty draft is the platform's own "Thinking..."; a status says more, once it can.
        return status_part(self._chat, self._status, ()) if self._status else Part("")

    def _draft(self, position: int) -> int:
        return self._turn * 64 + position % 64 + 1

    async def _type(self) -> None:
        while True:
            try:
                await self._gate.enter(self._outbox.place.chat, self._may.pace, Priority.PREVIEW)
                self._outbox.may_show()
                await self._chat.typing(self._outbox.place)
            except DeliveryError as error:
                log.info("typing", turn=self._turn, fault=error.fault)
                if error.fault is Fault.RATE:
                    self._gate.refused(self._outbox.place.chat, error)
            await asyncio.sleep(self._may.typing_every)
