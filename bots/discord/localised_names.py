"""The names of commands, options and choices, marked for translation. Discord sends the English ones back.

Clients show a command by its name in their language. The bot's messages name commands in English, as mentions, which
every client can start (see `command_mentions`).
"""

from core.i18n.translation import gettext_noop

MAX_NAME_CHARS = 32

COMMAND_NAMES = (
    gettext_noop("/start"),
    gettext_noop("/help"),
    gettext_noop("/ask"),
    gettext_noop("/model"),
    gettext_noop("/models"),
    gettext_noop("/compare"),
    gettext_noop("/new"),
    gettext_noop("/thread"),
    gettext_noop("/stop"),
    gettext_noop("/retry"),
    gettext_noop("/system"),
    gettext_noop("/persona"),
    gettext_noop("/context"),
    gettext_noop("/remember"),
    gettext_noop("/memory"),
    gettext_noop("/export"),
    gettext_noop("/import"),
    gettext_noop("/usage"),
    gettext_noop("/key"),
    gettext_noop("/settings"),
    gettext_noop("/privacy"),
    gettext_noop("/language"),
)
"""With a slash, because an option can have the same name in English and another one elsewhere."""
OPTION_NAMES = (
    gettext_noop("action"),
    gettext_noop("code"),
    gettext_noop("command"),
    gettext_noop("file"),
    gettext_noop("file2"),
    gettext_noop("file3"),
    gettext_noop("first"),
    gettext_noop("key"),
    gettext_noop("name"),
    gettext_noop("number"),
    gettext_noop("private"),
    gettext_noop("prompt"),
    gettext_noop("question"),
    gettext_noop("scope"),
    gettext_noop("search"),
    gettext_noop("second"),
    gettext_noop("text"),
    gettext_noop("title"),
    gettext_noop("value"),
)
CHOICE_NAMES = (
    gettext_noop("here"),
    gettext_noop("me"),
    gettext_noop("chat"),
    gettext_noop("server"),
    gettext_noop("list"),
    gettext_noop("delete"),
    gettext_noop("clear"),
    gettext_noop("on"),
    gettext_noop("off"),
    gettext_noop("reset"),
    gettext_noop("temperature"),
    gettext_noop("length"),
    gettext_noop("effort"),
    gettext_noop("reasoning"),
    gettext_noop("share"),
)
"""Other choices are names of commands, or of languages, each in itself."""


def to_name(translation: str) -> str:
    """A translation in the form that Discord demands."""
    return "-".join(translation.lower().split())
