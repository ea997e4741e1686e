"""Input from people and models that could break the bot: each gets one answer, without delay."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.faults import send_raw
from core.delivery.collapsed import render_collapsed
from core.port import EventKind, Incoming, Place, Sender
from core.store.grants import Role, grant, is_operator
from core.texts.answers import REASONING_NOT_STORED
from core.turns.access_control import MAX_WRONG_GUESSES, create_pairing_code
from tests.core.api.raw_server import DONE, chunk, final_chunk, sse_event
from tests.core.turns.fake_adapter import FakeAdapter, running_engine, turn_states
from tests.postgresql import postgresql_url
from tests.sqlite import sqlite_url

pytestmark = pytest.mark.slow


class FloodedGroup(FakeAdapter):
    """Messages to the group hang until `gates["flooded"]` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.gates["flooded"] = asyncio.Event()

    async def send(self, place: Place, *args: Any, **kwargs: Any) -> str:
        if not place.is_private:
            await self.gates["flooded"].wait()
        return await super().send(place, *args, **kwargs)


@pytest.fixture
def model(model: ModelStandIn) -> ModelStandIn:
    model.answer = lambda _body: "an answer"
    return model


@pytest.fixture
async def adapter(tmp_path: Path, model: ModelStandIn) -> AsyncIterator[FakeAdapter]:
    async with running_engine(tmp_path, model, secret_key="a long secret of the operator") as adapter:
        yield adapter


@pytest.mark.parametrize("key", ["ключключключ", "sk-éééééééééé", "😀" * 12, "sk-abc def ghi", "\0" * 9])
async def test_invalid_header_key_is_refused(adapter: FakeAdapter, key: str) -> None:
    assert await adapter.ask(f"/key {key}") == "That doesn't look like an API key."


async def test_huge_number_is_refused(adapter: FakeAdapter) -> None:
    reply = await adapter.ask("/settings length 1" + "0" * 5000)
    assert reply == "Length must be 16-100,000."


@pytest.mark.parametrize("number", ["1" + "0" * 18, "9" * 20, "1" + "0" * 5000], ids=len)
async def test_huge_number_of_a_turn_fails_no_turn(adapter: FakeAdapter, number: str) -> None:
    """Nobody has to type this command, but everybody can."""
    await adapter.say(f"/private_export {number}")
    await adapter.wait_for_states("done")
    assert adapter.texts == []


@pytest.mark.parametrize(
    ("argument", "stored"),
    [("temperature -0", "0"), ("temperature -0.0", "0"), ("length 00512", "512")],
)
async def test_number_is_normalised(adapter: FakeAdapter, argument: str, stored: str) -> None:
    assert f": {stored} (this chat)" in await adapter.ask(f"/settings {argument}")


@pytest.mark.parametrize("text", ["/remember the \0 door \ud83d", "/system \ud800", "half \udfff \0"])
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_invalid_characters_lose_no_message(
    tmp_path: Path, model: ModelStandIn, text: str, database: str
) -> None:
    sqlite = sqlite_url(tmp_path)
    url = postgresql_url() if database == "postgresql" else sqlite
    async with running_engine(tmp_path, model, database_url=url) as adapter:
        reply = await adapter.ask(text)
        assert reply.startswith(("Remembered as number 1", "Instructions changed", "an answer"))
        if text.startswith("/remember"):
            assert "the \ufffd door \ufffd" in await adapter.ask("/memory")


def reasoning_response(reasoning: str) -> bytes:
    return chunk(reasoning_content=reasoning) + chunk(content="said") + final_chunk() + DONE


@pytest.mark.parametrize("reasoning", [" ", "\n\n"])
async def test_blank_reasoning_is_ignored(adapter: FakeAdapter, model: ModelStandIn, reasoning: str) -> None:
    model.fault_hook = lambda _body: send_raw(reasoning_response(reasoning))
    assert await adapter.ask("hello") == "said"
    assert await adapter.ask("/context")  # the turn has ended
    await adapter.press("think:1", "1")
    await adapter.wait_until(lambda: len(adapter.messages) == 3)
    assert adapter.texts[-1] == REASONING_NOT_STORED


