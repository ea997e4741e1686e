"""The files of one message: fetched, read and kept, the person seeing how far it is."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from core.conversation.accounts import Account
from core.delivery.preview import Preview
from core.errors import DeliveryError, DocumentError, Fault, ModelError, Unreadable
from core.memory import words
from core.memory.document import MOST_BYTES
from core.memory.memory import Memory, title
from core.port import FILE, Attachment, Chat, Files, Incoming
from core.store.memories import key_of
from core.turns.held import Held

__all__ = ["Reading", "readable"]

log = structlog.get_logger(__name__)

MOST_FILES = 5  # of one message
PAUSES = (1.0, 3.0)  # seconds between tries to fetch a file
LONGEST_WAIT = 10.0  # seconds that a platform may ask to wait
ASK = "Ask me about it."


def readable(incoming: Incoming, chat: Chat) -> tuple[Attachment, ...]:
    """What came with a message and can be read, as far as its kind tells."""
    if not isinstance(chat, Files):
        return ()
    return tuple(one for one in incoming.attachments if one.kind == FILE and one.ref)


@dataclass(slots=True)
class Reading:
    """`files` are the kept ones afterwards; `said` what is to be told where no model answers."""

    held: Held
    memory: Memory
    account: Account
    files: tuple[int, ...] = ()
    said: str = ""
    failed: bool = False
    """Whether one of the files could not be read."""

    async def run(self, attachments: Sequence[Attachment]) -> None:
        """Read until done or stopped. Raises `LostLeaseError` and `StoreError` only."""
        held = self.held
        preview = Preview(held.chat, held.gate, held.outbox, held.turn.id, gone=held.stop.set)
        showing = asyncio.create_task(preview.run())
        reading = asyncio.create_task(self._all(attachments, preview))
        stopper = asyncio.create_task(held.stop.wait())
        try:
            await asyncio.wait({reading, stopper}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopper.cancel()
            reading.cancel()
            try:
                (read,) = await asyncio.gather(reading, return_exceptions=True)
            finally:
                shown = await preview.settled(showing)
        for outcome in (read, shown):
            if isinstance(outcome, Exception):
                raise outcome

    async def _all(self, attachments: Sequence[Attachment], preview: Preview) -> None:
        scope = await self.held.store.read(key_of, self.held.turn.conversation)
        told = [await self._one(one, scope, preview) for one in attachments[:MOST_FILES]]
        if len(attachments) > MOST_FILES:
            self.failed = True
            told.append(f"I read {MOST_FILES} files of one message at most.")
        if self.files and not self.failed:
            told[-1] += f" {ASK}"
        self.said = "\n".join(told)

    async def _one(self, attachment: Attachment, scope: str, preview: Preview) -> str:
        name = title(attachment.name)

        async def progress(part: float) -> None:
            preview.show("", f"Reading {name}: {int(part * 20) * 5} %")

        try:
            await progress(0)
            content = await self._fetch(attachment)
            kept = await self.memory.read(
                self.account, scope, attachment.name, content, progress, person=self.held.person
            )
        except DocumentError as error:
            log.info("not read", turn=self.held.turn.id, reason=error.reason)
            said = words.unreadable(name, error)
        except ModelError as error:
            log.warning("not embedded", turn=self.held.turn.id, failure=error.failure)
            said = f"I could not read {name}. {words.not_embedded(error)}"
        except DeliveryError as error:
            log.warning("not fetched", turn=self.held.turn.id, fault=error.fault)
            said = f"I could not get {name}: {str(error).rstrip('.')}."
        else:
            self.files += (kept.entry.id,)
            return words.kept(name, kept)
        self.failed = True
        return said

    async def _fetch(self, attachment: Attachment) -> bytes:
        chat = self.held.chat
        assert isinstance(chat, Files)  # noqa: S101 (`readable` looked)
        if attachment.size > MOST_BYTES:
            raise DocumentError("The file is too large", Unreadable.TOO_LARGE)
        for pause in PAUSES:
            try:
                return await chat.fetch(attachment, MOST_BYTES)
            except DeliveryError as error:
                wait = max(pause, error.retry_after or 0.0)
                passes = error.fault in (Fault.TRANSIENT, Fault.RATE, Fault.UNKNOWN)
                if not passes or wait > LONGEST_WAIT:
                    raise
            await asyncio.sleep(wait)
        return await chat.fetch(attachment, MOST_BYTES)
