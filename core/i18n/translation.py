"""Translates the bot's own messages: texts are marked in the source, and the turn has the language.

    with speaking(await load_catalogue("de")):
        gettext("Stopped.")                                    -> "Gestoppt."

A context variable holds the language, so that no text takes it as a parameter: `core.turns.dispatch` sets it for a
turn, and tasks that a turn starts inherit it. English needs no catalogue and no Babel. The other catalogues are
gettext's `.po` files in `catalogues/`, which are read when the first person needs one (docs/decisions/0018).
"""

import asyncio
import hashlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from gettext import GNUTranslations
from io import BytesIO
from pathlib import Path
from types import MappingProxyType

ENGLISH = "en"
LANGUAGES: Mapping[str, str] = MappingProxyType(
    {
        ENGLISH: "English",
        "de": "Deutsch",
        "es": "Español",
        "pt": "Português",
        "ru": "Русский",
        "uk": "Українська",
        "ja": "日本語",
        "zh": "简体中文",
    }
)
"""By code, the languages of the bot, each in its own words."""
ENGLISH_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "german": "de",
        "spanish": "es",
        "portuguese": "pt",
        "russian": "ru",
        "ukrainian": "uk",
        "japanese": "ja",
        "chinese": "zh",
    }
)
CATALOGUES = Path(__file__).parent / "catalogues"


@dataclass(frozen=True, slots=True)
class Catalogue:
    language: str
    translations: GNUTranslations


_catalogue: ContextVar[Catalogue | None] = ContextVar("catalogue", default=None)
"""None: English."""
_loaded: dict[str, Catalogue] = {}


def match_language(tag: str | None) -> str:
    """The bot's language for an IETF tag such as `de-AT`; English for one that it does not speak."""
    code = (tag or "").replace("_", "-").partition("-")[0].lower()
    return code if code in LANGUAGES else ENGLISH


def find_language(text: str) -> str | None:
    """The language that a person names: `de`, `de-AT`, `Deutsch` or `German`."""
    name = text.strip().casefold()
    by_name = {**{own_name.casefold(): code for code, own_name in LANGUAGES.items()}, **ENGLISH_NAMES}
    code = by_name.get(name) or name.replace("_", "-").partition("-")[0]
    return code if code in LANGUAGES else None


async def load_catalogue(language: str) -> Catalogue | None:
    """The catalogue of one of `LANGUAGES`; None for English."""
    if language == ENGLISH:
        return None
    return _loaded.get(language) or await asyncio.to_thread(read_catalogue, language)


def read_catalogue(language: str) -> Catalogue:
    """Like `load_catalogue`, but takes some hundredths of a second for a language that nobody has used before."""
    if language not in _loaded:
        from babel.messages.mofile import write_mo
        from babel.messages.pofile import read_po
        from babel.numbers import format_decimal

        compiled = BytesIO()
        with (CATALOGUES / f"{language}.po").open("rb") as file:
            write_mo(compiled, read_po(file, locale=language))
        compiled.seek(0)
        format_decimal(0, locale=language)  # reads the locale's data, so that the event loop need not wait for it
        _loaded[language] = Catalogue(language, GNUTranslations(compiled))
    return _loaded[language]


def read_translations(messages: Collection[str]) -> dict[str, dict[str, str]]:
    """By language and English text, translations of `messages`: for menus that a platform stores in all languages.

    Takes a tenth of a second. Keeps no catalogue, because most processes need only one or two.
    """
    from babel.messages.pofile import read_po

    translations: dict[str, dict[str, str]] = {}
    for language in LANGUAGES:
        if language == ENGLISH:
            continue
        with (CATALOGUES / f"{language}.po").open("rb") as file:
            entries = {str(entry.id): str(entry.string) for entry in read_po(file) if entry.id in messages}
        translations[language] = {message: text for message, text in entries.items() if text}
    return translations


def catalogues_digest() -> str:
    """Changes when any translation does."""
    digest = hashlib.sha256()
    for path in sorted(CATALOGUES.glob("*.po")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@contextmanager
def speaking(catalogue: Catalogue | None) -> Iterator[None]:
    """Within the block, and in tasks started there, texts are in this language."""
    token = _catalogue.set(catalogue)
    try:
        yield
    finally:
        _catalogue.reset(token)


def current_language() -> str:
    catalogue = _catalogue.get()
    return ENGLISH if catalogue is None else catalogue.language


def gettext(message: str) -> str:
    """`message` in the current language."""
    catalogue = _catalogue.get()
    if catalogue is None or not message:  # the catalogue has its header under ""
        return message
    return catalogue.translations.gettext(message)


def ngettext(singular: str, plural: str, number: int) -> str:
    """The form for `number` in the current language. It still has its placeholders."""
    catalogue = _catalogue.get()
    if catalogue is None:
        return singular if number == 1 else plural
    return catalogue.translations.ngettext(singular, plural, number)


def gettext_noop(message: str) -> str:
    """Marks a constant. Whoever shows it to a person passes it to `gettext`."""
    return message
