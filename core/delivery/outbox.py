"""What of an answer stands on the platform, and how to bring it to what it should be.

Each part's fate is in the store, with the message's id as soon as the platform told it. So a
process that takes over sends only what has not been sent and edits what differs. What was sent in
the instant of a crash, its id not yet noted, is sent again with the same key: where the platform
knows keys nothing doubles.
"""

import asyncio
import hashlib
import time
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import msgspec
import structlog

from core.delivery.gate import Gate, Priority
from core.errors import DeliveryError, Fault, MovedError
from core.port import Chat, Part, Place
from core.store.accepting import Accepted
from core.store.insisting import Insistent
from core.store.moves import move_chat
from core.store.turns import OUT_OF_REACH, Sent, Turn, mark_part, sent_parts

__all__ = ["Outbox"]

log = structlog.get_logger(__name__)
T = TypeVar("T")

NOTHING = Part("")
LONGEST_WAIT = 24 * 3600.0  # seconds for which what must arrive is tried again
LONGEST_PAUSE = 30.0  # seconds between tries


def digest(part: Part) -> str:
    shown = (part.text, sorted(part.native), repr(part.native), part.buttons, part.menu)
    return hashlib.blake2b(msgspec.json.encode(shown), digest_size=16).hexdigest()


class Outbox:
    """The parts of one turn's answer."""

    def __init__(
        self,
        store: Insistent,
        chat: Chat,
        gate: Gate,
        turn: Turn,
        owner: str,
    ) -> None:
        self._store = store
        self._chat = chat
        self._gate = gate
        self._turn = turn
        self._owner = owner
        self.fence = store.fence
        self._sent: dict[int, Sent] = {}
        self._noted: dict[int, str] = {}
        """The digests that are in the store."""
        incoming = turn.incoming
        self.place: Place = incoming.place
        self.waiting = False
        """For the platform to be ready: it may last, and takes nothing from others."""
        self.uncertain = False
        """Whether something that must arrive may not have."""
        self._ticket = incoming.ticket
        # The event too: another database counts its turns from 1 again.
        self._key = f"{turn.id}-{zlib.crc32(incoming.key.encode()):08x}"
        self._keyed = chat.capabilities(self.place).keyed
        self._asked = incoming.message
        # Where nobody else writes an answer follows its question, but not a refusal.
        refused = turn.note in (Accepted.FULL, Accepted.FAST)
        self._reply_to = None if incoming.place.private and not refused else self._asked

    async def load(self) -> None:
        if self._turn.attempt > 1:
            self._sent = await self._store.read(sent_parts, self._turn.id)
            self._noted = {position: sent.digest for position, sent in self._sent.items()}

    @property
    def parts(self) -> int:
        """How many positions have been tried."""
        return max(self._sent, default=-1) + 1

    def message(self, position: int) -> str | None:
        sent = self._sent.get(position)
        return sent.message if sent else None

    async def put(
        self, position: int, part: Part, priority: Priority, *, quiet: bool = False
    ) -> None:
        """Make `part` stand at `position`. Raises `DeliveryError` when that cannot be."""
        sent, now = self._sent.get(position), digest(part)
        if sent is not None and sent.state == "dead":
            sent = None  # it certainly does not stand there
        if sent is None or (sent.message is None and sent.digest != now):
            if sent is not None and priority is Priority.PREVIEW and not self._keyed:
                return  # one message that nobody can change any more is enough
            await self._send(position, part, now, priority, quiet=quiet)
        elif sent.message is None:
            # Sent before, by us or by a process that died: it may stand there.
            self.uncertain = True
        elif sent.digest != now and sent.message == OUT_OF_REACH:
            await self._send(position, part, now, priority, quiet=quiet)
        elif sent.digest != now:
            await self._edit(position, sent.message, part, now, priority, quiet=quiet)

    async def _edit(
        self, position: int, message: str, part: Part, now: str, priority: Priority, *, quiet: bool
    ) -> None:
        chat = self.place.chat
        if priority is Priority.PREVIEW and self._noted.get(position):
            # A process that died had it final. Whoever takes over from us must not believe that.
            await self._mark(position, Sent("sent", message, ""))
        try:
            await self.change(message, part, priority)
        except DeliveryError as error:
            gone = error.fault is Fault.GONE and priority is Priority.FINAL
            if priority is Priority.PREVIEW or not (gone or self.place.chat != chat):
                raise
            await self._send(position, part, now, priority, quiet=quiet)
            return
        self._sent[position] = Sent("sent", message, now)
        if priority is not Priority.PREVIEW:
            await self._mark(position, self._sent[position])

    async def _send(
        self, position: int, part: Part, now: str, priority: Priority, *, quiet: bool
    ) -> None:
        before = self._sent.get(position)
        if before is not None:
            before = replace(before, digest=self._noted.get(position, ""))

        async def attempt(shown: Part) -> str:
            unsure = priority is not Priority.PREVIEW and not self._keyed
            if unsure:
                try:
                    await self._announce(position, now, before, priority)
                except asyncio.CancelledError:
                    await self._mark(position, before)  # it certainly was not sent
                    raise
            try:
                return await self._chat.send(
                    self.place,
                    shown,
                    key=f"{self._key}-{position}",
                    reply_to=self._reply_to if position == 0 else None,
                    ticket=self._ticket,
                    quiet=quiet,
                )
            except DeliveryError as error:
                not_there = error.fault in (Fault.RATE, Fault.TRANSIENT)
                if unsure and (not_there or isinstance(error, MovedError)):
                    await self._mark(position, before)
                raise
            except asyncio.CancelledError:
                self._doubt(position, now)
                raise

        try:
            message = await self._try(priority, attempt, part, repeatable=False)
        except DeliveryError as error:
            state = "uncertain" if error.fault is Fault.UNKNOWN else "dead"
            if error.fault is Fault.UNKNOWN:
                self._doubt(position, now)
            await self._mark(position, Sent(state, None, now))
            if error.fault is Fault.UNKNOWN:
                log.warning("fate unknown", turn=self._turn.id, part=position)
                self.uncertain = self.uncertain or priority is not Priority.PREVIEW
                return
            raise
        self._sent[position] = Sent("sent", message, now)
        # Previews are edited without a note: what of them stands there only we know.
        shown = "" if priority is Priority.PREVIEW else now
        await self._mark(position, Sent("sent", message, shown))

    async def _announce(
        self, position: int, now: str, before: Sent | None, priority: Priority
    ) -> None:
        """Note that it is being sent: whoever takes over after a crash must know the doubt."""
        while True:
            # First in line: the gate has let it go now, not when the others are written.
            note = Sent("sending", None, now)
            self._noted[position] = now
            await self._store.write_first(mark_part, self._turn, self._owner, position, note)
            if self._gate.blocked(self.place.chat) == 0:
                return
            # Another answer in the chat was told to wait while this was noted.
            await self._mark(position, before)
            await self._enter(priority)
            self.fence()

    def _doubt(self, position: int, now: str) -> None:
        """It may stand there. With a key it can be sent again, and we learn its id."""
        if not self._keyed:
            self._sent[position] = Sent("uncertain", None, now)

    async def drop_after(self, position: int) -> None:
        """Remove parts beyond the last one (an earlier attempt's answer was longer)."""
        for extra in sorted(p for p in self._sent if p > position):
            message = self._sent[extra].message
            if message is not None and message != OUT_OF_REACH:
                try:
                    await self.remove(message, Priority.FINAL)
                except DeliveryError as error:
                    log.info("not removed", turn=self._turn.id, part=extra, fault=error.fault)
            del self._sent[extra]
            await self._mark(extra, None)

    async def change(self, message: str, part: Part, priority: Priority = Priority.CONTROL) -> None:
        """Make a message that stands in the place, part of the answer or a menu, read `part`."""
        chat = self.place.chat

        async def attempt(shown: Part) -> None:
            self._still_in(chat)
            await self._chat.edit(self.place, message, shown, ticket=self._ticket)

        await self._try(priority, attempt, part, repeatable=True)

    async def remove(self, message: str, priority: Priority = Priority.CONTROL) -> None:
        """Take away a message that stands in the place."""
        chat = self.place.chat

        async def attempt(_: Part) -> None:
            self._still_in(chat)
            await self._chat.delete(self.place, message, ticket=self._ticket)

        await self._try(priority, attempt, repeatable=True)

    def _still_in(self, chat: str) -> None:
        if self.place.chat != chat:
            raise DeliveryError("The message stands where the chat was", Fault.GONE)

    async def _mark(self, position: int, part: Sent | None) -> None:
        self._noted[position] = part.digest if part else ""
        await self._store.write(mark_part, self._turn, self._owner, position, part)

    async def tell(self, position: int, part: Part) -> None:
        """Send `part`, about what was asked, until it certainly arrived: it may stand twice."""
        await self._try(
            Priority.FINAL,
            lambda shown: self._chat.send(
                self.place,
                shown,
                key=f"{self._key}-{position}",
                reply_to=self._asked,
                ticket=self._ticket,
            ),
            part,
            repeatable=True,
        )

    async def _try(
        self,
        priority: Priority,
        action: Callable[[Part], Awaitable[T]],
        part: Part = NOTHING,
        *,
        repeatable: bool,
    ) -> T:
        """Do it when the gate allows; again after what passes.

        A preview has entered the gate before (it takes the newest text then) and is tried once.
        `repeatable`: doing it twice is doing it once.
        """
        pause = 1.0
        give_up = time.monotonic() + LONGEST_WAIT
        while True:
            if priority is Priority.PREVIEW:
                self.may_show()
            else:
                await self._enter(priority)
                self.fence()
            try:
                return await action(part)
            except MovedError as moved:
                await self._move(moved.chat)
                if priority is Priority.PREVIEW:  # the next one begins anew there
                    raise DeliveryError(str(moved), Fault.TRANSIENT) from moved
            except DeliveryError as error:
                log.info("not taken", turn=self._turn.id, fault=error.fault, said=str(error))
                if error.fault is Fault.RATE:
                    self._gate.refused(self.place.chat, error)
                if priority is Priority.PREVIEW or time.monotonic() > give_up:
                    raise
                if error.fault is Fault.REJECTED and part.native:
                    part = Part(part.text, buttons=part.buttons, menu=part.menu)  # plain
                elif error.fault is Fault.TRANSIENT or (
                    repeatable and error.fault is Fault.UNKNOWN
                ):
                    self.waiting = True
                    await asyncio.sleep(pause)
                    self.waiting = False
                    pause = min(pause * 2, LONGEST_PAUSE)
                elif error.fault is not Fault.RATE:
                    raise

    def may_show(self) -> None:
        """Raise when a preview that has entered the gate must not be shown after all."""
        self.fence()
        if self._gate.blocked(self.place.chat) > 0:
            raise DeliveryError("The chat has to wait", Fault.TRANSIENT)

    async def _move(self, chat: str) -> None:
        """Follow the chat; what stood under its old id cannot be changed any more."""
        place = self.place
        if chat == place.chat:
            raise DeliveryError("The chat moves to itself", Fault.GONE)
        await self._store.write(move_chat, place.platform, place.account, place.chat, chat)
        self.place = replace(place, chat=chat)
        self._reply_to = self._asked = None
        self._sent = {
            position: replace(sent, message=OUT_OF_REACH) if sent.message else sent
            for position, sent in self._sent.items()
        }

    async def _enter(self, priority: Priority) -> None:
        # A final has nothing else to do, and in a slow chat many stand in line.
        self.waiting = priority is Priority.FINAL or self._gate.blocked(self.place.chat) > 0
        await self._gate.enter(self.place.chat, self._chat.capabilities(self.place).pace, priority)
        self.waiting = False
