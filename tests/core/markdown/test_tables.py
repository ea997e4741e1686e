"""Tables on every platform: narrow ones in columns, wide ones as records."""

import pytest
from telegram import MessageEntity

from bots.discord.dialect import DiscordDialect
from bots.telegram.dialect import TelegramDialect
from bots.telegram.rich_dialect import RichDialect
from core.delivery.splitter import Splitter
from core.markdown.document import CodeSpan, Inline, ListBlock, MathSpan, Paragraph, Quote, Table, Text
from core.port import Dialect, RichMode
from tests.bots.formatted_text import discord_text, telegram_part, telegram_texts, terminal_text
from tests.core.markdown.samples import parse_markdown

WIDE = """| Model | Context | Notes |
|---|---:|---|
| meta-llama/Llama-3.3-70B-Instruct | 131,072 | **fast** |
| phi-4 | 16,384 | |
"""
RECORDS = [
    "Model: meta-llama/Llama-3.3-70B-Instruct",
    "Context: 131,072",
    "Notes: fast",
    "",
    "Model: phi-4",
    "Context: 16,384",
]


def test_pipe_in_code_separates_no_cells() -> None:
    text = "| Pattern | Count |\n|---|---|\n| `a|b` | 1 |\n| `c` | `d | e` |\n| `f` | 2 |"
    rows = ["Pattern | Count", "--------+------", "a|b     | 1", "c       | d | e", "f       | 2"]
    assert telegram_part(text).text.split("\n") == rows
    assert all(row in discord_text(text) for row in rows)


FORMULA = (MathSpan("|x|", "|x|"),)
ROWS: dict[str, list[tuple[Inline, ...]]] = {
    "| $|x|$ | y |": [FORMULA, (Text("y"),)],
    "| $P(A|B)$ | `x|y` |": [(MathSpan("P(A|B)", "P(A|B)"),), (CodeSpan("x|y"),)],
    r"| \(a|b\) | $$c|d$$ |": [(MathSpan("a|b", "a|b"),), (MathSpan("c|d", "c|d"),)],
    r"| `a||b` | $\|x\|$ |": [(CodeSpan("a||b"),), FORMULA],
    "| ``a|`b`` | x": [(CodeSpan("a|`b"),), (Text("x"),)],
    "| $5 | $6 |": [(Text("$5"),), (Text("$6"),)],
    "| $5 or `a|b` | $6 |": [(Text("$5 or "), CodeSpan("a|b")), (Text("$6"),)],
    "| ` | ` |": [(Text("`"),), (Text("`"),)],
    "| $x | y$ |": [(Text("$x"),), (Text("y$"),)],
    "| a | b | c |": [(Text("a"),), (Text("b | c"),)],
    "| a |": [(Text("a"),), ()],
}


@pytest.mark.parametrize("row", ROWS)
def test_pipe_in_code_or_formula_separates_no_cells(row: str) -> None:
    (table,) = parse_markdown(f"| A | B |\n|---|---|\n{row}").blocks
    assert isinstance(table, Table)
    assert table.rows[1] == tuple(ROWS[row])


@pytest.mark.parametrize("header", ["| `a|b` | c |", "| $|x|$ | c |", "`a|b` | c"])
def test_header_may_have_pipes_in_code_and_formulas(header: str) -> None:
    text = f"{header}\n|---|---|\n| 1 | 2 |\n\nAfter"
    table, after = parse_markdown(text).blocks
    assert isinstance(table, Table)
    assert [len(row) for row in table.rows] == [2, 2]
    assert isinstance(after, Paragraph)
    for shown in (telegram_part(text).text, discord_text(text), terminal_text(text)):
        assert "|---" not in shown.replace("|---|---|---", "")
        assert "$" not in shown


@pytest.mark.parametrize("start", ["1. x\n", "- x\n- y\n", "- x\n  - y\n", "> x\n", "> - x\n", "1. x\n   y\n"])
def test_table_directly_below_item_or_quote_ends_it(start: str) -> None:
    text = f"{start}| a | b |\n|---|---|\n| 1 | 2 |\n\nAfter"
    first, table, after = parse_markdown(text).blocks
    assert isinstance(first, (ListBlock, Quote))
    assert isinstance(table, Table)
    assert len(table.rows) == 2
    assert after == Paragraph((Text("After"),))
    for dialect in (TelegramDialect(), DiscordDialect(), RichDialect(RichMode.AUTO), DiscordDialect(100)):
        whole, growing = Splitter(dialect).update(text), Splitter(dialect)
        for end in range(len(text)):
            closed = growing.update(text[:end], is_growing=True)[:-1]
            assert closed == whole[: len(closed)]
        assert growing.update(text) == whole
        assert not any("|---|" in part.text for part in whole)


