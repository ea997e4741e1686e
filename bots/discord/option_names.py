"""The names of options and choices, marked for translation. Discord sends the English ones back.

The names of commands stay English: messages, the documentation and other people name them as `/model`.
"""

from core.i18n.translation import gettext_noop

MAX_OPTION_NAME_CHARS = 32

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
"""Other choices are names of commands, which are typed, or of languages, each in itself."""


def to_option_name(translation: str) -> str:
    """A translation in the form that Discord demands."""
    return "-".join(translation.lower().split())
