"""An answer that cannot be formatted, or costs too much, arrives as plain text, once, with a line in the log."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from bots.discord.dialect import DiscordDialect
from bots.sandbox.model.faults import respond_with
from bots.telegram.dialect import TelegramDialect
from core.markdown.document import Document
from core.port import Part
from tests.core.api.raw_server import DONE, chunk, final_chunk
from tests.end_to_end.harness import Harness, bot_texts, running_harness

QUESTION = "repeat: **bold** text"
COSTLY = "![" * 17_000
"""Exceeds the work budget of both platforms' splitters."""


class FormattingError(Exception):
    """A defect in a dialect."""


def fail_on_bold(monkeypatch: pytest.MonkeyPatch, dialect: type[TelegramDialect] | type[DiscordDialect]) -> None:
    render = dialect.render

    def defective_render(self: TelegramDialect | DiscordDialect, document: Document) -> Part:
        if "Strong" in repr(document):
            raise FormattingError("secret " + repr(document))
        return render(self, document)  # type: ignore[arg-type]

    monkeypatch.setattr(dialect, "render", defective_render)


def check_log(logs: list[structlog.typing.EventDict], error: str | None = "FormattingError") -> None:
    (event,) = [entry for entry in logs if entry["event"] == "delivery.plain_text"]
    assert event["turn"] == 1
    assert event["error"] == error
    assert error is None or "test_plain_text.py:" in event["place"]
    assert "secret" not in str(logs)
    assert not [entry for entry in logs if "failed" in entry["event"]]


async def test_answer_that_cannot_be_formatted_is_plain_on_telegram(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_on_bold(monkeypatch, TelegramDialect)
    telegram = harness.telegram
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    with structlog.testing.capture_logs() as logs:
        await telegram.send_message(ann, chat, QUESTION)
        await telegram.wait_for(lambda: bot_texts(telegram.messages(chat)) == ["**bold** text"])
        await harness.wait_until_stored("SELECT 1 FROM turns WHERE state = 'done'")
    check_log(logs)
    assert len(harness.model.requests) == 1


async def test_answer_that_cannot_be_formatted_is_plain_on_discord(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_on_bold(monkeypatch, DiscordDialect)
    discord = harness.discord
    ann = discord.create_user("Ann")
    channel = discord.open_dm(ann)
    with structlog.testing.capture_logs() as logs:
        await discord.send_message(ann, channel, QUESTION)
        await discord.wait_for(lambda: bot_texts(discord.messages(channel)) == [r"\*\*bold\*\* text"])
        await harness.wait_until_stored("SELECT 1 FROM turns WHERE state = 'done'")
    check_log(logs)
    assert len(harness.model.requests) == 1


@pytest.fixture
async def costly(tmp_path: Path) -> AsyncIterator[Harness]:
    """The bot sends an answer of `COSTLY` as messages, and none as a file."""
    async with running_harness(tmp_path) as harness:
        body = chunk(content=COSTLY + " The end.") + final_chunk() + DONE
        harness.model.fault_hook = lambda _body: respond_with(200, body, content_type="text/event-stream")
        await harness.start(answer_messages=50)
        yield harness


def check_costly_answer(harness: Harness, shown: list[str], logs: list[structlog.typing.EventDict]) -> None:
    """All of the answer arrived once, at the first attempt."""
    check_log(logs, error=None)
    assert "".join(shown).count("[") == COSTLY.count("[")
    # The other request, when the bot starts, only tries the key.
    assert [request.body["messages"][-1]["content"] for request in harness.model.requests] == ["Hi", "hello"]
    assert [entry for entry in logs if entry["event"] == "turn.lease_lost"] == []


FIRST_ATTEMPT = "SELECT 1 FROM turns WHERE state = 'done' AND attempt = 1"


@pytest.mark.slow
async def test_answer_that_costs_too_much_is_plain_on_telegram(costly: Harness) -> None:
    telegram = costly.telegram
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    with structlog.testing.capture_logs() as logs:
        await telegram.send_message(ann, chat, "hello")
        await telegram.wait_for(lambda: "The end." in "".join(bot_texts(telegram.messages(chat))[-1:]), 120)
        await costly.wait_until_stored(FIRST_ATTEMPT)
    check_costly_answer(costly, bot_texts(telegram.messages(chat)), logs)


@pytest.mark.slow
async def test_answer_that_costs_too_much_is_plain_on_discord(costly: Harness) -> None:
    discord = costly.discord
    ann = discord.create_user("Ann")
    channel = discord.open_dm(ann)
    with structlog.testing.capture_logs() as logs:
        await discord.send_message(ann, channel, "hello")
        await discord.wait_for(lambda: "The end." in "".join(bot_texts(discord.messages(channel))[-1:]), 120)
        await costly.wait_until_stored(FIRST_ATTEMPT)
    check_costly_answer(costly, bot_texts(discord.messages(channel)), logs)
