"""The outbox: delivers each part of an answer to the platform once, even after a crash.

The store has the state of each part: `SENDING` before the request that creates its message, `SENT` with the message's
ID after it. A process that takes over the turn reads the state and does the rest:

    state                      the message exists    the next process
    nothing                    no                    sends it
    SENDING                    perhaps               warns the person that it may be missing
    SENT with another text     yes                   edits it
    SENT with the same text    yes                   does nothing

A platform that deduplicates sends needs no `SENDING`: the next process sends the part again with the same key.
Previews are stored with an empty digest, so that the next process edits them in any case.

A file is a part like any other, except that it is never edited: a changed one is deleted and sent again. On some
platforms, a message of text can become one with a file, and back.

Final messages are retried for a day. Previews are not retried, because the next preview replaces a lost one.
"""

import asyncio
import hashlib
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import msgspec
import structlog

from core.backoff import Backoff
from core.delivery.rate_limiter import Priority, RateLimiter, RequestKind
from core.errors import ChatMovedError, DeliveryError, DeliveryFailure, RichRejectedError
from core.i18n.translation import gettext_noop
from core.port import Adapter, EventKind, Part, Place, SupportsUploads
from core.store.answer_parts import (
    PartState,
    SentPart,
    hand_over_parts,
    list_sent_parts,
    save_part,
    take_over_parts,
)
from core.store.batches import message_order
from core.store.chat_migration import move_chat
from core.store.retrying_store import RetryingStore
from core.store.turns import StoredTurn, Turn
from core.timings import Timings

log = structlog.get_logger(__name__)
T = TypeVar("T")

NO_PART = Part("")
FILE_DIGEST_PREFIX = "file-"


