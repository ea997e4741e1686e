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

from core.delivery.rate_limiter import Priority, RateLimiter
from core.errors import ChatMovedError, DeliveryError, DeliveryFailure
from core.port import Adapter, Part, Place
from core.store.answer_parts import PartState, SentPart, list_sent_parts, save_part
from core.store.chat_migration import move_chat
from core.store.retrying_store import RetryingStore
from core.store.turns import Turn

__all__ = ["Outbox"]

log = structlog.get_logger(__name__)
T = TypeVar("T")

EMPTY_PART = Part("")
MAX_RETRY_SECONDS = 24 * 3600.0  # seconds for which what must arrive is tried again
MAX_BACKOFF_SECONDS = 30.0  # seconds between tries


def part_digest(part: Part) -> str:
    content = (part.text, sorted(part.native), repr(part.native), part.buttons, part.menu)
    return hashlib.blake2b(msgspec.json.encode(content), digest_size=16).hexdigest()


class Outbox:
    """The parts of one turn's answer."""

    def __init__(
        self,
        store: RetryingStore,
        adapter: Adapter,
        rate_limiter: RateLimiter,
        turn: Turn,
        owner: str,
    ) -> None:
        self._store = store
        self._adapter = adapter
        self._rate_limiter = rate_limiter
        self._turn = turn
        self._owner = owner
        self.check_lease = store.fence
        self._sent_parts: dict[int, SentPart] = {}
        self._stored_digests: dict[int, str] = {}
        """The digests that are in the store."""
        incoming = turn.incoming
        self.place: Place = incoming.place
        self.is_waiting = False
        """For the platform to be ready: it may last, and takes nothing from others."""
        self.is_uncertain = False
        """Whether something that must arrive may not have."""
        self._interaction_token = incoming.interaction_token
        # The event too: another database counts its turns from 1 again.
        self._key = f"{turn.id}-{zlib.crc32(incoming.key.encode()):08x}"
        self._deduplicates_sends = adapter.capabilities(self.place).deduplicates_sends
        self._question_message = incoming.message_id
        # Where nobody else writes an answer follows its question, but not a refusal.
        self._reply_to = None if incoming.place.is_private and not turn.refusal else self._question_message

    async def load(self) -> None:
        if self._turn.attempt > 1:
            self._sent_parts = await self._store.read(list_sent_parts, self._turn.id)
            self._stored_digests = {position: sent.digest for position, sent in self._sent_parts.items()}

    @property
    def part_count(self) -> int:
        """How many positions have been tried."""
        return max(self._sent_parts, default=-1) + 1

    def message_at(self, position: int) -> str | None:
        sent = self._sent_parts.get(position)
        return sent.message_id if sent else None

    async def put(self, position: int, part: Part, priority: Priority, *, ephemeral: bool = False) -> None:
        """Make `part` stand at `position`. Raises `DeliveryError` when that cannot be."""
        sent, new_digest = self._sent_parts.get(position), part_digest(part)
        if sent is not None and sent.state is PartState.REJECTED:
            sent = None  # it certainly does not stand there
        if sent is not None and sent.state is PartState.UNREACHABLE:
            if sent.digest != new_digest:
                await self._send(position, part, new_digest, priority, ephemeral=ephemeral)
            return
        if sent is None or (sent.message_id is None and sent.digest != new_digest):
            if sent is not None and priority is Priority.PREVIEW and not self._deduplicates_sends:
                return  # one message that nobody can change any more is enough
            await self._send(position, part, new_digest, priority, ephemeral=ephemeral)
        elif sent.message_id is None:
            # Sent before, by us or by a process that died: it may stand there.
            self.is_uncertain = True
        elif sent.digest != new_digest:
            await self._edit(position, sent.message_id, part, new_digest, priority, ephemeral=ephemeral)

    async def _edit(
        self,
        position: int,
        message: str,
        part: Part,
        new_digest: str,
        priority: Priority,
        *,
        ephemeral: bool,
    ) -> None:
        original_chat = self.place.chat
        if priority is Priority.PREVIEW and self._stored_digests.get(position):
            # A process that died had it final. Whoever takes over from us must not believe that.
            await self._store_part(position, SentPart(PartState.SENT, message, ""))
        try:
            await self.edit_message(message, part, priority)
        except DeliveryError as error:
            message_gone = error.failure is DeliveryFailure.GONE and priority is Priority.FINAL
            if priority is Priority.PREVIEW or not (message_gone or self.place.chat != original_chat):
                raise
            await self._send(position, part, new_digest, priority, ephemeral=ephemeral)
            return
        self._sent_parts[position] = SentPart(PartState.SENT, message, new_digest)
        if priority is not Priority.PREVIEW:
            await self._store_part(position, self._sent_parts[position])

    async def _send(self, position: int, part: Part, new_digest: str, priority: Priority, *, ephemeral: bool) -> None:
        previous = self._sent_parts.get(position)
        if previous is not None:
            previous = replace(previous, digest=self._stored_digests.get(position, ""))

        async def attempt(shown: Part) -> str:
            unsure = priority is not Priority.PREVIEW and not self._deduplicates_sends
            if unsure:
                try:
                    await self._store_sending(position, new_digest, previous, priority)
                except asyncio.CancelledError:
                    await self._store_part(position, previous)  # it certainly was not sent
                    raise
            try:
                return await self._adapter.send(
                    self.place,
                    shown,
                    key=f"{self._key}-{position}",
                    reply_to=self._reply_to if position == 0 else None,
                    interaction_token=self._interaction_token,
                    ephemeral=ephemeral,
                )
            except DeliveryError as error:
                not_there = error.failure in (DeliveryFailure.RATE_LIMITED, DeliveryFailure.TRANSIENT)
                if unsure and (not_there or isinstance(error, ChatMovedError)):
                    await self._store_part(position, previous)
                raise
            except asyncio.CancelledError:
                self._mark_uncertain(position, new_digest)
                raise

        try:
            message = await self._send_with_retries(priority, attempt, part, is_idempotent=False)
        except DeliveryError as error:
            state = PartState.UNCERTAIN if error.failure is DeliveryFailure.UNKNOWN else PartState.REJECTED
            if error.failure is DeliveryFailure.UNKNOWN:
                self._mark_uncertain(position, new_digest)
            await self._store_part(position, SentPart(state, None, new_digest))
            if error.failure is DeliveryFailure.UNKNOWN:
                log.warning("fate unknown", turn=self._turn.id, part=position)
                self.is_uncertain = self.is_uncertain or priority is not Priority.PREVIEW
                return
            raise
        self._sent_parts[position] = SentPart(PartState.SENT, message, new_digest)
        # Previews are edited without a note: what of them stands there only we know.
        stored_digest = "" if priority is Priority.PREVIEW else new_digest
        await self._store_part(position, SentPart(PartState.SENT, message, stored_digest))

    async def _store_sending(
        self, position: int, new_digest: str, previous: SentPart | None, priority: Priority
    ) -> None:
        """Note that it is being sent: whoever takes over after a crash must know the doubt."""
        while True:
            # First in line: the gate has let it go now, not when the others are written.
            record = SentPart(PartState.SENDING, None, new_digest)
            self._stored_digests[position] = new_digest
            await self._store.write_with_priority(save_part, self._turn, self._owner, position, record)
            if self._rate_limiter.seconds_blocked(self.place.chat) == 0:
                return
            # Another answer in the chat was told to wait while this was noted.
            await self._store_part(position, previous)
            await self._acquire_slot(priority)
            self.check_lease()

    def _mark_uncertain(self, position: int, new_digest: str) -> None:
        """It may stand there. With a key it can be sent again, and we learn its id."""
        if not self._deduplicates_sends:
            self._sent_parts[position] = SentPart(PartState.UNCERTAIN, None, new_digest)

    async def drop_after(self, position: int) -> None:
        """Remove parts beyond the last one (an earlier attempt's answer was longer)."""
        for surplus in sorted(p for p in self._sent_parts if p > position):
            message = self._sent_parts[surplus].message_id
            if message is not None:
                try:
                    await self.delete_message(message, Priority.FINAL)
                except DeliveryError as error:
                    log.info("not removed", turn=self._turn.id, part=surplus, fault=error.failure)
            del self._sent_parts[surplus]
            await self._store_part(surplus, None)

    async def edit_message(self, message: str, part: Part, priority: Priority = Priority.CONTROL) -> None:
        """Make a message that stands in the place, part of the answer or a menu, read `part`."""
        original_chat = self.place.chat

        async def attempt(shown: Part) -> None:
            self._check_not_moved(original_chat)
            await self._adapter.edit(self.place, message, shown, interaction_token=self._interaction_token)

        await self._send_with_retries(priority, attempt, part, is_idempotent=True)

    async def delete_message(self, message: str, priority: Priority = Priority.CONTROL) -> None:
        """Take away a message that stands in the place."""
        original_chat = self.place.chat

        async def attempt(_: Part) -> None:
            self._check_not_moved(original_chat)
            await self._adapter.delete(self.place, message, interaction_token=self._interaction_token)

        await self._send_with_retries(priority, attempt, is_idempotent=True)

    def _check_not_moved(self, original_chat: str) -> None:
        if self.place.chat != original_chat:
            raise DeliveryError("The message stands where the chat was", DeliveryFailure.GONE)

    async def _store_part(self, position: int, part: SentPart | None) -> None:
        self._stored_digests[position] = part.digest if part else ""
        await self._store.write(save_part, self._turn, self._owner, position, part)

    async def send_until_confirmed(self, position: int, part: Part) -> None:
        """Send `part`, about what was asked, until it certainly arrived: it may stand twice."""
        await self._send_with_retries(
            Priority.FINAL,
            lambda shown: self._adapter.send(
                self.place,
                shown,
                key=f"{self._key}-{position}",
                reply_to=self._question_message,
                interaction_token=self._interaction_token,
            ),
            part,
            is_idempotent=True,
        )

    async def _send_with_retries(
        self,
        priority: Priority,
        request: Callable[[Part], Awaitable[T]],
        part: Part = EMPTY_PART,
        *,
        is_idempotent: bool,
    ) -> T:
        """Do it when the gate allows; again after what passes.

        A preview has entered the gate before (it takes the newest text then) and is tried once.
        `repeatable`: doing it twice is doing it once.
        """
        backoff = 1.0
        deadline = time.monotonic() + MAX_RETRY_SECONDS
        while True:
            if priority is Priority.PREVIEW:
                self.check_preview_allowed()
            else:
                await self._acquire_slot(priority)
                self.check_lease()
            try:
                return await request(part)
            except ChatMovedError as moved:
                await self._follow_move(moved.new_chat)
                if priority is Priority.PREVIEW:  # the next one begins anew there
                    raise DeliveryError(str(moved), DeliveryFailure.TRANSIENT) from moved
            except DeliveryError as error:
                log.info("not taken", turn=self._turn.id, fault=error.failure, said=str(error))
                if error.failure is DeliveryFailure.RATE_LIMITED:
                    self._rate_limiter.apply_retry_after(self.place.chat, error)
                if priority is Priority.PREVIEW or time.monotonic() > deadline:
                    raise
                if error.failure is DeliveryFailure.REJECTED and part.native:
                    part = Part(part.text, buttons=part.buttons, menu=part.menu)  # plain
                elif error.failure is DeliveryFailure.TRANSIENT or (
                    is_idempotent and error.failure is DeliveryFailure.UNKNOWN
                ):
                    self.is_waiting = True
                    await asyncio.sleep(backoff)
                    self.is_waiting = False
                    backoff = min(backoff * 2, MAX_BACKOFF_SECONDS)
                elif error.failure is not DeliveryFailure.RATE_LIMITED:
                    raise

    def check_preview_allowed(self) -> None:
        """Raise when a preview that has entered the gate must not be shown after all."""
        self.check_lease()
        if self._rate_limiter.seconds_blocked(self.place.chat) > 0:
            raise DeliveryError("The chat has to wait", DeliveryFailure.TRANSIENT)

    async def _follow_move(self, new_chat: str) -> None:
        """Follow the chat; what stood under its old id cannot be changed any more."""
        place = self.place
        if new_chat == place.chat:
            raise DeliveryError("The chat moves to itself", DeliveryFailure.GONE)
        await self._store.write(move_chat, place.account_key, place.chat, new_chat)
        self.place = replace(place, chat=new_chat)
        self._reply_to = self._question_message = None
        self._sent_parts = {
            position: replace(sent, state=PartState.UNREACHABLE, message_id=None) if sent.message_id else sent
            for position, sent in self._sent_parts.items()
        }

    async def _acquire_slot(self, priority: Priority) -> None:
        # A final has nothing else to do, and in a slow chat many stand in line.
        self.is_waiting = priority is Priority.FINAL or self._rate_limiter.seconds_blocked(self.place.chat) > 0
        await self._rate_limiter.acquire(self.place.chat, self._adapter.capabilities(self.place).rate_limit, priority)
        self.is_waiting = False
