"""An answer that cannot be formatted arrives as plain text, once, with a line in the log."""

import pytest
import structlog

from bots.discord.dialect import DiscordDialect
from bots.telegram.dialect import TelegramDialect
from core.markdown.document import Document
from core.port import Part
from tests.end_to_end.harness import Harness, bot_texts

QUESTION = "repeat: **bold** text"


class FormattingError(Exception):
    """A defect in a dialect."""


def fail_on_bold(monkeypatch: pytest.MonkeyPatch, dialect: type[TelegramDialect] | type[DiscordDialect]) -> None:
    render = dialect.render

    def defective_render(self: TelegramDialect | DiscordDialect, document: Document) -> Part:
        if "Strong" in repr(document):
            raise FormattingError("secret " + repr(document))
        return render(self, document)  # type: ignore[arg-type]

    monkeypatch.setattr(dialect, "render", defective_render)


def check_log(logs: list[structlog.typing.EventDict]) -> None:
    (event,) = [entry for entry in logs if entry["event"] == "delivery.plain_text"]
    assert event["turn"] == 1
    assert event["error"] == "FormattingError"
    assert "test_plain_text.py:" in event["place"]
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
