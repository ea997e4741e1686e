"""Markdown as every renderer understands it: marks next to each other and inside each other, code spans, the cache."""

from collections import Counter

import pytest

from bots.discord.dialect import DiscordDialect
from core.markdown.document import (
    Block,
    CodeSpan,
    Document,
    Emphasis,
    Heading,
    Inline,
    ListBlock,
    ListItem,
    Paragraph,
    Strikethrough,
    Strong,
    Text,
)
from core.markdown.writer import INVISIBLE_SPACE


def written(*inlines: Inline) -> str:
    return DiscordDialect().write_inlines(inlines, frozenset())


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (Strong((Text("a"),)), Emphasis((Text("b"),)), f"**a**{INVISIBLE_SPACE}*b*"),
        (Emphasis((Text("a"),)), Emphasis((Text("b"),)), f"*a*{INVISIBLE_SPACE}*b*"),
        (CodeSpan("a"), CodeSpan("b"), f"`a`{INVISIBLE_SPACE}`b`"),
        (Strong((Text("a"),)), Strikethrough((Text("b"),)), "**a**~~b~~"),
        (Strong((Text("a"),)), Text("*"), r"**a**\*"),
        (Text("*"), Emphasis((Text("b"),)), r"\**b*"),
    ],
)
def test_marks_of_one_kind_do_not_touch(first: Inline, second: Inline, expected: str) -> None:
    assert written(first, second) == expected


def test_only_direct_neighbours_are_separated() -> None:
    bold = Strong((Text("a"),))
    assert written(bold, Text(" "), bold) == "**a** **a**"


def test_mark_inside_the_same_mark_is_written_once() -> None:
    assert written(Strong((Text("a "), Strong((Text("b"),)), Text(" c")))) == "**a b c**"
    nested = Strong((Emphasis((Text("a "), Strong((Text("b"),)))),))
    assert written(nested) == "***a b***"


def test_mark_around_nothing_is_not_written() -> None:
    assert written(Strong((Text(" "),)), Text("a")) == " a"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("x", "`x`"),
        ("a\nb", "`a b`"),
        ("a`b", "`` a`b ``"),
        ("a``b", r"a\`\`b"),
        ("  ", "  "),
    ],
)
def test_code_span_shows_its_backticks(code: str, expected: str) -> None:
    assert written(CodeSpan(code)) == expected


@pytest.mark.parametrize(("level", "expected"), [(1, "# a"), (3, "### a"), (4, "**a**")])
def test_deep_heading_is_bold(level: int, expected: str) -> None:
    assert DiscordDialect().write_document(Document((Heading(level, (Text("a"),)),))) == expected


class CountingDialect(DiscordDialect):
    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[int] = Counter()

    def write_block(self, block: Block) -> str:
        self.counts[id(block)] += 1
        return super().write_block(block)


def test_block_is_written_once_while_the_answer_grows() -> None:
    dialect = CountingDialect()
    item = Paragraph((Text("item"),))
    blocks: tuple[Block, ...] = (Paragraph((Text("first"),)), ListBlock((ListItem((item,)),), None))
    assert dialect.write_document(Document(blocks)) == "first\n\n- item"
    grown = (*blocks[:1], ListBlock((ListItem((item,)), ListItem((Paragraph((Text("next"),)),))), None))
    assert dialect.write_document(Document(grown)) == "first\n\n- item\n- next"
    assert dialect.counts[id(blocks[0])] == dialect.counts[id(item)] == 1
