"""A turn this process has claimed: its lease, its stop signal, its way back to the person."""

import asyncio
import time
from dataclasses import InitVar, dataclass, field

from core.commands.reply import Reply
from core.conversation.scope import person_key
from core.delivery.folded import folded
from core.delivery.gate import Gate, Priority
from core.delivery.outbox import Outbox
from core.delivery.pages import Pages
from core.errors import DeliveryError, Fault
from core.markdown.document import Document, Emphasis, Paragraph, Text
from core.port import Button, Chat, Option, Part
from core.store.database import Store
from core.store.insisting import Insistent
from core.store.turns import LostLeaseError, State, Turn, finish
from core.turns import words

__all__ = ["Held"]


@dataclass(slots=True)
class Held:
    turn: Turn
    owner: str
    database: InitVar[Store]
    chat: Chat
    gate: Gate
    lease_until: float
    """By the monotonic clock; shortened, so that a process that was frozen stops in time."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    store: Insistent = field(init=False)
    outbox: Outbox = field(init=False)

    def __post_init__(self, database: Store) -> None:
        self.store = Insistent(database, self.fence)
        self.outbox = Outbox(self.store, self.chat, self.gate, self.turn, self.owner)

    @property
    def person(self) -> str:
        return person_key(self.turn.incoming.sender)

    def fence(self) -> None:
        """Raise `LostLeaseError` when another process may have this turn by now."""
        if time.monotonic() > self.lease_until:
            raise LostLeaseError(f"The lease of turn {self.turn.id} ran out")

    async def deliver(
        self,
        text: str,
        *,
        note: str = "",
        buttons: tuple[Button, ...] = (),
        menu: tuple[Option, ...] = (),
        quiet: bool = False,
        kept: bool = False,
    ) -> None:
        """Bring the whole `text` to the person, then `note` under it; `kept` says that `text`
        is stored as the turn's answer.

        Raises `DeliveryError` when the platform will not have it.
        """
        parts = list(await Pages(self.chat.dialect).follow(text)) if text.strip() else []
        if note:
            self._add_note(parts, note)
        await self._bring(parts, buttons, menu, quiet=quiet, kept=kept)

    async def _bring(
        self,
        parts: list[Part],
        buttons: tuple[Button, ...] = (),
        menu: tuple[Option, ...] = (),
        *,
        quiet: bool,
        kept: bool = False,
    ) -> None:
        last = parts[-1]
        parts[-1] = Part(last.text, last.native, buttons, menu)
        for position, part in enumerate(parts):
            await self.outbox.put(position, part, Priority.FINAL, quiet=quiet)
        await self.outbox.drop_after(len(parts) - 1)
        if self.outbox.uncertain:
            await self.tell_doubt(len(parts), kept=kept)

    async def tell_doubt(self, position: int, *, kept: bool) -> None:
        """Say that of the parts before `position` some may not be there. Raises `DeliveryError`."""
        await self.outbox.tell(position, self._doubt(kept=kept))

    def _doubt(self, *, kept: bool) -> Part:
        said = Document((Paragraph((Emphasis((Text(words.DOUBT),)),)),))
        part = self.chat.dialect.render(said)
        again = (Button("Send again", f"again:{self.turn.id}"),) if kept else ()
        return Part(part.text, part.native, again)

    def _add_note(self, parts: list[Part], note: str) -> None:
        dialect = self.chat.dialect
        alone = dialect.render(Document((Paragraph((Emphasis((Text(note),)),)),)))
        if parts:
            last, plain = parts[-1], dialect.render(Document((Paragraph((Text(note),)),)))
            joined = Part(f"{last.text}\n\n{plain.text}", last.native)
            if dialect.size(joined) <= dialect.limit:
                parts[-1] = joined
                return
        parts.append(alone)

    async def reply(self, reply: Reply, *, quiet: bool = False) -> None:
        """Say `reply` and be done with the turn."""
        incoming = self.turn.incoming
        if reply.replace and incoming.message is not None:
            part = Pages(self.chat.dialect).feed(reply.text)[0]
            part = Part(part.text, part.native, reply.buttons, reply.menu)
            try:
                await self.outbox.change(incoming.message, part)
            except DeliveryError as error:
                if error.fault is not Fault.GONE:
                    raise
                await self._bring([part], reply.buttons, reply.menu, quiet=quiet)
        elif reply.folded:
            await self._bring(folded(self.chat.dialect, reply.text), quiet=quiet)
        else:
            await self.deliver(reply.text, buttons=reply.buttons, menu=reply.menu, quiet=quiet)
        await self.finish(State.DONE)

    async def finish(self, state: State) -> None:
        await self.store.write(finish, self.turn, self.owner, state)