async def test_leading_blanks_of_reasoning_are_stripped(adapter: FakeAdapter, model: ModelStandIn) -> None:
    model.fault_hook = lambda _body: send_raw(reasoning_response("\n" * 15_000 + "So it is."))
    assert await adapter.ask("hello") == "said"
    await adapter.press("think:1", "1")
    await adapter.wait_until(lambda: len(adapter.messages) == 2)
    assert "So it is." in adapter.texts[-1]


def test_collapsed_text_has_no_empty_message(adapter: FakeAdapter) -> None:
    blank_lines = "\n" * 3 * adapter.dialect.limit
    parts = render_collapsed(adapter.dialect, f"one{blank_lines}two\0three")
    assert all(part.text.strip("> \n") for part in parts)
    assert "\0" not in "".join(part.text for part in parts)


async def test_absurd_usage_is_answered_once(adapter: FakeAdapter, model: ModelStandIn) -> None:
    usage = sse_event({"choices": [], "usage": {"prompt_tokens": 10**30, "completion_tokens": 1}})
    model.fault_hook = lambda _body: send_raw(chunk(content="said") + usage + final_chunk() + DONE)
    assert await adapter.ask("hello") == "said"
    assert await adapter.ask("hello again") == "said"
    assert len(model.requests) == 2


@pytest.mark.parametrize("action", ["mp:0", "ml:0:llama", "m:", "stop:2"])
async def test_forged_press_replaces_no_answer(adapter: FakeAdapter, action: str) -> None:
    await adapter.say("hello", user="5", group="-7")
    await adapter.wait_until(lambda: len(adapter.messages) == 1)
    await adapter.say("hello", user="6", group="-7")
    await adapter.wait_for_states("done", "done")
    [answer_id, _] = adapter.messages
    group = Place(adapter.platform, adapter.account, "-7")
    forger = Sender(adapter.platform, "6", "Bob")
    await adapter.inbox(Incoming(EventKind.BUTTON, "b1", group, forger, action, message_id=answer_id))
    await adapter.wait_for_states("done", "done", "done")
    assert adapter.messages[answer_id].strip() == "an answer"


async def test_forged_stop_replaces_no_older_message(adapter: FakeAdapter) -> None:
    """The turn of an old answer is deleted, so its message is unknown."""
    await adapter.say("hello", message="50")
    await adapter.wait_for_states("done")
    adapter.messages["9"] = "an old answer"
    await adapter.press("stop:1", "9")
    await adapter.wait_for_states("done", "done")
    assert adapter.messages["9"] == "an old answer"


async def test_menu_is_replaced_by_its_pages(adapter: FakeAdapter) -> None:
    await adapter.ask("/models")
    [menu_id] = adapter.messages
    await adapter.press("ml:0:llama", menu_id)
    await adapter.wait_until(lambda: "edit" in [call.method for call in adapter.calls])
    await adapter.press("ml:0:llama", menu_id)
    await adapter.wait_until(lambda: [call.method for call in adapter.calls].count("edit") == 2)
    assert list(adapter.messages) == [menu_id]


@pytest.mark.parametrize("access", ["open", "pairing"])
async def test_code_makes_allowed_user_operator(tmp_path: Path, model: ModelStandIn, access: str) -> None:
    async with running_engine(tmp_path, model, access=access) as adapter:
        await adapter.store.write(grant, "fake:person:5", Role.MEMBER, "Ann")
        code = await create_pairing_code(adapter.store.as_store())
        for number in range(MAX_WRONG_GUESSES):
            await adapter.say(f"/start from-page-{number}")  # the parameter of a link is no guess
        assert not any("operator" in text for text in adapter.texts)
        await adapter.say(f"/start {code}")
        assert await adapter.store.read(is_operator, "fake", "5")
        await adapter.wait_for_text("now an operator of this bot")


@pytest.mark.parametrize("people", [30, 1])
async def test_flood_of_stops_in_a_slow_chat_delays_nobody(tmp_path: Path, model: ModelStandIn, people: int) -> None:
    """The group's messages hang, as if it had sent too many."""
    async with running_engine(tmp_path, model, FloodedGroup(), turns_at_once=10, messages_a_minute=300) as chat:
        for number in range(300):
            await chat.say("/stop", user=f"1{number % people}", group="-7")
        assert await chat.ask("still there?") == "an answer"
        stored = await chat.store.read(turn_states)
        assert stored.count("merged") == 300 - people
        assert stored[:-1].count("running") <= 8, "besides the question, whose turn may still be open"
        chat.gates["flooded"].set()
