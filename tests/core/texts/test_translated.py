"""Plurals, numbers, durations, dates and lists as each language writes them, and names in any script."""

import re
from contextlib import AbstractContextManager
from datetime import date

import pytest

from bots.sandbox.telegram.entities import detect_entities
from core.commands.declarations import COMMANDS, Command
from core.conversation.ledger import QuotaStatus
from core.i18n.translation import CATALOGUES, ENGLISH, LANGUAGES, read_catalogue, speaking
from core.memory.recall import RecalledContext, Source
from core.store.token_usage import TokenUsage
from core.texts.answers import attachments_not_read, count_tokens, messages_dropped, unreadable_attachments
from core.texts.commands import command_example, greeting
from core.texts.formatting import (
    count_entries,
    either,
    format_date,
    format_duration,
    format_number,
    isolate,
    join_sentences,
    markdown_name,
)
from core.texts.memory import recall_note
from core.texts.models import tokens_left
from core.texts.usage import usage_row

PLACES = {
    "page 3": "Seite 3",
    "chapter 2": "Kapitel 2",
    "sheet Costs 2026": "Tabellenblatt Costs 2026",
    "line 7": "Zeile 7",
    "lines 10-40": "Zeilen 10-40",
    "row 7": "Zeile 7",
    "rows 10-40": "Zeilen 10-40",
    "Front page 3": "Front page 3",
    "page layout": "page layout",
    "": "",
}
"""Labels of chunks, and what people read in German."""


@pytest.mark.parametrize(("label", "place"), PLACES.items())
def test_place_of_a_source_is_translated_for_people_only(label: str, place: str) -> None:
    source = Source(1, "a.pdf", label, has_sheets=label.startswith("sheet "))
    with speaking(read_catalogue("de")):
        assert recall_note(RecalledContext(sources=(source,)), "As [1] says.") == ", ".join(
            filter(None, ("Quellen: [1] a.pdf", place))
        )
        assert str(source) == ", ".join(filter(None, ("[1] a.pdf", label)))


def speaking_language(language: str) -> AbstractContextManager[None]:
    return speaking(None if language == ENGLISH else read_catalogue(language))


@pytest.mark.parametrize(
    ("language", "number", "text"),
    [
        ("de", 1, "1 Token"),
        ("de", 2, "2 Tokens"),
        ("es", 0, "0 tokens"),
        ("es", 1, "1 token"),
        ("es", 1_000_000, "1.000.000 de tokens"),
        ("pt", 0, "0 token"),
        ("pt", 2, "2 tokens"),
        ("ru", 1, "1 токен"),
        ("ru", 3, "3 токена"),
        ("ru", 5, "5 токенов"),
        ("ru", 11, "11 токенов"),
        ("ru", 21, "21 токен"),
        ("ru", 112, "112 токенов"),
        ("uk", 1, "1 токен"),
        ("uk", 4, "4 токени"),
        ("uk", 14, "14 токенів"),
        ("uk", 22, "22 токени"),
        ("uk", 100, "100 токенів"),
        ("ja", 1, "1 トークン"),
        ("zh", 7, "7 个 token"),
    ],
)
def test_plural_fits_the_number(language: str, number: int, text: str) -> None:
    with speaking_language(language):
        assert count_tokens(number) == text


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("ru", "Остановлено. Отброшено 2 ожидающих сообщения."),
        ("uk", "Зупинено. Відкинуто 2 повідомлення, що чекали."),
        ("en", "Stopped. 2 waiting messages dropped."),
    ],
)
def test_sentence_agrees_with_its_number(language: str, text: str) -> None:
    with speaking_language(language):
        assert messages_dropped(2) == text


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("ja", "停止しました。待機中のメッセージを 2 件破棄しました。"),
        ("zh", "已停止。已丢弃 2 条等待中的消息。"),
        ("de", "Gestoppt. 2 wartende Nachrichten verworfen."),
    ],
)
def test_no_space_follows_full_width_punctuation(language: str, text: str) -> None:
    with speaking_language(language):
        assert messages_dropped(2) == text


def test_no_space_stands_before_a_command_after_full_width_punctuation() -> None:
    """Telegram recognises a command after any character that belongs to no word."""
    text = join_sentences("不明です。", "/help をご覧ください。", "", "では。")
    assert text == "不明です。/help をご覧ください。では。"
    assert [entity["type"] for entity in detect_entities(text)] == ["bot_command"]


@pytest.mark.parametrize("language", ["ja", "zh"])
def test_translations_have_no_space_after_full_width_punctuation(language: str) -> None:
    catalogue = (CATALOGUES / f"{language}.po").read_text(encoding="utf-8")
    assert not re.findall(".*[、。，；：（] .*", catalogue)


