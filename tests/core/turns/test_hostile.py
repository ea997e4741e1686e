"""What people and models say to break the bot: each gets one answer, at once."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.faults import raw
from core.delivery.folded import folded
from core.store.conversations import grant, is_operator
from core.turns.access import WRONG_TRIES, new_code
from tests.core.api.wire import DONE, chunk, event, last
from tests.core.turns.quick import Quick, quick
from tests.databases import postgresql_url


@pytest.fixture
async def model() -> AsyncIterator[ModelStandIn]:
    made = ModelStandIn(tokens_per_second=2000, answer=lambda _body: "an answer")
    await made.start()
    yield made
    await made.close()


@pytest.fixture
async def chat(tmp_path: Path, model: ModelStandIn) -> AsyncIterator[Quick]:
    async with quick(tmp_path, model, secret_key="a long secret of the operator") as made:
        yield made


@pytest.mark.parametrize(
    "key", ["ключключключ", "sk-éééééééééé", "😀" * 12, "sk-abc def ghi", "\0" * 9]
)
async def test_a_key_that_no_header_can_hold_is_none(chat: Quick, key: str) -> None:
    assert await chat.ask(f"/key {key}") == "That does not look like a key."


async def test_a_length_of_thousands_of_digits_is_refused(chat: Quick) -> None:
    said = await chat.ask("/settings length 1" + "0" * 5000)
    assert said.startswith("Longest answer, in tokens takes 16 to 100,000, not")


@pytest.mark.parametrize(
    ("given", "kept"),
    [("temperature -0", "0"), ("temperature -0.0", "0"), ("length 00512", "512")],
)
async def test_a_number_is_kept_in_its_plain_form(chat: Quick, given: str, kept: str) -> None:
    assert f": {kept} from now on" in await chat.ask(f"/settings {given}")


@pytest.mark.parametrize(
    "text", ["/remember the \0 door \ud83d", "/system \ud800", "half \udfff \0"]
)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_characters_that_are_none_lose_no_message(
    tmp_path: Path, model: ModelStandIn, text: str, database: str
) -> None:
    sqlite = f"sqlite:///{tmp_path / 'parley.sqlite3'}"
    url = postgresql_url() if database == "postgresql" else sqlite
    async with quick(tmp_path, model, database_url=url) as chat:
        said = await chat.ask(text)
        assert said.startswith(("Remembered as number 1", "The model follows", "an answer"))
        if text.startswith("/remember"):
            assert "the \ufffd door \ufffd" in await chat.ask("/memory")


def thinking(thoughts: str) -> bytes:
    return chunk(reasoning_content=thoughts) + chunk(content="said") + last() + DONE


@pytest.mark.parametrize("thoughts", [" ", "\n\n"])
async def test_thoughts_of_blanks_are_none(chat: Quick, model: ModelStandIn, thoughts: str) -> None:
    model.hook = lambda _body: raw(thinking(thoughts))
    assert await chat.ask("hello") == "said"
    assert await chat.ask("/context")  # the turn has ended
    await chat.press("think:1", "1")
    await chat.until(lambda: len(chat.shown) == 3)
    assert list(chat.shown.values())[-1] == "What it thought was not kept."


async def test_thoughts_after_many_blanks_are_shown_without_them(
    chat: Quick, model: ModelStandIn
) -> None:
    model.hook = lambda _body: raw(thinking("\n" * 15_000 + "So it is."))
    assert await chat.ask("hello") == "said"
    await chat.press("think:1", "1")
    await chat.until(lambda: len(chat.shown) == 2)
    assert "So it is." in list(chat.shown.values())[-1]


def test_no_message_of_folded_text_is_empty(chat: Quick) -> None:
    dialect = chat.dialect
    parts = folded(dialect, "one" + "\n" * 3 * dialect.limit + "two\0three")
    assert all(part.text.strip("> \n") for part in parts)
    assert "\0" not in "".join(part.text for part in parts)


async def test_what_a_service_counts_beyond_reason_is_answered_once(
    chat: Quick, model: ModelStandIn
) -> None:
    told = event({"choices": [], "usage": {"prompt_tokens": 10**30, "completion_tokens": 1}})
    model.hook = lambda _body: raw(chunk(content="said") + told + last() + DONE)
    assert await chat.ask("hello") == "said"
    assert await chat.ask("hello again") == "said"
    assert len(model.requests) == 2


@pytest.mark.parametrize("access", ["open", "pairing"])
async def test_who_may_use_the_bot_already_becomes_its_operator_by_the_code(
    tmp_path: Path, model: ModelStandIn, access: str
) -> None:
    async with quick(tmp_path, model, access=access) as chat:
        await chat.store.write(grant, "quick:person:5", "user", "Ann")
        code = await new_code(chat.store)
        for number in range(WRONG_TRIES):
            await chat.say(f"/start from-page-{number}")  # what a link brings is no guess
        assert not any("operator" in said for said in chat.shown.values())
        await chat.say(f"/start {code}")
        assert await chat.store.read(is_operator, "quick", "5")
        await chat.until(lambda: any("this bot's operator" in s for s in chat.shown.values()))
