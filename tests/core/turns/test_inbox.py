"""What the inbox makes of an event before it stores it, and who may send how many."""

import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from sqlalchemy import Connection, select

from bots.sandbox.model import ModelStandIn
from core.api.catalogue import Model
from core.errors import AccessDeniedError
from core.port import Attachment, Batch, EventKind, Incoming, Place, Quote, QuoteKind, Sender
from core.store.incoming_codec import decode_incoming
from core.store.schema import turns
from core.texts import answers as texts
from core.texts import commands as command_texts
from core.timings import Timings
from core.turns.ignored_events import IgnoredEvents
from core.turns.inbox import is_question, is_stop_request
from tests.clock import FakeClock
from tests.core.turns.fake_adapter import running_engine

pytestmark = pytest.mark.slow

PLACE = Place("fake", "1", "5", is_private=True)
MESSAGE = Incoming(EventKind.PROMPT, "e1", PLACE, Sender("fake", "5", "Ann"), "hello")
COMMAND = replace(MESSAGE, kind=EventKind.COMMAND)
PHOTO = Attachment("photo", file_id="1", is_image=True)
PRESS = replace(MESSAGE, kind=EventKind.BUTTON)
SERVICE_KEY = f"io-v2-{'a1B2' * 10}"


@pytest.mark.parametrize(
    ("incoming", "question", "stop"),
    [
        (MESSAGE, True, False),
        (replace(MESSAGE, text="/stop"), True, False),
        (replace(COMMAND, command="ask"), True, False),
        (replace(COMMAND, command="retry"), True, False),
        (replace(COMMAND, command="new", text=""), False, False),
        (replace(COMMAND, command="new", text="", attachments=(PHOTO,)), True, False),
        (replace(COMMAND, command="new", text="", attachments=(replace(PHOTO, is_quoted=True),)), False, False),
        (replace(COMMAND, command="model"), False, False),
        (replace(COMMAND, command="stop"), False, True),
        (replace(MESSAGE, kind=EventKind.STOP, text="65"), False, True),
        (replace(PRESS, text="retry:1"), True, False),
        (replace(PRESS, text="more:1"), True, False),
        (replace(PRESS, text="stop:1"), False, True),
        (replace(PRESS, text="again:1"), False, False),
        (replace(PRESS, text="unknown"), False, False),
        (replace(MESSAGE, text="retry:1"), True, False),
        (replace(COMMAND, command="model", text="stop:1"), False, False),
    ],
    ids=lambda value: f"{value.kind} {value.command} {value.text}" if isinstance(value, Incoming) else "",
)
def test_questions_wait_and_requests_to_stop_overtake(incoming: Incoming, question: bool, stop: bool) -> None:
    assert (is_question(incoming), is_stop_request(incoming)) == (question, stop)


def stored_events(connection: Connection) -> list[str]:
    return list(connection.scalars(select(turns.c.incoming_json).order_by(turns.c.id)))


@pytest.mark.parametrize(
    "text",
    [
        "/key sk-0123456789abcdef",
        "  /KEY\nsk-0123456789abcdef",
        "sk-0123456789abcdef",
        f"My key is {SERVICE_KEY}, use it",
    ],
    ids=["pasted command", "in capitals", "key alone", "in a sentence"],
)
async def test_key_in_a_message_is_a_key_command(tmp_path: Path, model: ModelStandIn, text: str) -> None:
    async with running_engine(tmp_path, model, secret_key="a passphrase") as chat:
        await chat.inbox(replace(MESSAGE, text=text, attachments=(Attachment("photo"),)))
        await chat.wait_for_text(command_texts.KEY_REJECTED)
        (stored,) = await chat.store.read(stored_events)
        assert "sk-" not in stored
        assert SERVICE_KEY not in stored
        assert "photo" not in stored
    assert not model.requests


@pytest.mark.parametrize("text", ["What is sk-0123456789abcdef?", "sk-short", "/keys are for doors", "io-v2-short"])
async def test_other_messages_are_questions(tmp_path: Path, model: ModelStandIn, text: str) -> None:
    model.answer = lambda _body: "a question"
    async with running_engine(tmp_path, model, secret_key="a passphrase") as chat:
        await chat.inbox(replace(MESSAGE, text=text))
        await chat.wait_for_text("a question")


