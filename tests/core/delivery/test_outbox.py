"""What the outbox sends again, and what it does not."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from core.delivery.outbox import Outbox
from core.delivery.rate_limiter import Priority, RateLimiter
from core.errors import ChatMovedError, DeliveryError, DeliveryFailure, RichRejectedError
from core.port import AccountKey, Capabilities, EventKind, File, Incoming, Part, Place, RateWindow, Sender
from core.store import answer_parts, claims, inbound
from core.store.answer_parts import PartState
from core.store.database import Store
from core.store.inbound import InboundLimits
from core.store.retrying_store import RetryingStore
from core.store.turns import LostLeaseError, Refusal, Turn, TurnState
from core.timings import Timings
from tests.clock import FakeClock
from tests.core.faulty_store import FaultyStore
from tests.core.turns.fake_adapter import UNLIMITED, FakeAdapter, UploadingAdapter
from tests.sqlite import sqlite_url
from tests.waiting import wait_until

ACCOUNTS = [AccountKey("fake", "1")]
PLACE = Place("fake", "1", "5", is_private=True)
NEW_CHAT = "500"
PAGE = Part("the first page")
MARGIN = Timings().retry_after_margin


class UnreliableAdapter(FakeAdapter):
    """Ignores keys. Every message arrives, even if `send` fails or hangs."""

    failure: DeliveryFailure | None = None
    is_hanging = False
    retry_after: float | None = None

    async def send(
        self,
        place: Place,
        part: Part,
        *,
        key: str,
        reply_to: str | None = None,
        interaction_token: str | None = None,
        person: str = "",
        ephemeral: bool = False,
    ) -> str:
        message_id = await super().send(place, part, key=key, reply_to=reply_to)
        if self.is_hanging:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise DeliveryError("The request failed", self.failure, retry_after=self.retry_after)
        return message_id


class MigratingAdapter(FakeAdapter):
    """A chat that may move. Messages in the old chat stay, and cannot be changed."""

    has_moved = False

    def _check(self, place: Place) -> None:
        if self.has_moved and place.chat != NEW_CHAT:
            raise ChatMovedError(NEW_CHAT)

    async def send(
        self,
        place: Place,
        part: Part,
        *,
        key: str,
        reply_to: str | None = None,
        interaction_token: str | None = None,
        person: str = "",
        ephemeral: bool = False,
    ) -> str:
        self._check(place)
        return await super().send(place, part, key=key, reply_to=reply_to)

    async def edit(self, place: Place, message_id: str, part: Part, *, interaction_token: str | None = None) -> None:
        self._check(place)
        assert not self.has_moved, "in the new chat, the ID is that of another message"
        await super().edit(place, message_id, part)

    async def delete(self, place: Place, message_id: str, *, interaction_token: str | None = None) -> None:
        self._check(place)
        assert not self.has_moved, "in the new chat, the ID is that of another message"
        await super().delete(place, message_id)


@dataclass
class Environment:
    """A turn with its outbox, and what the outbox uses."""

    store: FaultyStore
    turn: Turn
    adapter: UnreliableAdapter
    clock: FakeClock
    rate_limiter: RateLimiter
    outbox: Outbox

    def create_outbox(self, turn: Turn, adapter: FakeAdapter | None = None) -> Outbox:
        return Outbox(
            self.store.retrying(), adapter or self.adapter, self.rate_limiter, turn, timings=Timings(clock=self.clock)
        )

    async def take_over(self) -> Outbox:
        """The outbox of the next process."""
        await self.store.write(claims.release_turns, "owner", [self.turn.id])
        (turn,) = await self.store.write(claims.claim_turns, "owner", ACCOUNTS, lease_seconds=30, limit=1)
        outbox = self.create_outbox(turn)
        await outbox.load()
        return outbox

    async def stored_states(self) -> list[PartState]:
        parts = await self.store.read(answer_parts.list_sent_parts, self.turn.id)
        return [part.state for part in parts.values()]

    def limit_after_next_write(self, retry_after: float) -> None:
        """Another turn in the chat is told to wait while this one writes to the database."""

        async def apply() -> None:
            error = DeliveryError("Wait", DeliveryFailure.RATE_LIMITED, retry_after=retry_after)
            self.rate_limiter.apply_retry_after(PLACE.chat, error)

        self.store.after_next_write(apply)


@pytest.fixture
async def env(tmp_path: Path) -> AsyncIterator[Environment]:
    store = Store(sqlite_url(tmp_path))
    await store.open()
    question = Incoming(EventKind.PROMPT, "u1", PLACE, Sender("fake", "5", "Ann"), "hello")
    await store.write(
        inbound.accept_event,
        question,
        conversation_key="ann",
        person_key="fake:5",
        ordered=True,
        limits=InboundLimits(),
    )
    (turn,) = await store.write(claims.claim_turns, "owner", ACCOUNTS, lease_seconds=30, limit=1)
    faulty_store, clock = FaultyStore(store), FakeClock()
    adapter = UnreliableAdapter(Capabilities(UNLIMITED))
    rate_limiter = RateLimiter(UNLIMITED, timings=Timings(clock=clock))
    outbox = Outbox(faulty_store.retrying(), adapter, rate_limiter, turn, timings=Timings(clock=clock))
    yield Environment(faulty_store, turn, adapter, clock, rate_limiter, outbox)
    await store.close()


# Messages whose fate is unknown


async def test_uncertain_page_is_not_resent_by_final(env: Environment) -> None:
    env.adapter.failure = DeliveryFailure.UNKNOWN
    await env.outbox.put(0, PAGE, Priority.CONTROL)
    env.adapter.failure = None
    await env.outbox.put(0, PAGE, Priority.FINAL)
    assert env.adapter.texts == [PAGE.text]
    assert env.outbox.is_uncertain


async def test_cancelled_send_is_not_repeated(env: Environment) -> None:
    env.adapter.is_hanging = True
    sending = asyncio.create_task(env.outbox.put(0, PAGE, Priority.CONTROL))
    await env.adapter.wait_for_text(PAGE.text)
    sending.cancel()
    await asyncio.wait({sending})
    env.adapter.is_hanging = False
    await env.outbox.put(0, PAGE, Priority.FINAL)
    assert env.adapter.texts == [PAGE.text]
    assert env.outbox.is_uncertain


async def test_send_cancelled_before_start_is_certain_after_takeover(env: Environment) -> None:
    is_recorded = asyncio.Event()

    async def hang() -> None:
        is_recorded.set()
        await asyncio.Event().wait()

    env.store.after_next_write(hang)
    sending = asyncio.create_task(env.outbox.put(0, PAGE, Priority.FINAL))
    await is_recorded.wait()
    assert await env.stored_states() == [PartState.SENDING]
    sending.cancel()
    await asyncio.wait({sending})
    assert sending.cancelled()
    next_outbox = await env.take_over()
    await next_outbox.put(0, PAGE, Priority.FINAL)
    assert env.adapter.texts == [PAGE.text]
    assert not next_outbox.is_uncertain


async def test_uncertain_page_stays_uncertain_after_rate_limit(env: Environment) -> None:
    env.adapter.failure = DeliveryFailure.UNKNOWN
    await env.outbox.put(0, Part("how it began"), Priority.CONTROL)
    env.adapter.failure, env.adapter.retry_after = DeliveryFailure.RATE_LIMITED, 60
    sending = asyncio.create_task(env.outbox.put(0, PAGE, Priority.FINAL))
    await wait_until(lambda: env.rate_limiter.seconds_blocked(PLACE.chat) > 0)
    sending.cancel()
    await asyncio.wait({sending})
    assert await env.stored_states() == [PartState.UNCERTAIN]


async def test_uncertain_preview_leaves_one_message(env: Environment) -> None:
    env.adapter.failure = DeliveryFailure.UNKNOWN
    for words in range(5):
        await env.outbox.put(0, Part("word " * words), Priority.PREVIEW)
    assert len(env.adapter.messages) == 1
    env.adapter.failure = None
    await env.outbox.put(0, PAGE, Priority.FINAL)
    assert env.adapter.texts[1:] == [PAGE.text]
    assert not env.outbox.is_uncertain


async def test_refused_page_is_retried_by_final(env: Environment) -> None:
    env.adapter.failure = DeliveryFailure.FORBIDDEN
    with pytest.raises(DeliveryError):
        await env.outbox.put(0, PAGE, Priority.PREVIEW)
    env.adapter.failure = None
    await env.outbox.put(0, PAGE, Priority.FINAL)
    assert not env.outbox.is_uncertain
    assert await env.stored_states() == [PartState.SENT]


async def test_final_is_tried_again_until_it_arrives(env: Environment) -> None:
    env.adapter.fail_next("send", *(DeliveryError("Not connected", DeliveryFailure.TRANSIENT) for _ in range(3)))
    sending = asyncio.create_task(env.outbox.put(0, PAGE, Priority.FINAL))
    for attempt in range(1, 4):
        await env.adapter.wait_until(lambda attempt=attempt: len(env.adapter.calls) == attempt)  # type: ignore[misc]
        await env.clock.wait_for_timer()
        assert env.outbox.is_waiting
        await env.clock.advance(Timings().max_delivery_retry_delay)
    await sending
    assert env.adapter.texts == [PAGE.text]


async def test_message_is_sent_until_confirmed(env: Environment) -> None:
    env.adapter.fail_next("send", DeliveryError("No answer", DeliveryFailure.UNKNOWN))
    sending = asyncio.create_task(env.outbox.send_until_confirmed(1, PAGE))
    await env.clock.wait_for_timer()
    await env.clock.advance(Timings().max_delivery_retry_delay)
    await sending
    assert len(env.adapter.calls) == 2


@pytest.mark.parametrize(("priority", "is_waiting"), [(Priority.FINAL, True), (Priority.CONTROL, False)])
async def test_only_final_messages_may_wait_for_a_slow_chat(
    env: Environment, priority: Priority, is_waiting: bool
) -> None:
    """Other turns run beside a turn that waits."""
    env.adapter.private_capabilities = Capabilities((RateWindow(1, 60),))
    await env.outbox.put(0, PAGE, Priority.FINAL)
    sending = asyncio.create_task(env.outbox.put(1, PAGE, priority))
    await env.clock.wait_for_timer()
    assert env.outbox.is_waiting is is_waiting
    await env.clock.advance(60)
    await sending
    assert not env.outbox.is_waiting


# Replies


@pytest.mark.parametrize("is_private", [True, False])
async def test_warning_replies_to_its_question(env: Environment, is_private: bool) -> None:
    place = replace(PLACE, chat="-7", is_private=is_private)
    turn = replace(env.turn, incoming=replace(env.turn.incoming, place=place, message_id="42"))
    await env.create_outbox(turn).send_until_confirmed(1, PAGE)
    assert env.adapter.calls[-1].reply_to == "42"


@pytest.mark.parametrize("refusal", [None, *Refusal])
async def test_only_refusals_reply_in_private_chat(env: Environment, refusal: Refusal | None) -> None:
    turn = replace(env.turn, incoming=replace(env.turn.incoming, message_id="42"), refusal=refusal)
    await env.create_outbox(turn).put(0, PAGE, Priority.FINAL)
    assert env.adapter.calls[-1].reply_to == ("42" if refusal else None)


# Takeover


async def test_edits_of_a_preview_write_nothing(env: Environment) -> None:
    """Only its message's ID is stored, which the next process needs to edit it."""
    for length in range(1, 9):
        await env.outbox.put(0, Part(PAGE.text[:length]), Priority.PREVIEW)
    assert env.store.writes[answer_parts.save_part.__name__] == 1
    await env.outbox.put(0, PAGE, Priority.FINAL)
    assert env.store.writes[answer_parts.save_part.__name__] == 2


