"""How operators decide on requests for access, and what the person then reads."""

from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from core.buttons import ButtonAction, encode_action
from core.port import EventKind, Incoming, Place, Sender
from core.store.access_requests import request_access
from core.store.database import Store
from core.store.grants import Role, grant
from tests.core.commands.capable_adapter import CapableAdapter
from tests.core.turns.fake_adapter import running_engine
from tests.sqlite import sqlite_url

pytestmark = pytest.mark.slow


async def ask_for_access(folder: Path, *names: str) -> None:
    """Requests of the people 101, 102, … in this order."""
    store = Store(sqlite_url(folder))
    await store.write(grant, "fake:person:5", Role.OPERATOR, "Olga")
    for number, name in enumerate(names, 101):
        place = Place("fake", "1", f"{number}", is_private=True)
        sender = Sender("fake", f"{number}", name)
        incoming = Incoming(EventKind.PROMPT, f"r{number}", place, sender, "Hello")
        await store.write(request_access, incoming, name, None)
    await store.close()


async def test_one_request_is_approved(tmp_path: Path, model: ModelStandIn) -> None:
    chat = CapableAdapter()
    await ask_for_access(tmp_path, "Bob")
    async with running_engine(tmp_path, model, chat, access="pairing"):
        await chat.wait_until(lambda: bool(chat.parts))
        assert chat.parts[-1].text == "`Bob` wants to use this bot: `fake:person:101`"
        assert list(chat.actions) == ["Approve", "Decline"]
        assert [button.is_destructive for button in chat.parts[-1].buttons] == [False, True]
        approve, decline = chat.actions.values()
        assert await chat.answer_to_press(approve) == "Approved: `Bob` can use this bot now."
        assert chat.actions == {}
        assert await chat.answer_to_press(decline) == "`Ann` has already approved `Bob`."
        assert await chat.command("access_requests") == "Nobody is waiting for access."


async def test_three_requests_are_shown_and_the_next_one_follows(tmp_path: Path, model: ModelStandIn) -> None:
    chat = CapableAdapter()
    await ask_for_access(tmp_path, "Bob", "Cem", "Dan", "Eve", "Fay")
    async with running_engine(tmp_path, model, chat, access="pairing"):
        await chat.wait_until(lambda: bool(chat.parts))
        text = chat.parts[-1].text
        assert text.startswith("5 people want to use this bot:\n\n1. `Bob`: `fake:person:101`\n")
        assert text.endswith("\n\n2 more are waiting and will appear when you have decided.")
        assert list(chat.actions) == [f"{label} {number}" for label in ("Approve", "Decline") for number in (1, 2, 3)]
        text = await chat.answer_to_press(chat.actions["Decline 2"])
        assert text.startswith("Declined: `Cem`.\n\n4 people want to use this bot:\n\n1. `Bob`")
        assert "3. `Eve`" in text
        assert await chat.command("access_requests") == text.partition("\n\n")[2]


async def test_request_that_does_not_exist(tmp_path: Path, model: ModelStandIn) -> None:
    chat = CapableAdapter()
    await ask_for_access(tmp_path)
    async with running_engine(tmp_path, model, chat, access="pairing"):
        await chat.command("access_requests")
        assert await chat.answer_to_press(encode_action(ButtonAction.APPROVE, "fake:person:9")) == (
            "This request no longer exists: it has expired, or the person was banned."
        )


async def test_only_operators_decide(tmp_path: Path, model: ModelStandIn) -> None:
    chat = CapableAdapter()
    store = Store(sqlite_url(tmp_path))
    await store.write(grant, "fake:person:5", Role.MEMBER, "Ann")
    await store.close()
    async with running_engine(tmp_path, model, chat, access="pairing"):
        await chat.ask("/help")
        count = len(chat.parts)
        await chat.press(encode_action(ButtonAction.APPROVE, "fake:person:9"), list(chat.messages)[-1])
        await chat.say("/access_requests")
        await chat.wait_for_states("done", "done", "done")
        assert len(chat.parts) == count


async def test_internal_commands_tell_the_person_what_holds(tmp_path: Path, model: ModelStandIn) -> None:
    chat = CapableAdapter()
    async with running_engine(tmp_path, model, chat):
        assert await chat.command("access_denied") == "Only people approved by this bot's operator can use it."
        text = await chat.command("access_granted")
        assert text.startswith("You can use this bot now.\n\nHello, Ann. Write to me, and ")
