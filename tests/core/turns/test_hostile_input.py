"""What people and models say to break the bot: each gets one answer, at once."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.faults import send_raw
from core.delivery.collapsed import render_collapsed
from core.store.grants import Role, grant, is_operator
from core.texts.answers import REASONING_NOT_STORED
from core.turns.access_control import MAX_WRONG_GUESSES, create_pairing_code
from tests.core.api.raw_server import DONE, chunk, final_chunk, sse_event
from tests.core.turns.fake_adapter import FakeAdapter, running_engine
from tests.postgresql import postgresql_url


@pytest.fixture
async def model() -> AsyncIterator[ModelStandIn]:
    made = ModelStandIn(tokens_per_second=2000, answer=lambda _body: "an answer")
    await made.start()
    yield made
    await made.close()


@pytest.fixture
async def chat(tmp_path: Path, model: ModelStandIn) -> AsyncIterator[FakeAdapter]:
    async with running_engine(tmp_path, model, secret_key="a long secret of the operator") as made:
        yield made


@pytest.mark.parametrize("key", ["ключключключ", "sk-éééééééééé", "😀" * 12, "sk-abc def ghi", "\0" * 9])
async def test_invalid_header_key_is_refused(chat: FakeAdapter, key: str) -> None:
    assert await chat.ask(f"/key {key}") == "That doesn't look like an API key."


async def test_huge_number_is_refused(chat: FakeAdapter) -> None:
    said = await chat.ask("/settings length 1" + "0" * 5000)
    assert said == "Length must be 16-100,000."


@pytest.mark.parametrize(
    ("given", "kept"),
    [("temperature -0", "0"), ("temperature -0.0", "0"), ("length 00512", "512")],
)
async def test_number_is_normalised(chat: FakeAdapter, given: str, kept: str) -> None:
    assert f": {kept} (this chat)" in await chat.ask(f"/settings {given}")


@pytest.mark.parametrize("text", ["/remember the \0 door \ud83d", "/system \ud800", "half \udfff \0"])
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_invalid_characters_lose_no_message(
    tmp_path: Path, model: ModelStandIn, text: str, database: str
) -> None:
    sqlite = f"sqlite:///{tmp_path / 'parley.sqlite3'}"
    url = postgresql_url() if database == "postgresql" else sqlite
    async with running_engine(tmp_path, model, database_url=url) as chat:
        said = await chat.ask(text)
        assert said.startswith(("Remembered as number 1", "Instructions changed", "an answer"))
        if text.startswith("/remember"):
            assert "the \ufffd door \ufffd" in await chat.ask("/memory")


def thinking(thoughts: str) -> bytes:
    return chunk(reasoning_content=thoughts) + chunk(content="said") + final_chunk() + DONE


@pytest.mark.parametrize("thoughts", [" ", "\n\n"])
async def test_blank_reasoning_is_ignored(chat: FakeAdapter, model: ModelStandIn, thoughts: str) -> None:
    model.fault_hook = lambda _body: send_raw(thinking(thoughts))
    assert await chat.ask("hello") == "said"
    assert await chat.ask("/context")  # the turn has ended
    await chat.press("think:1", "1")
    await chat.wait_until(lambda: len(chat.messages) == 3)
    assert list(chat.messages.values())[-1] == REASONING_NOT_STORED


async def test_leading_blanks_of_reasoning_are_stripped(chat: FakeAdapter, model: ModelStandIn) -> None:
    model.fault_hook = lambda _body: send_raw(thinking("\n" * 15_000 + "So it is."))
    assert await chat.ask("hello") == "said"
    await chat.press("think:1", "1")
    await chat.wait_until(lambda: len(chat.messages) == 2)
    assert "So it is." in list(chat.messages.values())[-1]


def test_collapsed_text_has_no_empty_message(chat: FakeAdapter) -> None:
    dialect = chat.dialect
    parts = render_collapsed(dialect, "one" + "\n" * 3 * dialect.limit + "two\0three")
    assert all(part.text.strip("> \n") for part in parts)
    assert "\0" not in "".join(part.text for part in parts)


async def test_absurd_usage_is_answered_once(chat: FakeAdapter, model: ModelStandIn) -> None:
    told = sse_event({"choices": [], "usage": {"prompt_tokens": 10**30, "completion_tokens": 1}})
    model.fault_hook = lambda _body: send_raw(chunk(content="said") + told + final_chunk() + DONE)
    assert await chat.ask("hello") == "said"
    assert await chat.ask("hello again") == "said"
    assert len(model.requests) == 2


@pytest.mark.parametrize("access", ["open", "pairing"])
async def test_code_makes_allowed_user_operator(tmp_path: Path, model: ModelStandIn, access: str) -> None:
    async with running_engine(tmp_path, model, access=access) as chat:
        await chat.store.write(grant, "quick:person:5", Role.MEMBER, "Ann")
        code = await create_pairing_code(chat.store)
        for number in range(MAX_WRONG_GUESSES):
            await chat.say(f"/start from-page-{number}")  # what a link brings is no guess
        assert not any("operator" in said for said in chat.messages.values())
        await chat.say(f"/start {code}")
        assert await chat.store.read(is_operator, "quick", "5")
        await chat.wait_until(lambda: any("now an operator of this bot" in s for s in chat.messages.values()))
