"""Texts of /language, as Markdown."""

from core.i18n.translation import LANGUAGES, gettext, gettext_noop
from core.texts.formatting import quote

AUTOMATIC = gettext_noop("Language of your app")


def current_language(language: str, *, is_automatic: bool) -> str:
    text = (
        gettext("Language: **{language}**, your app's language. Choose another:")
        if is_automatic
        else gettext("Language: **{language}**. Choose another:")
    )
    return text.format(language=LANGUAGES[language])


def language_changed(language: str, *, is_automatic: bool) -> str:
    text = (
        gettext("Language: **{language}**, your app's language.")
        if is_automatic
        else gettext("Language: **{language}**")
    )
    return text.format(language=LANGUAGES[language])


def unknown_language(name: str) -> str:
    return gettext("I don't speak {name}. See /language for the languages that I speak.").format(name=quote(name))
