"""`<details>` in answers: a quote that Telegram collapses, whatever blocks it contains."""

import pytest
from telegram import MessageEntity

from bots.discord.dialect import DiscordDialect
from bots.telegram.dialect import TelegramDialect, part_entities
from core.delivery.splitter import Splitter
from core.port import Part
from tests.bots.formatted_text import discord_text, telegram_part, telegram_texts, terminal_text

SOLUTION = """\
Try it first.
<details>
<summary>Solution in **two** steps</summary>

1. Define `x`:

   ```py
   x = "</details>"
   ```
2. Print it.

| a | b |
|---|---|
| 1 | 2 |
</details>
Good luck!"""
SHOWN = {
    "<details><summary>Hint</summary>Use a loop.</details>\nafter": ("Hint\nUse a loop.", "after"),
    "<details>\n<summary>Hint</summary>\nUse a\nloop.</details>\nafter": ("Hint\nUse a\nloop.", "after"),
    "<DETAILS open>\n\n<summary>\nTwo\nlines\n</summary>\n- a\n- b\n</details>\nafter": (
        "Two\nlines\n• a\n• b",
        "after",
    ),
    "<details>\n> quote\n</details>\nafter": ("> quote", "after"),
    "<details>\n<summary>A</summary>\n<details>\n<summary>B</summary>\nb\n</details>\na\n</details>\nafter": (
        "A\n> B\nb\na",
        "after",
    ),
    "- item\n  <details>\n  <summary>A</summary>\n\n  - a\n  </details>\n- next": ("A\n   • a", "• next"),
    "<details>\n<summary>open\n\nto the end": ("open\nto the end", ""),
    "<details>\n<summary>a</summary>\nb</details> c\n\nd": ("a\nb</details> c\nd", ""),
}


def collapsed(text: str) -> str:
    (quote,) = telegram_texts(text, MessageEntity.EXPANDABLE_BLOCKQUOTE)
    return quote


def test_details_are_collapsed_with_summary_in_bold() -> None:
    assert collapsed(SOLUTION).startswith("Solution in two steps\n1. Define x:\n")
    assert collapsed(SOLUTION).endswith("\n2. Print it.\na | b\n--+--\n1 | 2")
    assert telegram_part(SOLUTION).text.startswith("Try it first.\n\nSolution")
    assert telegram_part(SOLUTION).text.endswith("1 | 2\n\nGood luck!")
    assert telegram_texts(SOLUTION, MessageEntity.BOLD) == ["Solution in two steps"]
    assert telegram_texts(SOLUTION, MessageEntity.PRE) == ['x = "</details>"', "a | b\n--+--\n1 | 2"]


def test_details_are_quotes_elsewhere() -> None:
    shown = discord_text(SOLUTION)
    assert shown.startswith("Try it first.\n\n> **Solution in two steps**\n> 1. Define `x`:\n")
    assert shown.endswith("\n> 1 | 2\n> ```\n\nGood luck!")
    assert "details>" not in terminal_text(SOLUTION.replace("</details>", "", 1))


@pytest.mark.parametrize("text", SHOWN)
def test_forms_of_details(text: str) -> None:
    quote, rest = SHOWN[text]
    assert collapsed(text) == quote
    assert telegram_part(text).text.endswith(f"{quote}\n\n{rest}".strip() if rest != "• next" else f"{quote}\n{rest}")


@pytest.mark.parametrize(
    "text",
    [
        "Use the <details> tag.",
        "<details> hides text.",
        '<details onclick="x">\na\n</details>',
        "</details>",
        "<details",
        "`<details>`\n</details>",
        "a\n\n</details>\n\nb",
        "- a\n</details>\n",
    ],
)
def test_anything_else_is_text(text: str) -> None:
    assert not telegram_texts(text, MessageEntity.EXPANDABLE_BLOCKQUOTE)
    assert telegram_part(text).text.count("<") == text.count("<")
    assert discord_text(text).count("<") == text.count("<")


@pytest.mark.parametrize("text", ["| a | b |\n|---|---|\n| 1 | {} |", "x {} y"])
def test_details_in_a_line_are_two_lines(text: str) -> None:
    text = text.replace("{}", "<details><summary>S</summary>content</details>")
    assert "<" not in telegram_part(text).text
    assert "S" in telegram_part(text).text.split("content")[0].split("\n")[-2]


def test_growing_details_keep_their_form() -> None:
    """From its first words on, the block is a quote with a bold line."""
    splitter = Splitter(TelegramDialect())
    start = SOLUTION.index("Solution") + 1
    for end in range(start, SOLUTION.index("\nGood")):
        (part,) = splitter.update(SOLUTION[:end], is_growing=True)
        kinds = [entity.type for entity in part_entities(part)]
        assert MessageEntity.EXPANDABLE_BLOCKQUOTE in kinds
        assert MessageEntity.BOLD in kinds


@pytest.mark.parametrize("indent", ["", "> ", "- "])
@pytest.mark.parametrize("dialect", [TelegramDialect(300), DiscordDialect(300)])
def test_long_details_continue_in_the_next_message(dialect: TelegramDialect | DiscordDialect, indent: str) -> None:
    text = "<details>\n<summary>Long</summary>\n\n" + "A sentence of some words. " * 30 + "\n\n- item\n" * 20
    text = (indent + text.replace("\n", "\n" + indent.replace("-", " "))).rstrip() + "\n"
    text += indent.replace("-", " ") + "</details>\n\nafter"
    parts = Splitter(dialect).update(text)
    assert len(parts) > 2
    assert all(is_quoted(part) for part in parts[:-1])
    assert parts[-1].text.endswith("after")
    shown = "".join(part.text for part in parts)
    assert "details" not in shown
    assert (shown.count("A sentence of some words."), shown.count("item")) == (30, 20)


def is_quoted(part: Part) -> bool:
    """Whether all of the part is in a quote."""
    if entities := part_entities(part):
        return any("blockquote" in entity.type and entity.length >= len(part.text) - 6 for entity in entities)
    return all(line.removeprefix("- ").lstrip().startswith(">") for line in part.text.split("\n"))


@pytest.mark.parametrize(
    "opener", ["1. <details>", "- <details>", "> <details>", "- item\n  <details>", "- <details>\n"]
)
@pytest.mark.parametrize("below", ["one\ntwo", "<summary>one</summary>\ntwo", "- one\n- two"])
def test_line_below_a_list_item_or_quote_that_opens_details_is_shown(opener: str, below: str) -> None:
    assert [word for word in ("one", "two") if word in telegram_part(f"{opener}\n{below}").text] == ["one", "two"]


@pytest.mark.parametrize("limit", range(30, 90))
def test_summary_is_shown_where_a_message_ends_before_the_details(limit: int) -> None:
    text = "1. a\none | two | three |\n|---|---|\n| four | five |\n<details>\n<summary>six</summary>\nseven eight\n"
    for dialect in (TelegramDialect(limit), DiscordDialect(limit)):
        shown = "".join(part.text for part in Splitter(dialect).update(text))
        assert "six" in shown
