"""What is sent again, and what is not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from core.delivery.outbox import Outbox
from core.delivery.rate_limiter import Priority, RateLimiter
from core.errors import ChatMovedError, DeliveryError, DeliveryFailure
from core.port import AccountKey, Capabilities, EventKind, Incoming, Part, Place, Sender
from core.store import answer_parts, claims, inbound
from core.store.database import Store
from core.store.inbound import InboundLimits
from core.store.retrying_store import RetryingStore
from core.store.turns import Refusal, Turn
from tests.core.turns.fake_adapter import UNLIMITED, FakeAdapter
from tests.waiting import wait_until

PLACE = Place("quick", "1", "5", is_private=True)
PAGE = Part("the first page")


class UnreliableAdapter(FakeAdapter):
    """Ignores keys. Every message arrives, even if `send` fails or hangs."""

    failure: DeliveryFailure | None = None
    is_hanging = False
    attempts = 0
    replied: str | None = None

    def capabilities(self, place: Place) -> Capabilities:
        return Capabilities(UNLIMITED)

    async def send(
        self,
        place: Place,
        part: Part,
        *,
        key: str,
        reply_to: str | None = None,
        interaction_token: str | None = None,
        ephemeral: bool = False,
    ) -> str:
        message = await super().send(place, part, key=key)
        self.attempts += 1
        self.replied = reply_to
        if self.is_hanging:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise DeliveryError("as told", self.failure)
        return message


def retrying(store: Store) -> RetryingStore:
    return RetryingStore(store, lambda: None)


@dataclass
class Setup:
    chat: UnreliableAdapter
    outbox: Outbox
    store: Store
    turn: Turn

    async def next_outbox(self) -> Outbox:
        """That of the process that takes over."""
        await self.store.write(claims.release_turns, "me", [self.turn.id])
        (turn,) = await self.store.write(
            claims.claim_turns, "me", [AccountKey("quick", "1")], lease_seconds=30, limit=1
        )
        outbox = Outbox(retrying(self.store), self.chat, RateLimiter(UNLIMITED), turn, "me")
        await outbox.load()
        return outbox

    @property
    def visible_texts(self) -> list[str]:
        return list(self.chat.messages.values())


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Setup]:
    store = Store(f"sqlite:///{tmp_path / 'parley.sqlite3'}")
    await store.open()
    incoming = Incoming(EventKind.PROMPT, "u1", PLACE, Sender("quick", "5", "Ann"), "hello")
    await store.write(
        inbound.accept_event,
        incoming,
        conversation_key="ann",
        person_key="quick:5",
        ordered=True,
        limits=InboundLimits(),
    )
    (turn,) = await store.write(claims.claim_turns, "me", [AccountKey("quick", "1")], lease_seconds=30, limit=1)
    chat = UnreliableAdapter()
    yield Setup(chat, Outbox(retrying(store), chat, RateLimiter(UNLIMITED), turn, "me"), store, turn)
    await store.close()


async def test_uncertain_page_is_not_resent_by_final(desk: Setup) -> None:
    desk.chat.failure = DeliveryFailure.UNKNOWN
    await desk.outbox.put(0, PAGE, Priority.CONTROL)
    desk.chat.failure = None
    await desk.outbox.put(0, PAGE, Priority.FINAL)
    assert desk.visible_texts == [PAGE.text]
    assert desk.outbox.is_uncertain


@pytest.mark.parametrize("private", [True, False])
async def test_doubt_notice_replies_to_its_question(desk: Setup, private: bool) -> None:
    place = replace(PLACE, chat="-7", is_private=private)
    asked = replace(desk.turn.incoming, place=place, message_id="42")
    turn = replace(desk.turn, incoming=asked)
    outbox = Outbox(retrying(desk.store), desk.chat, RateLimiter(UNLIMITED), turn, "me")
    await outbox.send_until_confirmed(1, PAGE)
    assert desk.chat.replied == "42"


async def test_refusal_notice_replies_to_its_question(
    desk: Setup,
) -> None:
    asked = replace(desk.turn.incoming, message_id="42")
    for refusal, replied in ((None, None), (Refusal.QUEUE_FULL, "42"), (Refusal.RATE_LIMITED, "42")):
        turn = replace(desk.turn, incoming=asked, refusal=refusal)
        outbox = Outbox(retrying(desk.store), desk.chat, RateLimiter(UNLIMITED), turn, "me")
        await outbox.put(0, PAGE, Priority.FINAL)
        assert desk.chat.replied == replied


async def test_cancelled_send_is_not_repeated(desk: Setup) -> None:
    desk.chat.is_hanging = True
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await desk.outbox.put(0, PAGE, Priority.CONTROL)
    desk.chat.is_hanging = False
    await desk.outbox.put(0, PAGE, Priority.FINAL)
    assert desk.visible_texts == [PAGE.text]
    assert desk.outbox.is_uncertain


async def test_send_cancelled_before_start_is_certain_after_takeover(
    desk: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = desk.store.write_with_priority
    noted = asyncio.Event()

    async def slow(*args: Any, **more: Any) -> None:
        await write(*args, **more)
        noted.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(desk.store, "write_with_priority", slow)
    sending = asyncio.create_task(desk.outbox.put(0, PAGE, Priority.FINAL))
    async with asyncio.timeout(5):
        await noted.wait()
    sending.cancel()
    await asyncio.wait({sending})
    assert sending.cancelled()
    monkeypatch.undo()
    heir = await desk.next_outbox()
    await heir.put(0, PAGE, Priority.FINAL)
    assert desk.visible_texts == [PAGE.text]
    assert not heir.is_uncertain


async def test_uncertain_page_stays_uncertain_after_rate_limit(
    desk: Setup,
) -> None:
    desk.chat.failure = DeliveryFailure.UNKNOWN
    await desk.outbox.put(0, Part("what it began with"), Priority.CONTROL)
    desk.chat.failure = DeliveryFailure.RATE_LIMITED
    sending = asyncio.create_task(desk.outbox.put(0, PAGE, Priority.FINAL))

    async def is_uncertain() -> bool:
        return desk.chat.attempts == 2 and await states(desk) == ["uncertain"]

    await wait_until(is_uncertain)
    sending.cancel()
    await asyncio.wait({sending})
    assert await states(desk) == ["uncertain"]


async def states(desk: Setup) -> list[str]:
    known = await desk.store.read(answer_parts.list_sent_parts, desk.turn.id)
    return [sent.state for sent in known.values()]


async def test_uncertain_preview_leaves_one_message(desk: Setup) -> None:
    desk.chat.failure = DeliveryFailure.UNKNOWN
    for words in range(5):
        await desk.outbox.put(0, Part("word " * words), Priority.PREVIEW)
    assert len(desk.visible_texts) == 1
    desk.chat.failure = None
    await desk.outbox.put(0, PAGE, Priority.FINAL)
    assert desk.visible_texts[1:] == [PAGE.text]
    assert not desk.outbox.is_uncertain


async def test_refused_page_is_retried_by_final(desk: Setup) -> None:
    desk.chat.failure = DeliveryFailure.FORBIDDEN
    with pytest.raises(DeliveryError):
        await desk.outbox.put(0, PAGE, Priority.PREVIEW)
    desk.chat.failure = None
    await desk.outbox.put(0, PAGE, Priority.FINAL)
    assert not desk.outbox.is_uncertain
    assert await states(desk) == ["sent"]


async def test_final_page_reverted_to_preview_becomes_final(desk: Setup) -> None:
    """One process had the page ready, the next began the answer anew; both died."""
    await desk.outbox.put(0, PAGE, Priority.FINAL)
    second = await desk.next_outbox()
    await second.put(0, Part("the fir"), Priority.PREVIEW)
    third = await desk.next_outbox()
    await third.put(0, PAGE, Priority.FINAL)
    assert desk.visible_texts == [PAGE.text]


async def test_grown_page_becomes_final(desk: Setup) -> None:
    await desk.outbox.put(0, PAGE, Priority.PREVIEW)
    await desk.outbox.put(0, Part("the first page, and more"), Priority.PREVIEW)
    second = await desk.next_outbox()
    await second.put(0, PAGE, Priority.FINAL)
    assert desk.visible_texts == [PAGE.text]


class WaitTriggeringAdapter(UnreliableAdapter):
    """Keeps for how long nothing should have come when something came."""

    def __init__(self, rate_limiter: RateLimiter) -> None:
        super().__init__()
        self.rate_limiter = rate_limiter
        self.early: list[float] = []

    async def send(
        self,
        place: Place,
        part: Part,
        *,
        key: str,
        reply_to: str | None = None,
        interaction_token: str | None = None,
        ephemeral: bool = False,
    ) -> str:
        self.early.append(self.rate_limiter.seconds_blocked(place.chat))
        return await super().send(place, part, key=key)

    async def edit(self, place: Place, message_id: str, part: Part, *, interaction_token: str | None = None) -> None:
        self.early.append(self.rate_limiter.seconds_blocked(place.chat))
        await super().edit(place, message_id, part)


@pytest.fixture
def told(desk: Setup, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], WaitTriggeringAdapter]:
    """The seconds another answer in the chat is told to wait while the next note is written."""
    gate = desk.outbox._rate_limiter
    desk.outbox._adapter = chat = WaitTriggeringAdapter(gate)
    ways = {"write": desk.store.write, "write_with_priority": desk.store.write_with_priority}

    def tell(seconds: float) -> WaitTriggeringAdapter:
        def noting(way: str) -> Callable[..., Awaitable[Any]]:
            async def note(*args: Any, **named: Any) -> Any:
                for each, write in ways.items():
                    monkeypatch.setattr(desk.store, each, write)
                noted = await ways[way](*args, **named)
                gate.apply_retry_after(
                    PLACE.chat, DeliveryError("wait", DeliveryFailure.RATE_LIMITED, retry_after=seconds)
                )
                return noted

            return note

        for way in ways:
            monkeypatch.setattr(desk.store, way, noting(way))
        return chat

    return tell


async def test_wait_during_final_note_is_respected(desk: Setup, told: Callable[[float], WaitTriggeringAdapter]) -> None:
    chat = told(0.2)
    await desk.outbox.put(0, PAGE, Priority.FINAL)
    assert chat.early == [0.0]
    assert list(chat.messages.values()) == [PAGE.text]


async def test_rate_limited_send_leaves_no_doubt(desk: Setup, told: Callable[[float], WaitTriggeringAdapter]) -> None:
    told(60)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await desk.outbox.put(0, PAGE, Priority.FINAL)
    second = await desk.next_outbox()
    await second.put(0, PAGE, Priority.FINAL)
    assert desk.visible_texts == [PAGE.text]
    assert not second.is_uncertain


async def test_wait_during_preview_note_drops_preview(
    desk: Setup, told: Callable[[float], WaitTriggeringAdapter]
) -> None:
    await desk.outbox.put(0, PAGE, Priority.FINAL)
    second = await desk.next_outbox()
    second._rate_limiter = desk.outbox._rate_limiter
    second._adapter = chat = told(0.2)
    with pytest.raises(DeliveryError):
        await second.put(0, Part("the fir"), Priority.PREVIEW)
    await second.put(0, Part("the second answer"), Priority.FINAL)
    assert chat.early == [0.0, 0.0]
    assert list(chat.messages.values()) == ["the second answer"]


class MigratingAdapter(UnreliableAdapter):
    """A chat that may move while it is written to. The old one keeps what stands there."""

    has_moved = False

    def _check(self, place: Place) -> None:
        if self.has_moved and place.chat != NEW_PLACE:
            raise ChatMovedError(NEW_PLACE)

    async def send(
        self,
        place: Place,
        part: Part,
        *,
        key: str,
        reply_to: str | None = None,
        interaction_token: str | None = None,
        ephemeral: bool = False,
    ) -> str:
        self._check(place)
        self.replies.append(reply_to)
        return await super().send(place, part, key=key)

    async def edit(self, place: Place, message_id: str, part: Part, *, interaction_token: str | None = None) -> None:
        self._check(place)
        assert not self.has_moved, "the number means another message there"
        await super().edit(place, message_id, part)

    async def delete(self, place: Place, message_id: str, *, interaction_token: str | None = None) -> None:
        self._check(place)
        assert not self.has_moved, "the number means another message there"
        await super().delete(place, message_id)

    def __init__(self) -> None:
        super().__init__()
        self.replies: list[str | None] = []


NEW_PLACE = "500"


@pytest.fixture
def moving(desk: Setup) -> Setup:
    chat = MigratingAdapter()
    desk.outbox._adapter = chat
    return Setup(chat, desk.outbox, desk.store, desk.turn)


@pytest.mark.parametrize("priority", [Priority.CONTROL, Priority.FINAL])
async def test_answer_follows_migrated_chat_once(moving: Setup, priority: Priority) -> None:
    chat, outbox = moving.chat, moving.outbox
    assert isinstance(chat, MigratingAdapter)
    await outbox.put(0, PAGE, Priority.CONTROL)
    await outbox.put(1, Part("half of the"), Priority.PREVIEW)
    await outbox.put(2, Part("too much"), Priority.CONTROL)
    chat.has_moved = True
    await outbox.put(1, Part("half of the second page"), priority)
    await outbox.put(0, PAGE, Priority.FINAL)
    await outbox.put(1, Part("half of the second page"), Priority.FINAL)
    await outbox.drop_after(1)
    assert moving.visible_texts == [PAGE.text, "half of the", "too much", "half of the second page"]
    assert not outbox.is_uncertain
    assert outbox.place.chat == NEW_PLACE


async def test_new_message_follows_migrated_chat(moving: Setup) -> None:
    chat, outbox = moving.chat, moving.outbox
    assert isinstance(chat, MigratingAdapter)
    chat.has_moved = True
    await outbox.put(0, PAGE, Priority.FINAL)
    await outbox.put(0, PAGE, Priority.FINAL)
    assert moving.visible_texts == [PAGE.text]
    assert chat.replies == [None], "what it answers is not there"
    assert not outbox.is_uncertain


async def test_extra_message_in_old_chat_is_kept(moving: Setup) -> None:
    chat, outbox = moving.chat, moving.outbox
    assert isinstance(chat, MigratingAdapter)
    await outbox.put(0, PAGE, Priority.FINAL)
    await outbox.put(1, Part("more"), Priority.FINAL)
    chat.has_moved = True
    await outbox.drop_after(0)
    assert moving.visible_texts == [PAGE.text, "more"]
