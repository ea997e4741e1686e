import re
import sys
import unicodedata
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.markdown.document import (
    CodeBlock,
    CodeSpan,
    Document,
    Heading,
    LineBreak,
    Link,
    ListBlock,
    ListItem,
    MathBlock,
    MathSpan,
    Paragraph,
    Strong,
    Text,
    ThematicBreak,
)
from core.markdown.formulas import _is_money
from core.markdown.plain_text import to_plain_text
from tests.core.markdown.samples import ANSWER, MALFORMED, parse_markdown


def letters(text: str) -> str:
    return "".join(char for char in text if char.isalnum())


def only_block(text: str) -> object:
    blocks = parse_markdown(text).blocks
    assert len(blocks) == 1
    return blocks[0]


def test_html_and_generics_stay_text() -> None:
    for text in (
        "vector<int> and List<String>",
        "if a<b and c>d then",
        "<details> hides text </details>",
        "<!-- gone? --> after",
        "<think>secret</think>",
    ):
        assert to_plain_text(parse_markdown(text)) == text


def test_fence_directly_after_item_text() -> None:
    assert only_block("- item\n  ```py\n  code\n") == ListBlock(
        (ListItem((Paragraph((Text("item"),)), CodeBlock("code", "py"))),)
    )


def test_unclosed_fence() -> None:
    assert only_block("```py\nx = 1\n") == CodeBlock("x = 1", "py")
    assert only_block("```py") == CodeBlock("", "py")


def test_text_on_fence_line_is_kept() -> None:
    assert "print(1)" in to_plain_text(parse_markdown("```print(1)\nx\n```"))
    assert "title=a.py" in to_plain_text(parse_markdown("```py title=a.py\nx\n```"))


def test_maths_in_all_spellings() -> None:
    assert only_block("$x^2$") == Paragraph((MathSpan("x^2", "x²"),))
    assert only_block("\\(a_b*c*\\)") == Paragraph((MathSpan("a_b*c*", "a_b*c*"),))
    assert only_block("\\[ a \\].") == Paragraph((MathSpan("a", "a"), Text(".")))
    assert only_block("$$\nE = mc^2\n$$") == MathBlock("E = mc^2", "E = mc²")
    assert only_block("\\[\nx\n\\]") == MathBlock("x", "x")
    assert only_block("\\begin{align}\na &= b\n\\end{align}") == MathBlock(
        "\\begin{align}\na &= b\n\\end{align}", "a = b"
    )
    assert only_block("$$\nhalf of") == MathBlock("half of")


@pytest.mark.parametrize("text", ["It costs $5, not $10.", "US$5 and US$6", "$ a $", "a $5 b", "$5 or 5$"])
def test_money_is_not_maths(text: str) -> None:
    assert only_block(text) == Paragraph((Text(text),))


@given(st.text(alphabet="1.,a =^\\\n", min_size=1, max_size=12).filter(lambda text: not text[-1].isspace()))
def test_amount_is_number_with_words(text: str) -> None:
    amount = re.compile(r"[\d.,]+[^\\^_=+*/<>{}]*\s[^\\^_=+*/<>{}]*\Z")  # cubic in the number of characters
    assert _is_money(text) == (amount.match(text) is not None)


def test_long_formula_that_begins_like_an_amount() -> None:
    formula = "1" * 1300 + " " * 2600 + "="
    assert only_block(f"${formula}$") == Paragraph((MathSpan(formula),))


def test_table_of_thousands_of_columns_is_text() -> None:
    table = "|" * 3000 + "\n" + "|-" * 3000 + "|\n" + "|\n" * 3000
    assert all(isinstance(block, Paragraph) for block in parse_markdown(table).blocks)


def test_deep_emphasis_keeps_text() -> None:
    text = "*a " * 20_000 + "a* " * 20_000
    assert letters(to_plain_text(parse_markdown(text))) == "a" * 40_000


def test_tasks() -> None:
    assert only_block("- [x] a\n- [ ] b\n- [y] c") == ListBlock(
        (
            ListItem((Paragraph((Text("a"),)),), checked=True),
            ListItem((Paragraph((Text("b"),)),), checked=False),
            ListItem((Paragraph((Text("[y] c"),)),)),
        )
    )


