"""A turn that this process has claimed: whether it may go on, and how it answers the person."""

import asyncio
import traceback
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import InitVar, dataclass, field, replace

import structlog

from core.buttons import ButtonAction, encode_action
from core.commands.request import Reply
from core.delivery.collapsed import render_collapsed
from core.delivery.outbox import Outbox
from core.delivery.preview import Preview
from core.delivery.rate_limiter import Priority, RateLimiter
from core.delivery.splitter import Splitter
from core.errors import DeliveryError, DeliveryFailure
from core.markdown.document import Document, Emphasis, Inline, Paragraph, Text
from core.port import Adapter, Button, MenuItem, Part
from core.scopes import person_key
from core.store.database import Store
from core.store.lease_keeper import Lease
from core.store.retrying_store import RetryingStore
from core.store.turns import LostLeaseError, Turn, TurnState, finish_turn
from core.texts import answers as texts
from core.timings import Timings

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class ClaimedTurn:
    turn: Turn
    lease: Lease
    base_store: InitVar[Store]
    adapter: Adapter
    rate_limiter: RateLimiter
    timings: Timings = Timings()
    stop_requested: asyncio.Event = field(default_factory=asyncio.Event)
    """The person wants the answer to end."""
    store: RetryingStore = field(init=False)
    outbox: Outbox = field(init=False)

    def __post_init__(self, base_store: Store) -> None:
        self.store = RetryingStore(base_store, self.check_lease, timings=self.timings)
        self.outbox = Outbox(
            self.store,
            self.adapter,
            self.rate_limiter,
            self.turn,
            timings=self.timings,
        )

    @property
    def person_key(self) -> str:
        return person_key(self.turn.incoming.sender)

    def check_lease(self) -> None:
        """Raise `LostLeaseError` if another process may have the turn by now."""
        if not self.lease.is_trusted:
            raise LostLeaseError(f"The lease of turn {self.turn.id} expired")

    def previewing(self) -> AbstractAsyncContextManager[Preview]:
        """A preview of the answer, shown until the block ends."""
        return Preview(self.outbox, on_gone=self.stop_requested.set).running()

    async def deliver(
        self,
        text: str,
        *,
        note: str = "",
        buttons: tuple[Button, ...] = (),
        menu: tuple[MenuItem, ...] = (),
        is_stored: bool = False,
    ) -> None:
        """Send the whole `text`, in as many messages as it takes, with `note` under it.

        `is_stored`: `text` is the turn's stored answer, so that it can be sent again. Raises `DeliveryError`.
        """
        parts = list(await self._split(text)) if text.strip() else []
        if note:
            self._append_note(parts, note)
        parts[-1] = replace(parts[-1], buttons=buttons, menu=menu)
        await self._send_parts(parts, is_stored=is_stored)

    async def _split(self, text: str) -> tuple[Part, ...]:
        splitter = Splitter(self.adapter.dialect, timings=self.timings)
        parts = await splitter.update_async(text)
        if splitter.has_plain_part:
            # The error's message and its variables may contain the text.
            frames = traceback.extract_tb(splitter.failure.__traceback__) if splitter.failure else []
            log.warning(
                "delivery.plain_text",
                turn=self.turn.id,
                error=type(splitter.failure).__name__ if splitter.failure else None,
                place=f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None,
            )
        return parts

    def _append_note(self, parts: list[Part], note: str) -> None:
        """Append the note to the last part if it fits, or as a part of its own."""
        dialect = self.adapter.dialect
        if parts:
            last = parts[-1]
            combined = Part(f"{last.text}\n\n{self._render_line(Text(note)).text}", last.native)
            if dialect.size(combined) <= dialect.limit:
                parts[-1] = combined
                return
        parts.append(self._render_line(Emphasis((Text(note),))))

    def _render_line(self, line: Inline) -> Part:
        return self.adapter.dialect.render(Document((Paragraph((line,)),)))

    async def _send_parts(self, parts: Sequence[Part], *, is_stored: bool = False) -> None:
        for position, part in enumerate(parts):
            await self.outbox.put(position, part, Priority.FINAL)
        await self.outbox.drop_after(len(parts) - 1)
        if self.outbox.is_uncertain:
            await self.warn_of_missing_parts(len(parts), is_stored=is_stored)

    async def warn_of_missing_parts(self, position: int, *, is_stored: bool) -> None:
        """Tell the person that parts before `position` may be missing. Raises `DeliveryError`."""
        line = self._render_line(Emphasis((Text(texts.DELIVERY_UNCERTAIN),)))
        send_again = Button(texts.SEND_AGAIN_BUTTON, encode_action(ButtonAction.SEND_AGAIN, self.turn.id))
        part = replace(line, buttons=(send_again,) if is_stored else ())
        await self.outbox.send_until_confirmed(position, part)

    async def reply_and_finish(self, reply: Reply) -> None:
        """Send the bot's own reply and finish the turn. Raises `DeliveryError`."""
        message_id = self.turn.incoming.message_id
        if reply.edits_message and message_id is not None:
            await self._edit_pressed_message(message_id, reply)
        elif reply.is_collapsed:
            await self._send_parts(render_collapsed(self.adapter.dialect, reply.text))
        else:
            await self.deliver(reply.text, buttons=reply.buttons, menu=reply.menu)
        await self.finish(TurnState.DONE)

    async def _edit_pressed_message(self, message_id: str, reply: Reply) -> None:
        """Show the reply in place of the message whose button was pressed, or send it if that is gone."""
        part, *_ = await self._split(reply.text)
        part = replace(part, buttons=reply.buttons, menu=reply.menu)
        try:
            await self.outbox.edit_message(message_id, part)
        except DeliveryError as error:
            if error.failure is not DeliveryFailure.GONE:
                raise
            await self._send_parts([part])

    async def finish(self, state: TurnState) -> None:
        await self.store.write(finish_turn, self.turn, state)
