"""A turn this process has claimed: its lease, its stop signal, its way back to the person."""

import asyncio
import time
from dataclasses import InitVar, dataclass, field

from core.buttons import ButtonAction, encode_action
from core.commands.reply import Reply
from core.delivery.collapsed import render_collapsed
from core.delivery.outbox import Outbox
from core.delivery.rate_limiter import Priority, RateLimiter
from core.delivery.splitter import Splitter
from core.errors import DeliveryError, DeliveryFailure
from core.markdown.document import Document, Emphasis, Paragraph, Text
from core.port import Adapter, Button, MenuItem, Part
from core.scopes import person_key
from core.store.database import Store
from core.store.retrying_store import RetryingStore
from core.store.turns import LostLeaseError, Turn, TurnState, finish_turn
from core.turns import texts

__all__ = ["ClaimedTurn"]


@dataclass(slots=True)
class ClaimedTurn:
    turn: Turn
    owner: str
    base_store: InitVar[Store]
    adapter: Adapter
    rate_limiter: RateLimiter
    lease_until: float
    """By the monotonic clock; shortened, so that a process that was frozen stops in time."""
    stop_requested: asyncio.Event = field(default_factory=asyncio.Event)
    store: RetryingStore = field(init=False)
    outbox: Outbox = field(init=False)

    def __post_init__(self, base_store: Store) -> None:
        self.store = RetryingStore(base_store, self.check_lease)
        self.outbox = Outbox(self.store, self.adapter, self.rate_limiter, self.turn, self.owner)

    @property
    def person(self) -> str:
        return person_key(self.turn.incoming.sender)

    def check_lease(self) -> None:
        """Raise `LostLeaseError` when another process may have this turn by now."""
        if time.monotonic() > self.lease_until:
            raise LostLeaseError(f"The lease of turn {self.turn.id} ran out")

    async def deliver(
        self,
        text: str,
        *,
        note: str = "",
        buttons: tuple[Button, ...] = (),
        menu: tuple[MenuItem, ...] = (),
        ephemeral: bool = False,
        is_stored: bool = False,
    ) -> None:
        """Bring the whole `text` to the person, then `note` under it; `kept` says that `text`
        is stored as the turn's answer.

        Raises `DeliveryError` when the platform will not have it.
        """
        parts = list(await Splitter(self.adapter.dialect).update_async(text)) if text.strip() else []
        if note:
            self._append_note(parts, note)
        await self._send_parts(parts, buttons, menu, ephemeral=ephemeral, is_stored=is_stored)

    async def _send_parts(
        self,
        parts: list[Part],
        buttons: tuple[Button, ...] = (),
        menu: tuple[MenuItem, ...] = (),
        *,
        ephemeral: bool,
        is_stored: bool = False,
    ) -> None:
        last = parts[-1]
        parts[-1] = Part(last.text, last.native, buttons, menu)
        for position, part in enumerate(parts):
            await self.outbox.put(position, part, Priority.FINAL, ephemeral=ephemeral)
        await self.outbox.drop_after(len(parts) - 1)
        if self.outbox.is_uncertain:
            await self.warn_of_missing_parts(len(parts), is_stored=is_stored)

    async def warn_of_missing_parts(self, position: int, *, is_stored: bool) -> None:
        """Say that of the parts before `position` some may not be there. Raises `DeliveryError`."""
        await self.outbox.send_until_confirmed(position, self._missing_parts_warning(is_stored=is_stored))

    def _missing_parts_warning(self, *, is_stored: bool) -> Part:
        document = Document((Paragraph((Emphasis((Text(texts.DELIVERY_UNCERTAIN),)),)),))
        part = self.adapter.dialect.render(document)
        send_again = Button("Send again", encode_action(ButtonAction.SEND_AGAIN, self.turn.id))
        buttons = (send_again,) if is_stored else ()
        return Part(part.text, part.native, buttons)

    def _append_note(self, parts: list[Part], note: str) -> None:
        dialect = self.adapter.dialect
        note_part = dialect.render(Document((Paragraph((Emphasis((Text(note),)),)),)))
        if parts:
            last, plain_note = parts[-1], dialect.render(Document((Paragraph((Text(note),)),)))
            combined = Part(f"{last.text}\n\n{plain_note.text}", last.native)
            if dialect.size(combined) <= dialect.limit:
                parts[-1] = combined
                return
        parts.append(note_part)

    async def reply_and_finish(self, reply: Reply, *, ephemeral: bool = False) -> None:
        """Say `reply` and be done with the turn."""
        incoming = self.turn.incoming
        if reply.edits_message and incoming.message_id is not None:
            part = Splitter(self.adapter.dialect).update(reply.text)[0]
            part = Part(part.text, part.native, reply.buttons, reply.menu)
            try:
                await self.outbox.edit_message(incoming.message_id, part)
            except DeliveryError as error:
                if error.failure is not DeliveryFailure.GONE:
                    raise
                await self._send_parts([part], reply.buttons, reply.menu, ephemeral=ephemeral)
        elif reply.is_collapsed:
            await self._send_parts(render_collapsed(self.adapter.dialect, reply.text), ephemeral=ephemeral)
        else:
            await self.deliver(reply.text, buttons=reply.buttons, menu=reply.menu, ephemeral=ephemeral)
        await self.finish(TurnState.DONE)

    async def finish(self, state: TurnState) -> None:
        await self.store.write(finish_turn, self.turn, self.owner, state)