class Outbox:
    """The messages that answer one turn, by position. Every method raises `LostLeaseError` and `StoreError`."""

    def __init__(
        self,
        store: RetryingStore,
        adapter: Adapter,
        rate_limiter: RateLimiter,
        turn: Turn,
        *,
        timings: Timings = Timings(),
    ) -> None:
        self._store = store
        self.adapter = adapter
        self.rate_limiter = rate_limiter
        self.turn = turn
        self._clock = timings.clock
        self.timings = timings
        self._sent_parts: dict[int, SentPart] = {}
        self._stored_digests: dict[int, str] = {}
        """The digests in the store; a preview may differ from the digest of its message."""
        self._unstored: set[int] = set()
        """The positions whose state is stored later: it could not be, or will be with the end of the turn."""
        incoming = turn.incoming
        self.place: Place = incoming.place
        self.is_waiting = False
        """Whether the turn waits for the platform, possibly for a long time, without using shared resources."""
        self.is_uncertain = False
        """Whether a final message may be missing."""
        self.is_ephemeral = False
        """Whether only the person who asked should see the messages, where the platform can do that. What is
        confidential is ephemeral in any case."""
        self._interaction_token = incoming.interaction_token
        # Includes the event's key, because turn IDs restart at 1 in a new database.
        self._key = f"{turn.id}-{zlib.crc32(incoming.key.encode()):08x}"
        capabilities = adapter.capabilities(self.place)
        self._deduplicates_sends = capabilities.deduplicates_sends
        self._edits_attach_files = capabilities.edits_attach_files
        self._question_message = incoming.message_id
        # In a private chat, answers directly follow their questions, unless a refusal comes between.
        self._reply_to: str | None = None
        if not incoming.place.is_private or turn.refusal:
            self.reply_to_question()

    def reply_to_question(self) -> None:
        """Show which question the messages are about, also where answers directly follow their questions."""
        self._reply_to = self._question_message

    async def load(self) -> None:
        """Read which parts earlier attempts of the turn sent, or which ones an edited question takes over."""
        if self.turn.attempt > 1 or self.turn.incoming.kind is EventKind.EDIT:
            await self._load_parts()

    async def take_over(self, previous_turn: int) -> None:
        """Show the answer in the messages of another turn."""
        await self._store.write(take_over_parts, self.turn, previous_turn)
        await self._load_parts()

    async def remove_messages(self, removed_turn: StoredTurn) -> None:
        """Delete the messages of another turn."""
        token = self._interaction_token
        self._interaction_token = removed_turn.incoming.interaction_token or token
        await self.take_over(removed_turn.id)
        await self.drop_after(-1)
        self._interaction_token = token

    async def hand_over(self, shown_turn: int) -> None:
        """The messages show the answer of another turn, whose buttons need them."""
        await self._store.write(hand_over_parts, self.turn, shown_turn)

    async def _load_parts(self) -> None:
        self._sent_parts = await self._store.read(list_sent_parts, self.turn.id)
        self._stored_digests = {position: sent.digest for position, sent in self._sent_parts.items()}

    @property
    def part_count(self) -> int:
        return max(self._sent_parts, default=-1) + 1

    @property
    def message_count(self) -> int:
        """How many messages there are."""
        return sum(sent.message_id is not None for sent in self._sent_parts.values())

    @property
    def has_taken_over(self) -> bool:
        """Whether the answer is shown in messages that are as old as the one whose button was pressed."""
        pressed = message_order(self._question_message)
        return any(sent.message_id and message_order(sent.message_id) <= pressed for sent in self._sent_parts.values())

    def has_message(self, position: int) -> bool:
        """Whether a preview at `position` would change a message."""
        sent = self._sent_parts.get(position)
        return sent is not None and sent.message_id is not None

    def has_final_text(self, position: int) -> bool:
        """Whether there is a message of text, or may be one, that is not only a preview."""
        sent, digest = self._sent_parts.get(position), self._stored_digests.get(position, "")
        return sent is not None and sent.state is not PartState.REJECTED and bool(digest) and not _is_file(digest)

    def check_lease(self) -> None:
        """Raises `LostLeaseError`."""
        self._store.check_lease()

    def check_preview_allowed(self) -> None:
        """Raise if a preview must not be sent although the rate limiter allowed it."""
        self.check_lease()
        if self.rate_limiter.seconds_blocked(self.place.chat) > 0:
            raise DeliveryError("The chat is blocked", DeliveryFailure.TRANSIENT)

    # Parts

    async def put(self, position: int, part: Part, priority: Priority, *, finishes_turn: bool = False) -> None:
        """Make the message at `position` show `part`: send it, edit it, or do nothing. Raises `DeliveryError`.

        For a preview, acquire a slot from the rate limiter before choosing the text. `finishes_turn`: the turn is
        finished next, and stores `unstored_parts` in the same transaction.
        """
        sent, digest = self._sent_parts.get(position), _digest(part)
        is_same = sent is not None and sent.digest == digest
        is_extra_preview = priority.is_preview and not self._deduplicates_sends
        match sent:
            case SentPart(state=PartState.SENT | PartState.UNREACHABLE) if is_same:
                if position in self._unstored:
                    await self._store_part(position, sent)
            case SentPart(state=PartState.SENDING | PartState.UNCERTAIN) if is_same:
                self.is_uncertain = True
            case SentPart(state=PartState.SENDING | PartState.UNCERTAIN) if is_extra_preview:
                pass  # the message may exist and cannot be edited: a preview must not add another
            case SentPart(message_id=str(), digest=old_digest) if not self._can_edit(old_digest, part):
                await self._drop(position)
                await self._send(position, part, digest, priority, finishes_turn=finishes_turn)
            case SentPart(message_id=str(message_id)):
                await self._edit(position, message_id, part, digest, priority, finishes_turn=finishes_turn)
            case _:
                await self._send(position, part, digest, priority, finishes_turn=finishes_turn)

    def unstored_parts(self) -> dict[int, SentPart]:
        """What the store does not know yet, by position."""
        unstored = ((position, self._sent_parts.get(position)) for position in self._unstored)
        return {
            position: replace(sent, digest=self._stored_digests[position])
            for position, sent in unstored
            if sent is not None
        }

    def _can_edit(self, old_digest: str, part: Part) -> bool:
        has_no_file = part.file is None and not _is_file(old_digest)
        return has_no_file or self._edits_attach_files

    async def drop_after(self, position: int) -> None:
        """Delete the messages after `position`: an earlier attempt's answer was longer."""
        for surplus in sorted(p for p in self._sent_parts if p > position):
            await self._drop(surplus)

    async def _drop(self, position: int) -> None:
        message_id = self._sent_parts[position].message_id
        if message_id is not None:
            try:
                await self.delete_message(message_id, Priority.FINAL)
            except DeliveryError as error:
                log.info("delivery.part_not_deleted", turn=self.turn.id, part=position, failure=error.failure)
        del self._sent_parts[position]
        await self._store_part(position, None)

    async def send_until_confirmed(self, position: int, part: Part) -> None:
        """Send `part` until the platform confirms it; it may appear twice. Raises `DeliveryError`."""

        async def request(current: Part) -> str:
            return await self.adapter.send(
                self.place,
                current,
                key=f"{self._key}-{position}",
                reply_to=self._question_message,
                interaction_token=self._interaction_token,
                ephemeral=self.turn.incoming.is_confidential,
            )

        await self._request_with_retries(Priority.FINAL, RequestKind.MESSAGE, request, part, is_idempotent=True)

    async def edit_message(self, message_id: str, part: Part, priority: Priority = Priority.CONTROL) -> None:
        """Edit any message of this place, such as a menu. Raises `DeliveryError`."""
        token = self._interaction_token
        await self._change_message(
            RequestKind.EDIT,
            lambda current: self.adapter.edit(self.place, message_id, current, interaction_token=token),
            priority,
            part,
        )

    async def delete_message(self, message_id: str, priority: Priority = Priority.CONTROL) -> None:
        """Delete any message of this place. Raises `DeliveryError`."""
        token = self._interaction_token
        await self._change_message(
            RequestKind.MESSAGE,
            lambda _: self.adapter.delete(self.place, message_id, interaction_token=token),
            priority,
        )

    async def _change_message(
        self,
        kind: RequestKind,
        change: Callable[[Part], Awaitable[None]],
        priority: Priority,
        part: Part = NO_PART,
    ) -> None:
        original_chat = self.place.chat

        async def request(current: Part) -> None:
            if self.place.chat != original_chat:
                raise DeliveryError("The message is in the old chat", DeliveryFailure.GONE)
            await change(current)

        await self._request_with_retries(priority, kind, request, part, is_idempotent=True)

    # Sending and editing parts

    async def _edit(
        self, position: int, message_id: str, part: Part, digest: str, priority: Priority, *, finishes_turn: bool
    ) -> None:
        original_chat = self.place.chat
        if priority.is_preview and self._stored_digests.get(position):
            # This replaces the final text of an earlier attempt.
            await self._store_part(position, SentPart(PartState.SENT, message_id, ""))
        try:
            await self.edit_message(message_id, part, priority)
        except DeliveryError as error:
            is_deleted = error.failure is DeliveryFailure.GONE and priority is Priority.FINAL
            if priority.is_preview or not (is_deleted or self.place.chat != original_chat):
                raise
            await self._send(position, part, digest, priority, finishes_turn=finishes_turn)
            return
        self._sent_parts[position] = SentPart(PartState.SENT, message_id, digest)
        if not priority.is_preview:
            await self._store_part(position, self._sent_parts[position], is_deferred=finishes_turn)

    async def _send(self, position: int, part: Part, digest: str, priority: Priority, *, finishes_turn: bool) -> None:
        previous = self._sent_parts.get(position)
        if previous is not None:
            previous = replace(previous, digest=self._stored_digests.get(position, ""))
        is_recorded = not priority.is_preview and not self._deduplicates_sends

        async def request(current: Part) -> str:
            if is_recorded:
                await self._record_sending(position, digest, previous, priority)
            try:
                return await self._create_message(position, current)
            except DeliveryError as error:
                if is_recorded and _had_no_effect(error):
                    await self._store_part(position, previous)
                raise
            except asyncio.CancelledError:
                self._mark_uncertain(position, digest)
                raise

        try:
            message_id = await self._request_with_retries(
                priority, RequestKind.MESSAGE, request, part, is_idempotent=False
            )
        except DeliveryError as error:
            if error.failure is not DeliveryFailure.UNKNOWN:
                await self._store_part(position, SentPart(PartState.REJECTED, None, digest))
                raise
            log.warning("delivery.uncertain", turn=self.turn.id, part=position)
            self._mark_uncertain(position, digest)
            await self._store_part(position, SentPart(PartState.UNCERTAIN, None, digest))
            self.is_uncertain = self.is_uncertain or not priority.is_preview
            return
        self._sent_parts[position] = SentPart(PartState.SENT, message_id, digest)
        # Later previews are not stored, so the store must not contain a digest.
        stored_digest = "" if priority.is_preview else digest
        await self._store_part(position, SentPart(PartState.SENT, message_id, stored_digest), is_deferred=finishes_turn)

    async def _create_message(self, position: int, part: Part) -> str:
        if part.file is not None and not isinstance(self.adapter, SupportsUploads):
            raise DeliveryError(gettext_noop("Files cannot be sent here"), DeliveryFailure.REJECTED)
        key = f"{self._key}-{position}"
        return await self.adapter.send(
            self.place,
            part,
            # Not the key of a preview that was at this position, if that cannot become a file.
            key=f"{key}f" if part.file and not self._edits_attach_files else key,
            reply_to=self._reply_to if part.file or position == 0 else None,
            interaction_token=self._interaction_token,
            person=self.turn.incoming.sender.user,
            ephemeral=self.is_ephemeral or self.turn.incoming.is_confidential,
        )

    async def _record_sending(self, position: int, digest: str, previous: SentPart | None, priority: Priority) -> None:
        """Store that the part is being sent, at a moment when the chat is not blocked."""
        try:
            while True:
                self._stored_digests[position] = digest
                sending = SentPart(PartState.SENDING, None, digest)
                # With priority, because the rate limiter has just granted the request.
                await self._store.write_with_priority(save_part, self.turn, position, sending)
                if self.rate_limiter.seconds_blocked(self.place.chat) == 0:
                    return
                # Meanwhile the platform blocked the chat because of another turn.
                await self._store_part(position, previous)
                await self._acquire_slot(priority, RequestKind.MESSAGE)
                self.check_lease()
        except asyncio.CancelledError:
            await self._store_part(position, previous)
            raise

    def _mark_uncertain(self, position: int, digest: str) -> None:
        if not self._deduplicates_sends:  # otherwise sending again returns the ID
            self._sent_parts[position] = SentPart(PartState.UNCERTAIN, None, digest)

    async def _store_part(self, position: int, part: SentPart | None, *, is_deferred: bool = False) -> None:
        self._stored_digests[position] = part.digest if part else ""
        self._unstored.add(position)
        if is_deferred:
            return
        await self._store.write(save_part, self.turn, position, part)
        self._unstored.discard(position)

    # Requests

    async def _request_with_retries(
        self,
        priority: Priority,
        kind: RequestKind,
        request: Callable[[Part], Awaitable[T]],
        part: Part = NO_PART,
        *,
        is_idempotent: bool,
    ) -> T:
        """Call `request` with `part` when the rate limiter allows it, and retry after failures. Returns its result.

        A preview is tried once, with the slot it has already acquired. `is_idempotent`: the request may be repeated
        even if it may have taken effect.
        """
        backoff = Backoff(self.timings.first_delivery_retry_delay, self.timings.max_delivery_retry_delay)
        deadline = self._clock.monotonic() + self.timings.delivery_deadline
        while True:
            granted_at: float | None = None
            if priority.is_preview:
                self.check_preview_allowed()
            else:
                granted_at = await self._acquire_slot(priority, kind)
                self.check_lease()
            try:
                return await self._count_until_answered(request(part), granted_at)
            except ChatMovedError as moved:
                await self._follow_chat(moved.new_chat)
                if priority.is_preview:  # the next preview goes to the new chat
                    raise DeliveryError(str(moved), DeliveryFailure.TRANSIENT) from moved
            except DeliveryError as error:
                log.info("delivery.failed", turn=self.turn.id, failure=error.failure, error=str(error))
                if error.failure is DeliveryFailure.RATE_LIMITED:
                    self.rate_limiter.apply_retry_after(self.place.chat, error, kind)
                is_final_failure = isinstance(error, RichRejectedError) or self._clock.monotonic() > deadline
                if priority.is_preview or is_final_failure:
                    raise
                if error.failure is DeliveryFailure.REJECTED and part.native:
                    part = replace(part, native={})  # the formatting may be the cause
                elif _can_repeat(error.failure, is_idempotent=is_idempotent):
                    self.is_waiting = True
                    await self._clock.sleep(backoff.next_delay())
                    self.is_waiting = False
                elif error.failure is not DeliveryFailure.RATE_LIMITED:
                    raise

    async def _count_until_answered(self, request: Awaitable[T], granted_at: float | None) -> T:
        try:
            return await request
        finally:
            if granted_at is not None:
                self.rate_limiter.request_ended(self.place.chat, granted_at)

    async def _acquire_slot(self, priority: Priority, kind: RequestKind) -> float:
        # A final message may wait long, because many may queue in a slow chat.
        self.is_waiting = priority is Priority.FINAL or self.rate_limiter.seconds_blocked(self.place.chat) > 0
        capabilities = self.adapter.capabilities(self.place)
        granted_at = await self.rate_limiter.acquire(self.place.chat, capabilities, priority, kind)
        self.is_waiting = False
        return granted_at

    # Chat migration

    async def _follow_chat(self, new_chat: str) -> None:
        """Continue in the new chat. Messages in the old one can no longer be changed."""
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


def _digest(part: Part) -> str:
    content: tuple[object, ...] = (part.text, part.native, part.buttons, part.menu)
    if part.card is not None:
        content += (part.card,)
    digest = hashlib.blake2b(msgspec.json.encode(content), digest_size=16)
    if part.file is None:
        return digest.hexdigest()
    digest.update(part.file.name.encode() + part.file.content)
    return FILE_DIGEST_PREFIX + digest.hexdigest()


def _is_file(digest: str) -> bool:
    return digest.startswith(FILE_DIGEST_PREFIX)


def _had_no_effect(error: DeliveryError) -> bool:
    is_refused = error.failure in (DeliveryFailure.RATE_LIMITED, DeliveryFailure.TRANSIENT)
    return is_refused or isinstance(error, ChatMovedError)


def _can_repeat(failure: DeliveryFailure, *, is_idempotent: bool) -> bool:
    return failure is DeliveryFailure.TRANSIENT or (is_idempotent and failure is DeliveryFailure.UNKNOWN)