async def test_last_page_is_stored_when_the_turn_is_finished(env: Environment) -> None:
    """One transaction instead of two for each answer."""
    await env.outbox.put(0, Part("the fir"), Priority.PREVIEW)
    await env.outbox.put(0, PAGE, Priority.FINAL, finishes_turn=True)
    assert env.store.writes[answer_parts.save_part.__name__] == 1
    await env.store.write(answer_parts.finish_delivery, env.turn, TurnState.DONE, env.outbox.unstored_parts())
    (stored,) = (await env.store.read(answer_parts.list_sent_parts, env.turn.id)).values()
    assert (stored.state, stored.message_id) == (PartState.SENT, "1")
    assert stored.digest, "known as a final page, which another preview must not replace unnoticed"


async def test_last_page_is_edited_again_if_the_process_dies_before_the_turn_is_finished(env: Environment) -> None:
    await env.outbox.put(0, Part("the fir"), Priority.PREVIEW)
    await env.outbox.put(0, PAGE, Priority.FINAL, finishes_turn=True)
    second = await env.take_over()
    await second.put(0, PAGE, Priority.FINAL, finishes_turn=True)
    assert env.adapter.texts == [PAGE.text]


async def test_final_page_reverted_to_preview_becomes_final(env: Environment) -> None:
    """One process sent the final page, the next started the answer again; both died."""
    await env.outbox.put(0, PAGE, Priority.FINAL)
    second = await env.take_over()
    await second.put(0, Part("the fir"), Priority.PREVIEW)
    third = await env.take_over()
    await third.put(0, PAGE, Priority.FINAL)
    assert env.adapter.texts == [PAGE.text]


