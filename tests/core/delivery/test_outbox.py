"""What is sent again, and what is not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from core.delivery.gate import Gate, Priority
from core.delivery.outbox import Outbox
from core.errors import DeliveryError, Fault, MovedError
from core.port import Capabilities, Incoming, Kind, Part, Place, Sender
from core.store import accepting, turns
from core.store.accepting import Bounds
from core.store.database import Store
from core.store.insisting import Insistent
from core.store.turns import Turn
from tests.core.turns.quick import PACE, Quick

PLACE = Place("quick", "1", "5", private=True)
PAGE = Part("the first page")


class Unsure(Quick):
    """Knows no keys. What it is sent arrives, whatever it says to that."""

    fault: Fault | None = None
    seconds = 0.0
    tried = 0
    replied: str | None = None

    def capabilities(self, place: Place) -> Capabilities:
        return Capabilities(PACE)

    async def send(
        self, place: Place, part: Part, *, key: str, reply_to: str | None = None,
        ticket: str | None = None, quiet: bool = False,
    ) -> str:  # fmt: skip
        message = await super().send(place, part, key=key)
        self.tried += 1
        self.replied = reply_to
        await asyncio.sleep(self.seconds)
        if self.fault is not None:
            raise DeliveryError("as told", self.fault)
        return message


def insistent(store: Store) -> Insistent:
    return Insistent(store, lambda: None)


@dataclass
class Desk:
    chat: Unsure
    outbox: Outbox
    store: Store
    turn: Turn

    async def next(self) -> Outbox:
        """That of the process that takes over."""
        await self.store.write(turns.release, "me", [self.turn.id])
        (turn,) = await self.store.write(turns.claim, "me", [("quick", "1")], lease=30, most=1)
        outbox = Outbox(insistent(self.store), self.chat, Gate(PACE), turn, "me")
        await outbox.load()
        return outbox

    @property
    def shown(self) -> list[str]:
        return list(self.chat.shown.values())


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    store = Store(f"sqlite:///{tmp_path / 'parley.sqlite3'}")
    await store.open()
    incoming = Incoming(Kind.PROMPT, "u1", PLACE, Sender("quick", "5", "Ann"), "hello")
    await store.write(
        accepting.accept, incoming, key="ann", person="quick:5", ordered=True, bounds=Bounds()
    )
    (turn,) = await store.write(turns.claim, "me", [("quick", "1")], lease=30, most=1)
    chat = Unsure()
    yield Desk(chat, Outbox(insistent(store), chat, Gate(PACE), turn, "me"), store, turn)
    await store.close()


async def test_a_page_of_unknown_fate_is_not_sent_again_with_the_final(desk: Desk) -> None:
    desk.chat.fault = Fault.UNKNOWN
    await desk.outbox.put(0, PAGE, Priority.CONTROL)
    desk.chat.fault = None
    await desk.outbox.put(0, PAGE, Priority.FINAL)
    assert desk.shown == [PAGE.text]
    assert desk.outbox.uncertain


@pytest.mark.parametrize("private", [True, False])
async def test_it_is_told_under_which_question_something_may_be_missing(
    desk: Desk, private: bool
) -> None:
    place = replace(PLACE, chat="-7", private=private)
    asked = replace(desk.turn.incoming, place=place, message="42")
    turn = replace(desk.turn, incoming=asked)
    outbox = Outbox(insistent(desk.store), desk.chat, Gate(PACE), turn, "me")
    await outbox.tell(1, PAGE)
    assert desk.chat.replied == "42"


async def test_a_refusal_says_what_it_refuses_where_answers_follow_their_questions(
    desk: Desk,
) -> None:
    asked = replace(desk.turn.incoming, message="42")
    for note, replied in ((None, None), ("full", "42"), ("fast", "42")):
        turn = replace(desk.turn, incoming=asked, note=note)
        outbox = Outbox(insistent(desk.store), desk.chat, Gate(PACE), turn, "me")
        await outbox.put(0, PAGE, Priority.FINAL)
        assert desk.chat.replied == replied


async def test_a_page_whose_sending_was_cancelled_is_not_sent_again(desk: Desk) -> None:
    desk.chat.seconds = 60
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await desk.outbox.put(0, PAGE, Priority.CONTROL)
    desk.chat.seconds = 0
    await desk.outbox.put(0, PAGE, Priority.FINAL)
    assert desk.shown == [PAGE.text]
    assert desk.outbox.uncertain


async def test_a_page_cancelled_before_it_was_sent_is_no_doubt_for_who_takes_over(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = desk.store.write_first
    noted = asyncio.Event()

    async def slow(*args: Any, **more: Any) -> None:
        await write(*args, **more)
        noted.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(desk.store, "write_first", slow)
    sending = asyncio.create_task(desk.outbox.put(0, PAGE, Priority.FINAL))
    async with asyncio.timeout(5):
        await noted.wait()
    sending.cancel()
    await asyncio.wait({sending})
    assert sending.cancelled()
    monkeypatch.undo()
    heir = await desk.next()
    await heir.put(0, PAGE, Priority.FINAL)
    assert desk.shown == [PAGE.text]
    assert not heir.uncertain


async def test_what_was_in_doubt_before_stays_so_when_a_second_try_is_told_to_wait(
    desk: Desk,
) -> None:
    desk.chat.fault = Fault.UNKNOWN
    await desk.outbox.put(0, Part("what it began with"), Priority.CONTROL)
    desk.chat.fault = Fault.RATE
    sending = asyncio.create_task(desk.outbox.put(0, PAGE, Priority.FINAL))
    async with asyncio.timeout(5):
        while desk.chat.tried < 2 or await states(desk) != ["uncertain"]:
            await asyncio.sleep(0.01)
    sending.cancel()
    await asyncio.wait({sending})
    assert await states(desk) == ["uncertain"]


async def states(desk: Desk) -> list[str]:
    known = await desk.store.read(turns.sent_parts, desk.turn.id)
    return [sent.state for sent in known.values()]


async def test_a_preview_of_unknown_fate_leaves_one_message_at_most(desk: Desk) -> None:
    desk.chat.fault = Fault.UNKNOWN
    for words in range(5):
        await desk.outbox.put(0, Part("word " * words), Priority.PREVIEW)
    assert len(desk.shown) == 1
    desk.chat.fault = None
    await desk.outbox.put(0, PAGE, Priority.FINAL)
    assert desk.shown[1:] == [PAGE.text]
    assert not desk.outbox.uncertain


async def test_what_was_refused_is_tried_again_with_the_final(desk: Desk) -> None:
    desk.chat.fault = Fault.FORBIDDEN
    with pytest.raises(DeliveryError):
        await desk.outbox.put(0, PAGE, Priority.PREVIEW)
    desk.chat.fault = None
    await desk.outbox.put(0, PAGE, Priority.FINAL)
    assert not desk.outbox.uncertain
    assert desk.outbox.message(0) is not None


async def test_a_page_that_was_final_and_became_a_preview_again_is_made_final(desk: Desk) -> None:
    """One process had the page ready, the next began the answer anew; both died."""
    await desk.outbox.put(0, PAGE, Priority.FINAL)
    second = await desk.next()
    await second.put(0, Part("the fir"), Priority.PREVIEW)
    third = await desk.next()
    await third.put(0, PAGE, Priority.FINAL)
    assert desk.shown == [PAGE.text]


async def test_a_page_that_grew_after_it_was_sent_is_made_final(desk: Desk) -> None:
    await desk.outbox.put(0, PAGE, Priority.PREVIEW)
    await desk.outbox.put(0, Part("the first page, and more"), Priority.PREVIEW)
    second = await desk.next()
    await second.put(0, PAGE, Priority.FINAL)
    assert desk.shown == [PAGE.text]


class Heedful(Unsure):
    """Keeps for how long nothing should have come when something came."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self.gate = gate
        self.early: list[float] = []

    async def send(
        self, place: Place, part: Part, *, key: str, reply_to: str | None = None,
        ticket: str | None = None, quiet: bool = False,
    ) -> str:  # fmt: skip
        self.early.append(self.gate.blocked(place.chat))
        return await super().send(place, part, key=key)

    async def edit(
        self, place: Place, message: str, part: Part, *, ticket: str | None = None
    ) -> None:
        self.early.append(self.gate.blocked(place.chat))
        await super().edit(place, message, part)