def test_surplus_cells_are_kept() -> None:
    table = only_block("| a | b |\n|---|--:|\n| 1 | 2 | 3 | 4 |\n| 5 |")
    assert to_plain_text(Document((table,))) == "a | b\n1 | 2 | 3 | 4\n5 | "  # type: ignore[arg-type]


def test_later_text_does_not_change_line() -> None:
    assert parse_markdown("Title\n---\n").blocks == (Paragraph((Text("Title"),)), ThematicBreak())
    assert parse_markdown("[a]\n\n[a]: http://x").blocks[0] == Paragraph((Text("[a]"),))
    assert only_block("# a *b*") != Heading(1, (Text("a *b*"),))


def test_link_address_is_kept_as_written() -> None:
    assert only_block("[a](javascript:x) [b](http://h/ä)") == Paragraph(
        (Link("javascript:x", (Text("a"),)), Text(" "), Link("http://h/ä", (Text("b"),)))
    )
    assert only_block("![alt](http://x/y.png)") == Paragraph((Link("http://x/y.png", (Text("alt"),)),))
    assert "title" in to_plain_text(parse_markdown('[a](http://x "title")'))


def test_indented_text_is_text() -> None:
    assert only_block("    a\n    **b**") == Paragraph((Text("a"), LineBreak(), Strong((Text("b"),))))


def test_line_ends_and_broken_characters() -> None:
    assert parse_markdown("a\r\nb\rc") == parse_markdown("a\nb\nc")
    assert to_plain_text(parse_markdown("x\ud83dy\0z")) == "x\ufffdy\ufffdz"
    assert only_block("`a`") == Paragraph((CodeSpan("a"),))


@pytest.mark.slow
@pytest.mark.parametrize("text", [ANSWER, *MALFORMED])
def test_every_prefix_keeps_letters(text: str) -> None:
    for end in range(len(text) + 1):
        prefix = text[:end]
        plain_text = letters(to_plain_text(parse_markdown(prefix)))
        # The language of a code block is not text, and lists are renumbered.
        lost_words = [word for word in prefix.split() if word.isalpha() and word not in plain_text]
        assert not lost_words or "```" in prefix


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab1 \n\n\t*_~`#>|-+=$\\[]()!:.<&;x", max_size=80))
def test_no_letter_is_lost(text: str) -> None:
    if "```" in text or "~~~" in text or "&" in text:
        parse_markdown(text)
        return
    # Formulas raise and lower letters.
    plain_text = unicodedata.normalize("NFKC", to_plain_text(parse_markdown(text)))
    for letter in "abx<;":
        assert plain_text.count(letter) >= text.count(letter)


HOSTILE: dict[str, Callable[[int], str]] = {
    "brackets": lambda size: "[" * size,
    "images": lambda size: "![" * (size // 2),
    "pairs": lambda size: "[" * (size // 2) + "]" * (size // 2),
    "stars": lambda size: "*_" * (size // 2),
    "quotes": lambda size: "> " * (size // 2),
    "lists": lambda size: "- " * (size // 2),
    "table": lambda size: "|" * (size // 2) + "\n" + "|-" * (size // 4),
    "rows": lambda size: "|a|b|\n|-|-|\n" + "|a|b|\n" * (size // 6),
    "formulas": lambda size: "\\[x\n" * (size // 4),
    "dollars": lambda size: "$a " * (size // 3),
    "tags": lambda size: "<a" * (size // 2),
    "backticks": lambda size: "".join("`" * n + " " for n in range(int((2 * size) ** 0.5))),
    "stairs": lambda size: "".join(" " * n + "- a\n" for n in range(int((2 * size) ** 0.5))),
}


def count_steps(text: str) -> int:
    """The lines of Python that run while `text` is read and written."""
    steps = 0

    def trace(_frame: FrameType, event: str, _argument: object) -> Callable[..., Any]:
        nonlocal steps
        steps += event == "line"
        return trace

    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        to_plain_text(parse_markdown(text))
    finally:
        sys.settrace(previous)
    return steps


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_takes_linear_time(name: str) -> None:
    ratio = count_steps(HOSTILE[name](4_000)) / count_steps(HOSTILE[name](500))
    assert ratio < 10  # 8 in linear time, 64 in quadratic time