async def test_grown_page_becomes_final(env: Environment) -> None:
    await env.outbox.put(0, PAGE, Priority.PREVIEW)
    await env.outbox.put(0, Part("the first page, and more"), Priority.PREVIEW)
    second = await env.take_over()
    await second.put(0, PAGE, Priority.FINAL)
    assert env.adapter.texts == [PAGE.text]


# Waits that begin while the outbox writes to the database


async def test_wait_during_final_note_is_respected(env: Environment) -> None:
    env.limit_after_next_write(60)
    sending = asyncio.create_task(env.outbox.put(0, PAGE, Priority.FINAL))
    await env.clock.wait_for_timer()
    await env.clock.advance(60)
    assert env.adapter.calls == []
    await env.clock.advance(MARGIN)
    await sending
    assert env.adapter.texts == [PAGE.text]


async def test_rate_limited_send_leaves_no_doubt(env: Environment) -> None:
    env.limit_after_next_write(60)
    sending = asyncio.create_task(env.outbox.put(0, PAGE, Priority.FINAL))
    await env.clock.wait_for_timer()
    sending.cancel()
    await asyncio.wait({sending})
    await env.clock.advance(60 + MARGIN)
    second = await env.take_over()
    await second.put(0, PAGE, Priority.FINAL)
    assert env.adapter.texts == [PAGE.text]
    assert not second.is_uncertain


