"""Texts of what is suggested while a person types in another chat."""

from core.i18n.translation import gettext, gettext_noop
from core.texts.formatting import isolate

WAITING = gettext_noop("Waiting for the answer…")
ASK_BUTTON = gettext_noop("Get the answer")
OPEN_CHAT = gettext_noop("Open the chat with me")


def ask_model(name: str) -> str:
    return gettext("Ask {model}").format(model=isolate(name))
