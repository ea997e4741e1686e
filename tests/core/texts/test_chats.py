"""Replies to /language, /thread, /export and /import, and what is suggested in other chats."""

import pytest

from core.i18n.translation import LANGUAGES
from core.texts import language, suggestions, threads, transfer


@pytest.mark.parametrize(
    ("is_automatic", "current", "changed"),
    [
        (
            True,
            "Language: **Deutsch**, your app's language. Choose another:",
            "Language: **Deutsch**, your app's language.",
        ),
        (False, "Language: **Deutsch**. Choose another:", "Language: **Deutsch**"),
    ],
)
def test_language_says_who_chose_it(current: str, changed: str, *, is_automatic: bool) -> None:
    assert language.current_language("de", is_automatic=is_automatic) == current
    assert language.language_changed("de", is_automatic=is_automatic) == changed


def test_unknown_language_is_quoted() -> None:
    assert language.unknown_language("el*ish") == (
        "I don't speak “el\\*ish”. See /language for the languages that I speak."
    )


@pytest.mark.parametrize(
    ("needs_mention", "how_to_ask"),
    [(True, "Mention me there, or use /ask."), (False, "Just write there. You don't need to mention me.")],
)
def test_thread_is_linked(how_to_ask: str, *, needs_mention: bool) -> None:
    address = "https://discord.com/channels/1/2"
    assert threads.thread_created("My_trip", address, "phi_4", needs_mention=needs_mention) == (
        f"[My\\_trip](<{address}>) has its own conversation, with **phi\\_4**. {how_to_ask}"
    )
    assert threads.default_title("Ann") == "Conversation with Ann"


def test_default_titles_are_those_of_every_language() -> None:
    titles = threads.default_titles("Ann")
    assert {"Conversation with Ann", "Gespräch mit Ann"} <= titles
    assert len(titles) == len(LANGUAGES)


def test_model_is_suggested() -> None:
    assert suggestions.ask_model("phi-4") == "Ask phi-4"


@pytest.mark.parametrize(("number", "messages"), [(1, "1 message"), (1_200, "1,200 messages")])
def test_messages_of_a_transcript_are_counted(number: int, messages: str) -> None:
    assert transfer.exported_partly(number) == (
        f"Your conversation: one file to read, and one for /import with the newest {messages}, because "
        "more would not fit."
    )
    assert transfer.messages_imported(number) == f"{messages} imported. Continue from there."


def test_import_asks_before_it_replaces() -> None:
    assert transfer.import_question(1) == "The file has 1 message. Replace this conversation with it?"
    assert transfer.import_question(1_200) == "The file has 1,200 messages. Replace this conversation with them?"


@pytest.mark.parametrize(("size", "megabytes"), [(1_000_000, "1"), (1_999_999, "1"), (2_000_000_000, "2,000")])
def test_size_limit_of_an_import_is_in_whole_megabytes(size: int, megabytes: str) -> None:
    assert transfer.import_too_large(size) == f"The file may have at most {megabytes} MB."