async def test_wait_during_preview_note_drops_preview(env: Environment) -> None:
    await env.outbox.put(0, PAGE, Priority.FINAL)
    second = await env.take_over()
    env.limit_after_next_write(60)
    with pytest.raises(DeliveryError):
        await second.put(0, Part("the fir"), Priority.PREVIEW)
    assert env.adapter.texts == [PAGE.text]
    await env.clock.advance(60 + MARGIN)
    await second.put(0, Part("the second answer"), Priority.FINAL)
    assert env.adapter.texts == ["the second answer"]


async def test_page_sent_while_the_database_was_slow_is_stored_by_final(env: Environment) -> None:
    """Otherwise nobody knows later whose message it is, when somebody replies to it or presses a button under it."""

    async def begin_outage() -> None:
        env.store.start_outage(answer_parts.save_part)

    def check_lease() -> None:
        if env.store.failures:
            raise LostLeaseError

    store = RetryingStore(env.store.as_store(), check_lease)
    outbox = Outbox(store, env.adapter, env.rate_limiter, env.turn, timings=Timings(clock=env.clock))
    env.store.after_next_write(begin_outage)
    with pytest.raises(LostLeaseError):
        await outbox.put(0, PAGE, Priority.CONTROL)
    env.store.end_outage()
    env.store.failures.clear()
    await outbox.put(0, PAGE, Priority.FINAL)
    assert await env.stored_states() == [PartState.SENT]
    assert env.adapter.texts == [PAGE.text]


# A chat that moves


@pytest.fixture
def migrating_adapter() -> MigratingAdapter:
    return MigratingAdapter(Capabilities(UNLIMITED))


@pytest.mark.parametrize("priority", [Priority.CONTROL, Priority.FINAL])
async def test_answer_follows_migrated_chat_once(
    env: Environment, migrating_adapter: MigratingAdapter, priority: Priority
) -> None:
    outbox = env.create_outbox(env.turn, migrating_adapter)
    await outbox.put(0, PAGE, Priority.CONTROL)
    await outbox.put(1, Part("half of the"), Priority.PREVIEW)
    await outbox.put(2, Part("too much"), Priority.CONTROL)
    migrating_adapter.has_moved = True
    await outbox.put(1, Part("half of the second page"), priority)
    await outbox.put(0, PAGE, Priority.FINAL)
    await outbox.put(1, Part("half of the second page"), Priority.FINAL)
    await outbox.drop_after(1)
    assert migrating_adapter.texts == [PAGE.text, "half of the", "too much", "half of the second page"]
    assert not outbox.is_uncertain
    assert outbox.place.chat == NEW_CHAT


