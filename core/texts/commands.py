"""Texts of /start, /help, /new, /stop, /context, /usage and /key, as Markdown."""

from collections.abc import Iterable

from core.conversation.context_window import PromptTooLongError
from core.i18n.translation import gettext, gettext_noop, ngettext
from core.texts.formatting import count_entries, format_number, join_sentences, markdown_name

EXAMPLE_QUESTIONS = (
    gettext_noop("Explain black holes to a child"),
    gettext_noop("Plan a weekend in Lisbon"),
    gettext_noop("Write a polite reminder"),
)
"""A press on a button with one asks it."""
NOTHING_TO_STOP = gettext_noop("Nothing to stop.")
PRIVATE_HINT = gettext_noop("Write to me, and a model will answer.")
MUTED_GROUP_HINT = gettext_noop(
    "Use /ask or reply to one of my messages: I don't see others here. To mention me, make me an administrator, or "
    "have my operator turn off the bot's privacy mode and add me again."
)
GROUP_HINT = gettext_noop(
    "Use /ask, reply to me or mention me. Everyone has their own conversation here, unless you share one with "
    "`/settings share on`."
)
FILES_HINT = gettext_noop(
    "Send a file (PDF, Word, Excel, PowerPoint, EPUB, HTML, text or source code) or a picture to ask about it."
)
COMMAND_HELP_HINT = gettext_noop("`/help COMMAND` explains one command.")

KEY_DELETED = gettext_noop("Your key is deleted.")
NO_KEY = gettext_noop("You have not stored an API key.")
PERSONAL_KEY_USED = gettext_noop("Your questions use your own API key. Delete it with `/key remove`.")
BOT_KEY_USED = gettext_noop(
    "Your questions use the bot's API key. To use your own IO Intelligence key and its quota, send `/key KEY` in a "
    "private chat with me."
)
KEY_UNREADABLE = gettext_noop(
    "Your key can no longer be read because the operator changed the encryption secret, so your questions use the "
    "bot's key. Send yours again with `/key KEY`, or delete it with `/key remove`."
)
KEYS_DISABLED = gettext_noop("This bot doesn't accept personal API keys.")
KEY_IN_GROUP = gettext_noop("Send your key only in a private chat with me.")
KEY_EXPOSED = gettext_noop("Replace the key: others may have seen it.")
KEY_MESSAGE_REMAINS = gettext_noop("Delete your message with the key: I can't do it here.")
KEY_MALFORMED = gettext_noop("That doesn't look like an API key.")
KEY_REJECTED = gettext_noop("IO Intelligence rejected this key, so it was not stored.")
KEY_UNCHECKED = gettext_noop("I couldn't check the key, so it was not stored. Try again later.")
KEY_STORED = gettext_noop(
    "Your questions use your own key from now on. It is stored encrypted and never shown. Delete it with `/key remove`."
)


def example_questions() -> list[str]:
    return [gettext(question) for question in EXAMPLE_QUESTIONS]


def example_question(position: str) -> str | None:
    """The question of a button, by its argument; None if there is no such question."""
    questions = {str(number): question for number, question in enumerate(example_questions())}
    return questions.get(position)


def added_greeting(model: str, *, receives_mentions: bool) -> str:
    """For everybody in a group or on a server to which the bot was added."""
    hello = gettext("Hello! Ask me anything, and **{model}** will answer.").format(model=markdown_name(model))
    how_to_ask = (
        gettext("Use /ask, mention me or reply to one of my messages. I ignore everything else written here.")
        if receives_mentions
        else gettext(MUTED_GROUP_HINT)
    )
    what_else = gettext("Everyone has their own conversation with me. See /help for the rest.")
    return join_sentences(hello, how_to_ask, what_else)


def greeting(name: str, model: str, *, is_private: bool, is_new_operator: bool, receives_mentions: bool) -> str:
    hello = gettext("Hello, {name}.").format(name=markdown_name(name))
    how_to_ask = (
        gettext("Write to me, and **{model}** will answer.")
        if is_private
        else gettext("Use /ask, reply to me or mention me, and **{model}** will answer.")
        if receives_mentions
        else gettext("Use /ask or reply to me, and **{model}** will answer.")
    ).format(model=markdown_name(model))
    operator = gettext("You are now an operator of this bot.") if is_new_operator else ""
    what_else = gettext(
        "Choose another model with /model, start a new conversation with /new, and see everything else with /help."
    )
    return join_sentences(hello, operator, how_to_ask, what_else)


def help_page(
    command_lines: Iterable[str], *, is_private: bool, reads_files: bool, receives_mentions: bool = True
) -> str:
    how_to_ask = PRIVATE_HINT if is_private else GROUP_HINT if receives_mentions else MUTED_GROUP_HINT
    hints = [how_to_ask, FILES_HINT] if reads_files else [how_to_ask]
    return "\n".join([*map(gettext, hints), "", *command_lines, "", gettext(COMMAND_HELP_HINT)])


def command_line(usage: str, description: str) -> str:
    return f"- {usage}: {gettext(description)}"


def command_details(description: str, details: str) -> str:
    return (
        gettext("{description}. {details}")
        .format(description=gettext(description), details=gettext(details) if details else "")
        .strip()
    )


def command_example(example: str) -> str:
    return gettext("Example: `{example}`").format(example=gettext(example))


def unknown_command(closest: str | None) -> str:
    if closest is None:
        return gettext("Unknown command. See /help.")
    return gettext("Unknown command. Did you mean /{command}?").format(command=closest)


def history_reset(model: str) -> str:
    return gettext("New conversation with **{model}**. The model does not see earlier messages.").format(
        model=markdown_name(model)
    )


def instructions_exceed_context(model: str, error: PromptTooLongError) -> str:
    return gettext(
        "The instructions alone are about {needed} tokens long; {model} has room for {available}. Shorten them with "
        "/system, or choose another model with /model."
    ).format(needed=format_number(error.needed), model=markdown_name(model), available=format_number(error.available))


def context_usage(model: str, context_tokens: int, chart: str) -> str:
    head = gettext("**{model}** has a context window of {tokens} tokens:").format(
        model=markdown_name(model), tokens=format_number(context_tokens)
    )
    return f"{head}\n\n{chart}"


def memory_beside_context(notes: int, files: int) -> str:
    return gettext("Not counted: {entries}. The model sees what is relevant to a question. See /memory.").format(
        entries=count_entries(notes, files)
    )


def messages_omitted(number: int, *, has_summary: bool) -> str:
    text = (
        ngettext(
            "{count} older message no longer fits; a summary replaces it. Nothing is deleted.",
            "{count} older messages no longer fit; a summary replaces them. Nothing is deleted.",
            number,
        )
        if has_summary
        else ngettext(
            "{count} older message no longer fits; a summary will replace it. Nothing is deleted.",
            "{count} older messages no longer fit; a summary will replace them. Nothing is deleted.",
            number,
        )
    )
    return text.format(count=format_number(number))