@pytest.mark.parametrize(("language", "details"), [("ja", "2 件の回答、残り 98"), ("zh", "2 个回答；剩余 98")])
def test_usage_is_joined_as_the_language_does(language: str, details: str) -> None:
    quota = QuotaStatus(100, TokenUsage(2))
    with speaking_language(language):
        assert usage_row("phi-4", 2, 2, quota, is_shared=False).endswith(f"phi-4 ({details})")


@pytest.mark.parametrize(
    ("language", "number", "durations", "day", "choice", "entries"),
    [
        ("en", "12,345", ("40 s", "12 min", "3 h"), "2026-11-30", "a, b or c", "3 notes and 1 file"),
        ("de", "12.345", ("40 Sek.", "12 Min.", "3 Std."), "30.11.2026", "a, b oder c", "3 Notizen und 1 Datei"),
        ("es", "12.345", ("40 s", "12 min", "3 h"), "30 nov 2026", "a, b o c", "3 notas y 1 archivo"),
        ("pt", "12.345", ("40 s", "12 min", "3 h"), "30 de nov. de 2026", "a, b ou c", "3 notas e 1 arquivo"),
        ("ru", "12\xa0345", ("40 с", "12 мин", "3 ч"), "30 нояб. 2026 г.", "a, b или c", "3 заметки и 1 файл"),
        ("uk", "12\xa0345", ("40 с", "12 хв", "3 год"), "30 лист. 2026 р.", "a, b або c", "3 нотатки і 1 файл"),
        ("ja", "12,345", ("40 秒", "12 分", "3 時間"), "2026/11/30", "a、b、またはc", "メモ 3 件、ファイル 1 個"),
        ("zh", "12,345", ("40秒", "12分钟", "3小时"), "2026年11月30日", "a、b或c", "3 条笔记和1 个文件"),
    ],
)
def test_locale_formats_values(
    language: str, number: str, durations: tuple[str, ...], day: str, choice: str, entries: str
) -> None:
    with speaking_language(language):
        shown = [" ".join(format_duration(seconds).split()) for seconds in (40, 720, 10_800)]
        assert (format_number(12345), tuple(shown)) == (number, durations)
        assert " ".join(format_date(date(2026, 11, 30)).split()) == day
        assert either("abc") == choice
        assert count_entries(3, 1) == entries


@pytest.mark.parametrize(
    ("language", "left"),
    [
        ("en", ("1 token left", "2 tokens left", "1k tokens left")),
        ("de", ("noch 1 Token", "noch 2 Tokens", "noch 1k Tokens")),
        ("es", ("queda 1 token", "quedan 2 tokens", "quedan 1k tokens")),
        ("pt", ("resta 1 token", "restam 2 tokens", "restam 1k tokens")),
        ("ru", ("остался 1 токен", "осталось 2 токена", "осталось 1k токенов")),
        ("uk", ("залишився 1 токен", "залишилося 2 токени", "залишилося 1k токенів")),
        ("ja", ("残り 1 トークン", "残り 2 トークン", "残り 1k トークン")),
        ("zh", ("剩余 1 个 token", "剩余 2 个 token", "剩余 1k 个 token")),
    ],
)
def test_number_of_tokens_left_fits_its_noun(language: str, left: tuple[str, ...]) -> None:
    with speaking_language(language):
        assert tuple(tokens_left(QuotaStatus(limit, TokenUsage())) for limit in (1, 2, 1001)) == left


@pytest.mark.parametrize(("language", "names"), [("en", "`a` and `b`"), ("ja", "`a`、`b`"), ("zh", "`a`和`b`")])
def test_lists_are_joined_as_the_language_does(language: str, names: str) -> None:
    with speaking_language(language):
        listed = [
            unreadable_attachments(["`a`", "`b`"]),
            attachments_not_read(["`a`", "`b`"]),
            recall_note(RecalledContext(sources=(Source(1, "`a`", ""), Source(2, "`b`", ""))), ""),
        ]
    assert all(names in text for text in listed), listed


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_examples_are_in_the_language_of_the_explanation(command: Command) -> None:
    """What people type, such as names and keywords, stays English."""
    with speaking_language("ru"):
        example = command_example(command.example)
    is_sentence = command.name in ("ask", "compare", "new", "thread", "system", "remember")
    assert (re.search("[а-я]{3}", example.partition("`")[2]) is not None) is is_sentence


@pytest.mark.parametrize("language", LANGUAGES)
def test_right_to_left_name_does_not_reorder_the_greeting(language: str) -> None:
    with speaking_language(language):
        text = greeting("שרה", "Llama", is_private=True, is_new_operator=False, receives_mentions=True)
        assert "\u2068שרה\u2069" in text
        assert "Llama" in text


def test_name_cannot_turn_the_sentence_round() -> None:
    assert isolate("Eve\u202eEVE\u2066") == "EveEVE"
    assert markdown_name("أحمد *x*") == "\u2068أحمد \\*x\\*\u2069"
    assert isolate("Ann") == "Ann"
