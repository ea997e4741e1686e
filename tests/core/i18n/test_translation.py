"""Languages are found by what clients and people say; English costs nothing."""

import subprocess
import sys

import pytest

from core.i18n.translation import (
    LANGUAGES,
    find_language,
    gettext,
    gettext_noop,
    load_catalogue,
    match_language,
    ngettext,
    speaking,
)


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("de", "de"),
        ("de-AT", "de"),
        ("pt-br", "pt"),
        ("es-419", "es"),
        ("zh-hans", "zh"),
        ("zh_TW", "zh"),
        ("en-GB", "en"),
        ("fr", "en"),
        ("", "en"),
        (None, "en"),
    ],
)
def test_client_language_is_matched(tag: str | None, language: str) -> None:
    assert match_language(tag) == language


@pytest.mark.parametrize(
    ("name", "language"),
    [("de", "de"), ("Deutsch", "de"), ("GERMAN", "de"), ("українська", "uk"), ("日本語", "ja"), ("en-GB", "en")],
)
def test_person_names_language(name: str, language: str) -> None:
    assert find_language(name) == language


@pytest.mark.parametrize("name", ["klingon", "", "d", "deutsche", "../de"])
def test_unknown_language_is_not_found(name: str) -> None:
    assert find_language(name) is None


async def test_english_needs_no_catalogue() -> None:
    with speaking(await load_catalogue("en")):
        assert gettext("Stopped.") == "Stopped."
        assert ngettext("{count} note", "{count} notes", 1) == "{count} note"
        assert ngettext("{count} note", "{count} notes", 0) == "{count} notes"


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
async def test_text_without_translation_is_english(language: str) -> None:
    with speaking(await load_catalogue(language)):
        assert gettext("Not in any catalogue.") == "Not in any catalogue."


@pytest.mark.slow
def test_english_process_does_not_import_babel() -> None:
    """The application with both adapters and all texts."""
    program = "import sys, core.app, bots.discord.adapter, bots.telegram.adapter; sys.exit('babel' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


async def test_marked_text_is_translated_when_it_is_shown() -> None:
    marked = gettext_noop("Stopped.")
    with speaking(await load_catalogue("de")):
        assert gettext(marked) == "Gestoppt."
    assert marked == "Stopped."
