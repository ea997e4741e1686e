"""Addresses in running text keep every character, on every platform."""

import re

import pytest
from telegram import MessageEntity

from core.markdown.plain_text import to_plain_text
from tests.bots.formatted_text import discord_text, telegram_part, telegram_texts, terminal_text
from tests.core.markdown.samples import parse_markdown

CASES = {
    "https://example.com/api/_v1_": "https://example.com/api/_v1_",
    "See https://example.com/x/__init__.py#L16 and *this*": "https://example.com/x/__init__.py#L16",
    "https://en.wikipedia.org/wiki/GT_Racing_(video_game)": "https://en.wikipedia.org/wiki/GT_Racing_(video_game)",
    "(see https://x.y/z)": "https://x.y/z",
    "(see https://x.y/a_(b)_c).": "https://x.y/a_(b)_c",
    "my_name is at https://x.y/_v1_, yes": "https://x.y/_v1_",
    "https://x.y/?a=*b*&c=~~d~~": "https://x.y/?a=*b*&c=~~d~~",
    "https://x.y/**/*.js": "https://x.y/**/*.js",
    "https://x.y/{id}/[0]/_a_": "https://x.y/{id}/[0]/_a_",
    "https://x.y/$a$/$b$": "https://x.y/$a$/$b$",
    "https://x.y/a\\_b\\_c": "https://x.y/a_b_c",
    "**https://x.y/a_b**": "https://x.y/a_b",
    "**Read https://x.y/_a_**.": "https://x.y/_a_",
    "_https://x.y/a_b_": "https://x.y/a_b",
    "~~https://x.y/~a~~": "https://x.y/~a",
    "**https://x.y/a**は公式": "https://x.y/a",
    "请访问https://x.y/_a_，然后": "https://x.y/_a_",
    "https://example.com**重要**です": "https://example.com",
    "https://ja.wikipedia.org/wiki/日本_(x)": "https://ja.wikipedia.org/wiki/日本_(x)",
    "см. «https://x.y/_a_»": "https://x.y/_a_",
    "انظر https://x.y/_a_، ثم": "https://x.y/_a_",
    "- https://x.y/_a_\n": "https://x.y/_a_",
    "> http://localhost:8080/_a_/": "http://localhost:8080/_a_/",
    "[a https://x.y/_b_](https://x.y/_b_)": "https://x.y/_b_",
    "<https://x.y/_v_>": "https://x.y/_v_",
    "https://web.archive.org/web/1_2_/http://x.y/": "https://web.archive.org/web/1_2_/http://x.y/",
    "https://x.y?q=@me_now_": "https://x.y?q=@me_now_",
}


@pytest.mark.parametrize("text", CASES)
def test_address_keeps_every_character(text: str) -> None:
    url = CASES[text]
    assert f"<{url}>" in discord_text(text)
    assert url in telegram_part(text).text
    assert url in terminal_text(text)
    assert url in to_plain_text(parse_markdown(text))


@pytest.mark.parametrize(
    "text",
    [
        "www.example.com/_a_",
        "example.com/_a_",
        "pkg.mod/__init__.py",
        "tg://resolve?domain=a_b_",
        "git://x.y/__a__",
        "file:///etc/__x__",
    ],
)
def test_other_addresses_keep_every_character(text: str) -> None:
    assert re.sub(r"\\(.)", r"\1", discord_text(text)) == text
    assert telegram_part(text).text == text
    assert terminal_text(text).strip() == text


def test_marks_after_a_domain_are_emphasis() -> None:
    assert telegram_texts("next.js/**Express** and a.bc/*d*", MessageEntity.BOLD) == ["Express"]
    assert telegram_texts("next.js/**Express** and a.bc/*d*", MessageEntity.ITALIC) == ["d"]


@pytest.mark.parametrize("text", ["https://", "a://", "www.", "x:y_z_", "://_a_", "http:/x"])
def test_what_is_no_address_is_text(text: str) -> None:
    assert "<" not in discord_text(text)


@pytest.mark.parametrize("text", ["https://x.y/_a_，然后", "**https://x.y/_a_**は公式", "> https://x.y/_a_”"])
def test_telegram_adds_nothing_to_address(text: str) -> None:
    assert telegram_texts(text, MessageEntity.TEXT_LINK) == ["https://x.y/_a_"]


@pytest.mark.parametrize(
    "text", ["https://x.y/_a_", "(https://x.y/_a_), or", "https://x.y/_a_ 然后", "- https://x.y/a\n- б"]
)
def test_telegram_finds_other_addresses_itself(text: str) -> None:
    assert telegram_texts(text, MessageEntity.TEXT_LINK) == []


def test_table_keeps_addresses() -> None:
    text = "| Page |\n|---|\n| https://x.y/_a_/__b__ |"
    assert "https://x.y/_a_/__b__" in discord_text(text)
    assert "https://x.y/_a_/__b__" in telegram_part(text).text