@pytest.fixture
def told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], Heedful]:
    """The seconds another answer in the chat is told to wait while the next note is written."""
    gate = desk.outbox._gate
    desk.outbox._chat = chat = Heedful(gate)
    ways = {"write": desk.store.write, "write_first": desk.store.write_first}

    def tell(seconds: float) -> Heedful:
        def noting(way: str) -> Callable[..., Awaitable[Any]]:
            async def note(*args: Any, **named: Any) -> Any:
                for each, write in ways.items():
                    monkeypatch.setattr(desk.store, each, write)
                noted = await ways[way](*args, **named)
                gate.refused(PLACE.chat, DeliveryError("wait", Fault.RATE, retry_after=seconds))
                return noted

            return note

        for way in ways:
            monkeypatch.setattr(desk.store, way, noting(way))
        return chat

    return tell


async def test_a_wait_told_while_a_final_is_noted_is_kept(
    desk: Desk, told: Callable[[float], Heedful]
) -> None:
    chat = told(0.2)
    await desk.outbox.put(0, PAGE, Priority.FINAL)
    assert chat.early == [0.0]
    assert list(chat.shown.values()) == [PAGE.text]


async def test_what_waits_again_leaves_no_doubt_to_the_next_process(
    desk: Desk, told: Callable[[float], Heedful]
) -> None:
    told(60)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await desk.outbox.put(0, PAGE, Priority.FINAL)
    second = await desk.next()
    await second.put(0, PAGE, Priority.FINAL)
    assert desk.shown == [PAGE.text]
    assert not second.uncertain