def test_wide_table_is_records() -> None:
    assert telegram_part(WIDE).text.split("\n") == RECORDS
    assert telegram_texts(WIDE, MessageEntity.BOLD) == ["fast"]
    assert not telegram_texts(WIDE, MessageEntity.PRE)
    assert discord_text(WIDE).replace("**", "").split("\n") == RECORDS
    assert all(line in terminal_text(WIDE) for line in RECORDS)


@pytest.mark.parametrize("width", [34, 35])
def test_forty_columns_fit_a_phone(width: int) -> None:
    text = f"| a | b |\n|---|---|\n| {'x' * width} | yy |\n| 1 | zzz |"
    assert (telegram_texts(text, MessageEntity.PRE) != []) == (width == 34)


@pytest.mark.parametrize(("cell", "is_narrow"), [("漢" * 18, True), ("漢" * 19, False), ("한" * 19, False)])
def test_wide_characters_count_double(cell: str, is_narrow: bool) -> None:
    text = f"| a | b |\n|---|---|\n| {cell} | 1 |"
    assert (telegram_texts(text, MessageEntity.PRE) != []) == is_narrow
    assert discord_text(text).startswith("```") == is_narrow
    assert (f"a: {cell}" in terminal_text(text)) != is_narrow


def test_links_in_wide_table_are_links() -> None:
    text = f"| Page | Summary |\n|---|---|\n| [Home](https://x.y/) | {'word ' * 10}|"
    assert telegram_texts(text, MessageEntity.TEXT_LINK) == ["Home"]
    assert "Page: [Home](<https://x.y/>)" in discord_text(text)


def test_every_header_is_shown() -> None:
    text = f"| Name | Remark | |\n|---|---|---|\n| {'x' * 40} | | y |\n| b | | |"
    assert telegram_part(text).text == f"Name: {'x' * 40}\nRemark:\ny\n\nName: b"


def test_one_wide_column_has_one_header() -> None:
    rows = [f"{'word ' * 9}{number}" for number in range(3)]
    text = "| The header |\n|---|\n" + "".join(f"| {row} |\n" for row in rows)
    assert telegram_part(text).text == "The header:\n" + "\n\n".join(rows)
    assert discord_text(text) == "The header:\n" + "\n\n".join(rows)


@pytest.mark.parametrize("dialect", [TelegramDialect(200), DiscordDialect(200)])
def test_one_wide_column_has_one_header_in_all_parts(dialect: Dialect) -> None:
    rows = [f"{'word ' * 9}{number}" for number in range(30)]
    parts = Splitter(dialect).update("| The header |\n|---|\n" + "".join(f"| {row} |\n" for row in rows))
    text = "\n\n".join(part.text for part in parts)
    assert len(parts) > 5
    assert text.count("The header") == 1
    assert all(row in text for row in rows)


@pytest.mark.parametrize(("label", "short"), [("word " * 60, "word " * 5 + "word…"), ("漢" * 300, "漢" * 14 + "…")])
def test_long_header_is_repeated_shortened(label: str, short: str) -> None:
    text = f"| a | {label}|\n|---|---|\n" + "| 1 | x |\n" * 30
    for shown in (telegram_part(text).text, discord_text(text)):
        assert shown.count(f"{label.strip()}: x") == 1
        assert shown.count(f"{short}: x") == 29


def test_header_alone_is_shown() -> None:
    text = f"| {'a' * 30} | {'b' * 30} |\n|---|---|\n"
    assert telegram_part(text).text == f"{'a' * 30} | {'b' * 30}"


@pytest.mark.parametrize("prefix", ["", "> ", "- "])
@pytest.mark.parametrize("dialect", [TelegramDialect(150), DiscordDialect(150)])
def test_records_in_later_parts_name_their_cells(dialect: Dialect, prefix: str) -> None:
    rows = "".join(f"| row {number} | {'word ' * 8}|\n" for number in range(12))
    lines = f"| First one | Second one |\n|---|---|\n{rows}".splitlines()
    rest = "  " if prefix == "- " else prefix
    parts = Splitter(dialect).update(prefix + ("\n" + rest).join(lines))
    assert len(parts) > 4
    text = "\n".join(part.text for part in parts)
    for number in range(12):
        assert f"First one: row {number}\n" in text
    assert text.count("Second one: word") == 12


@pytest.mark.parametrize("first", [1, 30])
@pytest.mark.parametrize("dialect", [TelegramDialect(200), DiscordDialect(200), DiscordDialect(120)])
def test_growing_table_that_becomes_wide_keeps_closed_parts(dialect: Dialect, first: int) -> None:
    lengths = [40 if n % 9 == 8 else first if n == 0 else 1 for n in range(30)]
    rows = "".join(f"| {n} | {'x' * length} | y |\n" for n, length in enumerate(lengths))
    text = f"| a | b | c |\n|---|---|---|\n{rows}"
    whole, growing = Splitter(dialect).update(text), Splitter(dialect)
    for end in range(len(text)):
        closed = growing.update(text[:end], is_growing=True)[:-1]
        assert closed == whole[: len(closed)]