async def test_new_message_follows_migrated_chat(env: Environment, migrating_adapter: MigratingAdapter) -> None:
    turn = replace(env.turn, incoming=replace(env.turn.incoming, message_id="42"), refusal=Refusal.QUEUE_FULL)
    outbox = env.create_outbox(turn, migrating_adapter)
    migrating_adapter.has_moved = True
    await outbox.put(0, PAGE, Priority.FINAL)
    await outbox.put(0, PAGE, Priority.FINAL)
    assert migrating_adapter.texts == [PAGE.text]
    assert migrating_adapter.calls[-1].reply_to is None, "the question is in the old chat"
    assert not outbox.is_uncertain


async def test_extra_message_in_old_chat_is_kept(env: Environment, migrating_adapter: MigratingAdapter) -> None:
    outbox = env.create_outbox(env.turn, migrating_adapter)
    await outbox.put(0, PAGE, Priority.FINAL)
    await outbox.put(1, Part("more"), Priority.FINAL)
    migrating_adapter.has_moved = True
    await outbox.drop_after(0)
    assert migrating_adapter.texts == [PAGE.text, "more"]


# Files


FILE = Part("all of it", file=File("answer.md", b"all of the answer"))


def uploading_outbox(env: Environment) -> tuple[UploadingAdapter, Outbox]:
    adapter = UploadingAdapter(Capabilities(UNLIMITED))
    return adapter, env.create_outbox(env.turn, adapter)


async def taken_over(env: Environment, adapter: FakeAdapter) -> Outbox:
    """The outbox of the next process."""
    next_outbox = env.create_outbox((await env.take_over()).turn, adapter)
    await next_outbox.load()
    return next_outbox


async def test_file_is_sent_once(env: Environment) -> None:
    adapter, outbox = uploading_outbox(env)
    await outbox.put(0, FILE, Priority.FINAL)
    await (await taken_over(env, adapter)).put(0, FILE, Priority.FINAL)
    assert (adapter.texts, adapter.files) == (["all of it"], ["all of the answer"])
    assert len(adapter.sent_files) == 1


async def test_file_in_flight_is_uncertain_after_takeover(env: Environment) -> None:
    """The process dies between the record and the reply."""
    adapter, outbox = uploading_outbox(env)
    adapter.close_gate("send_file")
    sending = asyncio.create_task(outbox.put(0, FILE, Priority.FINAL))
    await adapter.started["send_file"].wait()
    assert await env.stored_states() == [PartState.SENDING]
    sending.cancel()
    await asyncio.wait({sending})
    adapter.gates["send_file"].set()
    next_outbox = await taken_over(env, adapter)
    await next_outbox.put(0, FILE, Priority.FINAL)
    assert next_outbox.is_uncertain
    assert adapter.messages == {}


async def test_deduplicated_file_is_sent_again_with_the_same_key(env: Environment) -> None:
    adapter, outbox = uploading_outbox(env)
    adapter.private_capabilities = Capabilities(UNLIMITED, deduplicates_sends=True)
    outbox = env.create_outbox(env.turn, adapter)
    adapter.close_gate("send_file")
    sending = asyncio.create_task(outbox.put(0, FILE, Priority.FINAL))
    await adapter.started["send_file"].wait()
    sending.cancel()
    await asyncio.wait({sending})
    adapter.gates["send_file"].set()
    next_outbox = await taken_over(env, adapter)
    await next_outbox.put(0, FILE, Priority.FINAL)
    assert not next_outbox.is_uncertain
    assert adapter.files == ["all of the answer"]
    [first, second] = adapter.keys["send_file"]
    assert first == second
    assert len(first) <= 25


async def test_preview_and_file_have_different_keys(env: Environment) -> None:
    """A platform that deduplicates would return the deleted preview."""
    adapter, outbox = uploading_outbox(env)
    await outbox.put(0, PAGE, Priority.PREVIEW)
    await outbox.put(0, FILE, Priority.FINAL)
    assert (adapter.texts, adapter.files) == (["all of it"], ["all of the answer"])
    assert adapter.keys["send"] != adapter.keys["send_file"]


