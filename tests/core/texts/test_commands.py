"""Greetings, help, /context, /new and what unknown commands get."""

import pytest

from core.conversation.context_window import PromptTooLongError
from core.texts import commands

MUTED_HINT = (
    "Use /ask or reply to one of my messages: I don't see others here. To mention me, make me an administrator, or "
    "have my operator turn off the bot's privacy mode and add me again."
)
GROUP_HINT = (
    "Use /ask, reply to me or mention me. Everyone has their own conversation here, unless you share one with "
    "`/settings share on`."
)
FILES_HINT = "Send a file (PDF, Word, Excel, PowerPoint, EPUB, HTML, text or source code) or a picture to ask about it."
REST = "Choose another model with /model, start a new conversation with /new, and see everything else with /help."


@pytest.mark.parametrize(
    ("receives_mentions", "how_to_ask"),
    [
        (True, "Use /ask, mention me or reply to one of my messages. I ignore everything else written here."),
        (False, MUTED_HINT),
    ],
)
def test_group_learns_how_to_ask(how_to_ask: str, *, receives_mentions: bool) -> None:
    assert commands.added_greeting("phi_4", receives_mentions=receives_mentions) == (
        f"Hello! Ask me anything, and **phi\\_4** will answer. {how_to_ask} "
        "Everyone has their own conversation with me. See /help for the rest."
    )


@pytest.mark.parametrize(
    ("is_private", "receives_mentions", "how_to_ask"),
    [
        (True, True, "Write to me, and **phi-4** will answer."),
        (True, False, "Write to me, and **phi-4** will answer."),
        (False, True, "Use /ask, reply to me or mention me, and **phi-4** will answer."),
        (False, False, "Use /ask or reply to me, and **phi-4** will answer."),
    ],
)
def test_greeting_says_how_to_ask(how_to_ask: str, *, is_private: bool, receives_mentions: bool) -> None:
    text = commands.greeting(
        "Ann", "phi-4", is_private=is_private, is_new_operator=False, receives_mentions=receives_mentions
    )
    assert text == f"Hello, Ann. {how_to_ask} {REST}"


def test_new_operator_is_greeted_as_one() -> None:
    text = commands.greeting("Ann", "phi-4", is_private=False, is_new_operator=True, receives_mentions=True)
    assert text == (
        "Hello, Ann. You are now an operator of this bot. "
        f"Use /ask, reply to me or mention me, and **phi-4** will answer. {REST}"
    )


@pytest.mark.parametrize(
    ("is_private", "reads_files", "receives_mentions", "hints"),
    [
        (True, True, True, ["Write to me, and a model will answer.", FILES_HINT]),
        (True, False, False, ["Write to me, and a model will answer."]),
        (False, False, True, [GROUP_HINT]),
        (False, True, False, [MUTED_HINT, FILES_HINT]),
    ],
)
def test_help_fits_the_chat(hints: list[str], *, is_private: bool, reads_files: bool, receives_mentions: bool) -> None:
    page = commands.help_page(
        ["- /new: x"], is_private=is_private, reads_files=reads_files, receives_mentions=receives_mentions
    )
    assert page == "\n".join([*hints, "", "- /new: x", "", "`/help COMMAND` explains one command."])


def test_command_is_described() -> None:
    assert commands.command_line("/new", "Start again") == "- /new: Start again"
    assert commands.command_details("Start again", "Nothing is deleted.") == "Start again. Nothing is deleted."
    assert commands.command_details("Start again", "") == "Start again."
    assert commands.command_example("/new") == "Example: `/new`"


def test_closest_command_is_suggested() -> None:
    assert commands.unknown_command("model") == "Unknown command. Did you mean /model?"
    assert commands.unknown_command(None) == "Unknown command. See /help."


def test_example_questions_are_offered() -> None:
    assert commands.example_questions() == [
        "Explain black holes to a child",
        "Plan a weekend in Lisbon",
        "Write a polite reminder",
    ]


def test_new_conversation_names_the_model() -> None:
    assert commands.history_reset("phi_4") == (
        "New conversation with **phi\\_4**. The model does not see earlier messages."
    )


def test_context_window_is_described() -> None:
    assert commands.context_usage("phi-4", 16_384, "CHART") == (
        "**phi-4** has a context window of 16,384 tokens:\n\nCHART"
    )
    assert commands.instructions_exceed_context("phi-4", PromptTooLongError(20_000, 16_000)) == (
        "The instructions alone are about 20,000 tokens long; phi-4 has room for 16,000. Shorten them with "
        "/system, or choose another model with /model."
    )
    assert commands.memory_beside_context(2, 1) == (
        "Not counted: 2 notes and 1 file. The model sees what is relevant to a question. See /memory."
    )


@pytest.mark.parametrize(
    ("number", "has_summary", "text"),
    [
        (1, True, "1 older message no longer fits; a summary replaces it. Nothing is deleted."),
        (2, True, "2 older messages no longer fit; a summary replaces them. Nothing is deleted."),
        (1, False, "1 older message no longer fits; a summary will replace it. Nothing is deleted."),
        (1_200, False, "1,200 older messages no longer fit; a summary will replace them. Nothing is deleted."),
    ],
)
def test_omitted_messages_are_counted(number: int, text: str, *, has_summary: bool) -> None:
    assert commands.messages_omitted(number, has_summary=has_summary) == text
