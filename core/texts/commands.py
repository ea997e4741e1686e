"""Texts of /start, /help, /new, /stop, /context, /usage and /key, as Markdown."""

from collections.abc import Iterable

from core.conversation.context_window import PromptTooLongError
from core.texts.formatting import count, escape_markdown

NOTHING_TO_STOP = "Nothing to stop."
PRIVATE_HINT = "Write to me and a model answers."
GROUP_HINT = (
    "Use /ask, reply to me or mention me. Everyone has their own conversation here, unless you share one with "
    "`/settings share on`."
)
FILES_HINT = "Send a file (PDF, text, Markdown, CSV or source code) to ask about it."
COMMAND_HELP_HINT = "`/help COMMAND` explains one command."

KEY_DELETED = "Your key is deleted."
NO_KEY = "You have no key here."
PERSONAL_KEY_USED = "Your questions use your own API key. Delete it with `/key remove`."
BOT_KEY_USED = (
    "Your questions use the bot's API key. To use your own IO Intelligence key and its quota, send `/key KEY` in a "
    "private chat with me."
)
KEY_UNREADABLE = (
    "Your key can no longer be read because the operator changed the secret, so your questions use the bot's key. "
    "Send yours again with `/key KEY`, or delete it with `/key remove`."
)
KEYS_DISABLED = "This bot doesn't accept personal API keys."
KEY_IN_GROUP = "Send your key only in a private chat with me."
KEY_EXPOSED = "Replace the key: others may have seen it."
KEY_MESSAGE_REMAINS = "Delete your message with the key: I can't do it here."
KEY_MALFORMED = "That doesn't look like an API key."
KEY_REJECTED = "IO Intelligence rejected this key, so it was not stored."
KEY_UNCHECKED = "I couldn't check the key, so it was not stored. Try again later."
KEY_STORED = (
    "Your questions use your own key from now on. It is stored encrypted and never shown. Delete it with `/key remove`."
)


def greeting(name: str, model: str, *, is_private: bool, is_new_operator: bool) -> str:
    how_to_ask = "Write to me" if is_private else "Use /ask, reply to me or mention me"
    return (
        f"Hello, {escape_markdown(name)}. {'You are now an operator of this bot. ' if is_new_operator else ''}"
        f"{how_to_ask}, and **{escape_markdown(model)}** answers. Choose another model with /model, start a new "
        "conversation with /new, see everything else with /help."
    )


def help_page(command_lines: Iterable[str], *, is_private: bool, reads_files: bool) -> str:
    how_to_ask = PRIVATE_HINT if is_private else GROUP_HINT
    hints = [how_to_ask, FILES_HINT] if reads_files else [how_to_ask]
    return "\n".join([*hints, "", *command_lines, "", COMMAND_HELP_HINT])


def unknown_command(closest: str | None) -> str:
    return f"Unknown command. Did you mean /{closest}?" if closest else "Unknown command. See /help."


def history_reset(model: str) -> str:
    return f"New conversation with **{escape_markdown(model)}**. Earlier messages are left out."


def instructions_exceed_context(model: str, error: PromptTooLongError) -> str:
    return (
        f"The instructions alone are about {error.needed:,} tokens long; {escape_markdown(model)} has room for "
        f"{error.available:,}. Shorten them with /system, or choose another model with /model."
    )


def context_usage(model: str, context_tokens: int, chart: str) -> str:
    return f"**{escape_markdown(model)}** has a context window of {context_tokens:,} tokens:\n\n{chart}"


def memory_beside_context(notes: int, files: int) -> str:
    entries = [count(number, noun) for number, noun in ((notes, "note"), (files, "file")) if number]
    return f"Not counted: {' and '.join(entries)}, of which the model gets what fits a question. See /memory."


def messages_omitted(number: int, *, has_summary: bool) -> str:
    replaces = "replaces" if has_summary else "will replace"
    return f"{count(number, 'older message')} no longer fit; a summary {replaces} them. None are deleted."