async def test_file_replaces_text_and_text_replaces_file(env: Environment) -> None:
    adapter, outbox = uploading_outbox(env)
    for part, files in ((PAGE, []), (FILE, ["all of the answer"]), (PAGE, [])):
        await outbox.put(0, part, Priority.FINAL)
        assert (adapter.texts, adapter.files) == ([part.text], files)
        outbox = await taken_over(env, adapter)


async def test_changed_file_replaces_the_old_one(env: Environment) -> None:
    adapter, outbox = uploading_outbox(env)
    await outbox.put(0, FILE, Priority.FINAL)
    for changed in (replace(FILE, text="caption"), replace(FILE, file=File("answer.md", b"shorter"))):
        await outbox.put(0, changed, Priority.FINAL)
        assert changed.file is not None
        assert (adapter.texts, adapter.files) == ([changed.text], [changed.file.content.decode()])


async def test_surplus_file_is_deleted(env: Environment) -> None:
    adapter, outbox = uploading_outbox(env)
    await outbox.put(0, PAGE, Priority.FINAL)
    await outbox.put(1, FILE, Priority.FINAL)
    await (await taken_over(env, adapter)).drop_after(0)
    assert (adapter.texts, adapter.files) == ([PAGE.text], [])


async def test_file_waits_for_the_rate_limit(env: Environment) -> None:
    adapter, outbox = uploading_outbox(env)
    adapter.fail_next("send_file", DeliveryError("Wait", DeliveryFailure.RATE_LIMITED, retry_after=60))
    sending = asyncio.create_task(outbox.put(0, FILE, Priority.FINAL))
    await wait_until(lambda: env.rate_limiter.seconds_blocked(PLACE.chat) > 0)
    assert adapter.messages == {}
    await env.clock.advance(60 + MARGIN)
    await sending
    assert adapter.files == ["all of the answer"]
    assert not outbox.is_uncertain
    assert len([call for call in adapter.calls if call.method == "send_file"]) == 2


async def test_final_text_is_told_from_previews_and_files(env: Environment) -> None:
    adapter, outbox = uploading_outbox(env)
    for part, priority, is_final_text in (
        (PAGE, Priority.PREVIEW, False),
        (FILE, Priority.FINAL, False),
        (PAGE, Priority.FINAL, True),
    ):
        await outbox.put(0, part, priority)
        outbox = await taken_over(env, adapter)
        assert outbox.has_final_text(0) is is_final_text
    assert not outbox.has_final_text(1)


async def test_file_is_refused_where_files_cannot_be_sent(env: Environment) -> None:
    with pytest.raises(DeliveryError) as raised:
        await env.outbox.put(0, FILE, Priority.FINAL)
    assert raised.value.failure is DeliveryFailure.REJECTED
    assert env.adapter.messages == {}


async def test_rejected_rich_part_is_not_replaced_by_its_text(env: Environment) -> None:
    """Its text may be too long for another kind of message, so that the answer has to be split again."""
    rich = Part("all of the answer", {"rich": "blocks"})
    env.adapter.fail_next("send", RichRejectedError("unknown"))
    with pytest.raises(RichRejectedError):
        await env.outbox.put(0, rich, Priority.FINAL)
    assert env.adapter.messages == {}
    await env.outbox.put(0, PAGE, Priority.FINAL)
    assert env.adapter.texts == [PAGE.text]


async def test_preview_becomes_the_file_where_edits_attach_files(env: Environment) -> None:
    adapter, _ = uploading_outbox(env)
    adapter.private_capabilities = Capabilities(UNLIMITED, edits_attach_files=True)
    outbox = env.create_outbox(env.turn, adapter)
    await outbox.put(0, PAGE, Priority.PREVIEW)
    [message_id] = adapter.messages
    await outbox.put(0, FILE, Priority.FINAL)
    assert (list(adapter.messages), adapter.files) == ([message_id], ["all of the answer"])
    await (await taken_over(env, adapter)).put(0, PAGE, Priority.FINAL)
    assert (adapter.texts, adapter.files) == ([PAGE.text], [])
    assert list(adapter.messages) == [message_id], "and back"
