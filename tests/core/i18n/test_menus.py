"""Translations for menus that a platform stores, and plurals in the language of a block."""

from core.i18n.translation import (
    ENGLISH,
    LANGUAGES,
    catalogues_digest,
    current_language,
    ngettext,
    read_catalogue,
    read_translations,
    speaking,
)
from core.texts.answers import STOP_BUTTON


def test_menus_are_translated_to_all_other_languages() -> None:
    translations = read_translations({STOP_BUTTON, "no message of the bot"})
    assert set(translations) == set(LANGUAGES) - {ENGLISH}
    assert all(set(texts) == {STOP_BUTTON} for texts in translations.values())
    assert translations["de"][STOP_BUTTON] == read_catalogue("de").translations.gettext(STOP_BUTTON)
    assert translations["de"][STOP_BUTTON] != translations["ru"][STOP_BUTTON]


def test_digest_of_the_catalogues_is_stable() -> None:
    assert catalogues_digest() == catalogues_digest()
    assert len(bytes.fromhex(catalogues_digest())) == 32


def test_language_holds_within_its_block() -> None:
    assert current_language() == ENGLISH
    with speaking(read_catalogue("de")):
        assert current_language() == "de"
        assert ngettext("{count} token", "{count} tokens", 1) == "{count} Token"
        assert ngettext("{count} token", "{count} tokens", 2) == "{count} Tokens"
        with speaking(None):
            assert current_language() == ENGLISH
        assert current_language() == "de"
    assert ngettext("{count} token", "{count} tokens", 1) == "{count} token"
    assert ngettext("{count} token", "{count} tokens", 2) == "{count} tokens"
