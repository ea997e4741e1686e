"""Texts of /thread, as Markdown, and the titles of threads and topics."""

from collections.abc import Set as AbstractSet
from functools import cache

from core.i18n.translation import gettext, gettext_noop, read_translations
from core.texts.formatting import isolate, markdown_name

MAX_TITLE_CHARS = 90
NO_THREADS = gettext_noop("There are no threads here. Start a new conversation with /new.")
IN_THREAD = gettext_noop("This is a thread already, with its own conversation. Use /thread in its channel.")
PERSON_MAY_NOT = gettext_noop("You're not allowed to create threads here.")
BOT_MAY_NOT = gettext_noop(
    "I'm not allowed to create threads here. Somebody who manages the server can allow it: the permission is "
    "**Create Public Threads**."
)
NOT_CREATED = gettext_noop("I couldn't create a thread. Try again in a minute.")


def thread_created(title: str, address: str, model: str, *, needs_mention: bool) -> str:
    """`address` is the URL of the thread."""
    text = (
        gettext("{thread} has its own conversation, with **{model}**. Mention me there, or use /ask.")
        if needs_mention
        else gettext(
            "{thread} has its own conversation, with **{model}**. Just write there. You don't need to mention me."
        )
    )
    return text.format(thread=f"[{markdown_name(title)}](<{address}>)", model=markdown_name(model))


def make_title(text: str, max_chars: int = MAX_TITLE_CHARS) -> str:
    """The beginning of the first line, without half of a word."""
    line = " ".join(next(iter(text.strip().splitlines()), "").split()).lstrip("#>*-` ")
    if len(line) <= max_chars:
        return line
    line = line[: max_chars - 1]
    return f"{line.rpartition(' ')[0] or line}…"


def default_title(name: str) -> str:
    """The title of a thread that is created before the first question."""
    return gettext("Conversation with {name}").format(name=isolate(name))


def default_titles(name: str) -> AbstractSet[str]:
    """The `default_title` in every language. The first call takes a tenth of a second."""
    return {title.format(name=isolate(name)) for title in _default_title_patterns()}


@cache
def _default_title_patterns() -> tuple[str, ...]:
    english = gettext_noop("Conversation with {name}")
    return (english, *(translations[english] for translations in read_translations([english]).values()))