async def test_a_wait_told_while_a_preview_is_noted_drops_the_preview(
    desk: Desk, told: Callable[[float], Heedful]
) -> None:
    await desk.outbox.put(0, PAGE, Priority.FINAL)
    second = await desk.next()
    second._gate = desk.outbox._gate
    second._chat = chat = told(0.2)
    with pytest.raises(DeliveryError):
        await second.put(0, Part("the fir"), Priority.PREVIEW)
    await second.put(0, Part("the second answer"), Priority.FINAL)
    assert chat.early == [0.0, 0.0]
    assert list(chat.shown.values()) == ["the second answer"]


class Moving(Unsure):
    """A chat that may move while it is written to. The old one keeps what stands there."""

    moved = False

    def _look(self, place: Place) -> None:
        if self.moved and place.chat != NEW:
            raise MovedError(NEW)

    async def send(
        self, place: Place, part: Part, *, key: str, reply_to: str | None = None,
        ticket: str | None = None, quiet: bool = False,
    ) -> str:  # fmt: skip
        self._look(place)
        self.replies.append(reply_to)
        return await super().send(place, part, key=key)

    async def edit(
        self, place: Place, message: str, part: Part, *, ticket: str | None = None
    ) -> None:
        self._look(place)
        assert not self.moved, "the number means another message there"
        await super().edit(place, message, part)

    async def delete(self, place: Place, message: str, *, ticket: str | None = None) -> None:
        self._look(place)
        assert not self.moved, "the number means another message there"
        await super().delete(place, message)

    def __init__(self) -> None:
        super().__init__()
        self.replies: list[str | None] = []


NEW = "500"


@pytest.fixture
def moving(desk: Desk) -> Desk:
    chat = Moving()
    desk.outbox._chat = chat
    return Desk(chat, desk.outbox, desk.store, desk.turn)


@pytest.mark.parametrize("priority", [Priority.CONTROL, Priority.FINAL])
async def test_an_answer_follows_the_chat_and_nothing_stands_twice(
    moving: Desk, priority: Priority
) -> None:
    chat, outbox = moving.chat, moving.outbox
    assert isinstance(chat, Moving)
    await outbox.put(0, PAGE, Priority.CONTROL)
    await outbox.put(1, Part("half of the"), Priority.PREVIEW)
    await outbox.put(2, Part("too much"), Priority.CONTROL)
    chat.moved = True
    await outbox.put(1, Part("half of the second page"), priority)
    await outbox.put(0, PAGE, Priority.FINAL)
    await outbox.put(1, Part("half of the second page"), Priority.FINAL)
    await outbox.drop_after(1)
    assert moving.shown == [PAGE.text, "half of the", "too much", "half of the second page"]
    assert not outbox.uncertain
    assert outbox.place.chat == NEW


async def test_a_new_message_follows_the_chat_without_a_word_of_doubt(moving: Desk) -> None:
    chat, outbox = moving.chat, moving.outbox
    assert isinstance(chat, Moving)
    chat.moved = True
    await outbox.put(0, PAGE, Priority.FINAL)
    await outbox.put(0, PAGE, Priority.FINAL)
    assert moving.shown == [PAGE.text]
    assert chat.replies == [None], "what it answers is not there"
    assert not outbox.uncertain


async def test_an_extra_message_in_the_old_chat_is_left_there(moving: Desk) -> None:
    chat, outbox = moving.chat, moving.outbox
    assert isinstance(chat, Moving)
    await outbox.put(0, PAGE, Priority.FINAL)
    await outbox.put(1, Part("more"), Priority.FINAL)
    chat.moved = True
    await outbox.drop_after(0)
    assert moving.shown == [PAGE.text, "more"]