async def test_key_is_not_stored_without_a_passphrase(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.inbox(replace(COMMAND, command="key", text="sk-0123456789abcdef"))
        await chat.wait_for_text(command_texts.KEYS_DISABLED)
        assert "sk-" not in (await chat.store.read(stored_events))[0]


async def test_who_sends_too_fast_is_told_and_may_still_stop(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, messages_a_minute=2) as chat:
        assert await chat.ask("/usage") != texts.TOO_FAST
        assert texts.TOO_FAST not in await chat.ask("/start")
        assert texts.TOO_FAST not in await chat.ask("/start")
        notice = await chat.ask("/start")
        assert re.fullmatch(rf"{texts.TOO_FAST} Try again in (5\d|60) s\.", notice)
        await chat.say("/start")
        assert await chat.ask("/stop") == command_texts.NOTHING_TO_STOP
        await chat.say("/stop")
        with pytest.raises(AccessDeniedError, match=rf"{texts.TOO_FAST} Try again in \d+ s"):
            await chat.say("/start", interaction_token="t")
        assert chat.texts.count(notice) == 1


async def test_person_without_access_is_not_stored(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, access="pairing") as chat:
        with pytest.raises(AccessDeniedError):
            await chat.say("hello")
        (notice,) = await chat.store.read(stored_events)
        assert "hello" not in notice, "only who asked for access, and where"


@pytest.mark.parametrize(("action", "is_confidential"), [("think:1", True), ("mp:1", False), ("try:1", False)])
async def test_press_is_confidential_only_on_a_confidential_answer(
    tmp_path: Path, model: ModelStandIn, action: str, *, is_confidential: bool
) -> None:
    group = replace(PLACE, chat="-7", is_private=False)
    async with running_engine(tmp_path, model) as chat:
        await chat.inbox(replace(MESSAGE, place=group, is_confidential=True))
        await chat.wait_for_states("done")
        await chat.inbox(replace(PRESS, place=group, key="e2", text=action))
        _, press = map(decode_incoming, await chat.store.read(stored_events))
        assert press is not None
        assert press.is_confidential is is_confidential


class WatchedModel(Model):
    """Records the threads that read its name."""

    threads: ClassVar[set[int]] = set()

    @property
    def name(self) -> str:
        self.threads.add(threading.get_ident())
        return super().name


async def test_models_to_compare_are_searched_before_the_transaction(tmp_path: Path, model: ModelStandIn) -> None:
    """A search takes milliseconds, and the database has one writer."""
    async with running_engine(tmp_path, model) as chat:
        chat.models.set_models([WatchedModel("lab/one"), WatchedModel("lab/two")])
        WatchedModel.threads.clear()
        await chat.say("/compare one two Why?")
        await chat.wait_until(lambda: len(chat.messages) == 2)
        assert WatchedModel.threads == {threading.get_ident()}


@pytest.mark.parametrize(
    "event",
    [
        replace(MESSAGE, kind=EventKind.EDIT, message_id="unknown"),
        replace(MESSAGE, kind=EventKind.FORWARD, quotes=(Quote(QuoteKind.FORWARD, "forwarded"),)),
    ],
    ids=["edits", "forwarded messages"],
)
async def test_events_that_change_nothing_are_limited(tmp_path: Path, model: ModelStandIn, event: Incoming) -> None:
    """Each costs a transaction ahead of all others."""
    clock = FakeClock()
    async with running_engine(tmp_path, model, messages_a_minute=3) as chat:
        inbox = replace(chat.engine.inbox, ignored_events=IgnoredEvents(3, Timings(clock=clock)))
        await chat.ask("hello")
        before = chat.store.writes["_accept"]
        for number in range(10):
            await inbox(replace(event, key=f"event {number}"))
        assert chat.store.writes["_accept"] - before == 3
        await inbox(replace(event, key="of another person", sender=replace(event.sender, user="6")))
        assert chat.store.writes["_accept"] - before == 4
        clock.now += 61
        await inbox(replace(event, key="later"))
        assert chat.store.writes["_accept"] - before == 5


async def test_forwards_are_limited_while_a_question_is_open_in_another_chat(
    tmp_path: Path, model: ModelStandIn
) -> None:
    forward = replace(MESSAGE, kind=EventKind.FORWARD, text="", quotes=(Quote(QuoteKind.FORWARD, "The tide is high."),))
    async with running_engine(tmp_path, model, timings=Timings(batch_window=600)) as chat:
        inbox = replace(chat.engine.inbox, ignored_events=IgnoredEvents(2, Timings(clock=FakeClock())))
        await inbox(replace(MESSAGE, key="here"))
        await chat.wait_for_states("done")
        elsewhere = replace(MESSAGE, key="elsewhere", text="Is it true?", batch=Batch(), place=Place("fake", "1", "-9"))
        await inbox(elsewhere)
        before = chat.store.writes["_accept"]
        for number in range(6):
            await inbox(replace(forward, key=f"unrelated {number}"))
        assert chat.store.writes["_accept"] - before == 2


async def test_edit_that_changes_the_question_counts_after_many_that_do_not(
    tmp_path: Path, model: ModelStandIn
) -> None:
    async with running_engine(tmp_path, model, messages_a_minute=5) as chat:
        inbox = replace(chat.engine.inbox, ignored_events=IgnoredEvents(2, Timings(clock=FakeClock())))
        await chat.inbox(replace(MESSAGE, text="repeat: old", message_id="9"))
        await chat.wait_for_text("old")
        await chat.wait_for_states("done")
        edit = replace(MESSAGE, kind=EventKind.EDIT)
        for number in range(4):
            await inbox(replace(edit, key=f"unknown {number}", message_id="unknown"))
        await inbox(replace(edit, key="edit", text="repeat: new", message_id="9"))
        await chat.wait_for_text("new")


async def test_forward_after_its_comment_counts_after_many_that_change_nothing(
    tmp_path: Path, model: ModelStandIn
) -> None:
    forward = replace(MESSAGE, kind=EventKind.FORWARD, text="", quotes=(Quote(QuoteKind.FORWARD, "The tide is high."),))
    async with running_engine(tmp_path, model, timings=Timings(batch_window=600)) as chat:
        inbox = replace(chat.engine.inbox, ignored_events=IgnoredEvents(2, Timings(clock=FakeClock())))
        elsewhere = Place("fake", "1", "-9")
        for number in range(4):
            await inbox(replace(forward, key=f"unrelated {number}", place=elsewhere))
        await inbox(replace(MESSAGE, text="Is it true?", batch=Batch()))
        await inbox(replace(forward, key="f"))
        await chat.wait_for_states("queued", "merged")


async def test_chat_that_moves_keeps_its_conversation(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("repeat: one", group="-7")
        await chat.wait_for_states("done")
        moved = replace(MESSAGE, kind=EventKind.MOVED, key="m", place=Place("fake", "1", "-7"), text="-8")
        await chat.inbox(moved)
        await chat.ask("repeat: two", group="-8")
        contents = [message["content"] for message in model.requests[-1].body["messages"][1:]]
        assert contents == ["repeat: one", "one", "repeat: two"]


@pytest.mark.parametrize("is_first", [True, False])
async def test_forward_in_a_group_is_part_of_the_question_beside_it(
    tmp_path: Path, model: ModelStandIn, is_first: bool
) -> None:
    place = Place("fake", "1", "-7")
    quote = Quote(QuoteKind.FORWARD, "The tide is high.", "Bob")
    forward = replace(MESSAGE, kind=EventKind.FORWARD, key="f", place=place, text="", quotes=(quote,))
    question = replace(MESSAGE, place=place, text="Is it true?")
    unrelated = replace(question, key="e2", text="And now?")
    model.tokens_per_second = 1  # slow enough for what follows
    async with running_engine(tmp_path, model) as chat:
        await chat.inbox(replace(forward, key="e0", quotes=()))  # nothing to add
        for event in (forward, question) if is_first else (question, forward):
            await chat.inbox(event)
        model.tokens_per_second = 5000
        await chat.wait_for_states(*["done"] if is_first else ["done", "merged"])
        assert "> The tide is high.\n" in model.requests[-1].body["messages"][-1]["content"]
        await chat.inbox(unrelated)
        await chat.wait_for_states(*["done", "done"] if is_first else ["done", "merged", "done"])
        assert model.requests[-1].body["messages"][-1]["content"] == "And now?"
