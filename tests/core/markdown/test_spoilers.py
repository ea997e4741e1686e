"""Spoilers and highlighted text, on every platform."""

import pytest
from telegram import MessageEntity

from bots.telegram.dialect import part_entities
from tests.bots.formatted_text import BOLD, discord_text, discord_texts, telegram_part, telegram_texts, terminal_text


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("||x||", ["x"]),
        ("The end: ||he *dies*||.", ["he dies"]),
        ("答案是||42||。", ["42"]),
        ("||a|| and (||b c||)", ["a", "b c"]),
        ("- ||item||\n- b", ["item"]),
        ("> ||a\nb||", ["a\nb"]),
        ("||a | b||", ["a | b"]),
        ("||https://x.y/_a_||", ["https://x.y/_a_"]),
        ("||the `code`||", ["the code"]),
        ("un||believ||able", ["believ"]),
        ("||the butler||'s and ||cook||s", ["the butler", "cook"]),
        ("anti||hero|| and x||hidden words||", ["hero", "hidden words"]),
        ("The end:\n||he dies\nand *she* too||.", ["he dies\nand she too"]),
        ("||\nhe dies\n||\nafter", ["he dies"]),
    ],
)
def test_spoiler_is_hidden(text: str, hidden: list[str]) -> None:
    assert telegram_texts(text, MessageEntity.SPOILER) == hidden
    assert "||" not in telegram_part(text).text
    plain = [found.translate(dict.fromkeys(map(ord, "*`<>"))) for found in discord_texts(text, "||")]
    assert [found.replace("\n ", "\n") for found in plain] == hidden
    assert "||" in terminal_text(text)


@pytest.mark.parametrize(
    "text",
    [
        *("a || b || c", "if (x||y) or (z||w)", "||||", "||x", "x||", "|| x ||", "|| x||", "||x ||", "|a|"),
        *("a||b||c", "is_a||is_b||is_c", "if a ||\nb ||\nc:", "x||f(y)||z", "a||\nb"),
    ],
)
def test_other_bars_are_text(text: str) -> None:
    assert telegram_part(text).text == text
    assert not part_entities(telegram_part(text))
    assert discord_text(text).replace("\\", "") == text
    assert "||" not in discord_text(text)


def test_code_in_spoiler_is_not_uncovered() -> None:
    assert telegram_texts("||the `code`||", MessageEntity.CODE) == []


@pytest.mark.parametrize("platform", BOLD)
def test_highlighted_text_is_bold(platform: str) -> None:
    assert BOLD[platform]("This ==matters== most, ==重要==です") == ["matters", "重要"]
    assert BOLD[platform]("a == b, c==d==e, ==, === x ===, ====") == []
    assert BOLD[platform]("== a== and ==a ==") == [], "as with other marks"
