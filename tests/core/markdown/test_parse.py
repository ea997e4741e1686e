import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.markdown.document import (
    Code,
    Document,
    Heading,
    Item,
    LineBreak,
    Link,
    ListBlock,
    Math,
    MathSpan,
    Paragraph,
    Rule,
    Span,
    Strong,
    Text,
)
from core.markdown.parse import parse
from core.markdown.plain import plain
from tests.core.markdown.samples import ANSWER, NASTY

MARKUP = set("*_~`#>|-+=$\\[]()!:.•☐☑&; \n\t")


def letters(text: str) -> str:
    return "".join(char for char in text if char.isalnum())


def only(text: str) -> object:
    blocks = parse(text).blocks
    assert len(blocks) == 1
    return blocks[0]


def test_html_and_generics_stay_text() -> None:
    for text in (
        "vector<int> and List<String>",
        "if a<b and c>d then",
        "<details> <summary>x</summary> hidden </details>",
        "<!-- gone? --> after",
        "<think>secret</think>",
    ):
        assert plain(parse(text)) == text


def test_fence_directly_after_the_text_of_an_item() -> None:
    assert only("- item\n  ```py\n  code\n") == ListBlock(
        (Item((Paragraph((Text("item"),)), Code("code", "py"))),)
    )


def test_fence_that_is_not_closed_yet() -> None:
    assert only("```py\nx = 1\n") == Code("x = 1", "py")
    assert only("```py") == Code("", "py")


def test_text_on_the_line_of_a_fence_is_kept() -> None:
    assert "print(1)" in plain(parse("```print(1)\nx\n```"))
    assert "title=a.py" in plain(parse("```py title=a.py\nx\n```"))


def test_maths_in_all_spellings() -> None:
    assert only("$x^2$") == Paragraph((MathSpan("x^2"),))
    assert only("\\(a_b*c*\\)") == Paragraph((MathSpan("a_b*c*"),))
    assert only("\\[ a \\].") == Paragraph((MathSpan("a"), Text(".")))
    assert only("$$\nE = mc^2\n$$") == Math("E = mc^2")
    assert only("\\[\nx\n\\]") == Math("x")
    assert only("\\begin{align}\na &= b\n\\end{align}") == Math(
        "\\begin{align}\na &= b\n\\end{align}"
    )
    assert only("$$\nhalf of") == Math("half of")


@pytest.mark.parametrize("text", ["It costs $5, not $10.", "US$5 and US$6", "$ a $", "a $5 b"])
def test_money_is_not_maths(text: str) -> None:
    assert only(text) == Paragraph((Text(text),))


def test_tasks() -> None:
    assert only("- [x] a\n- [ ] b\n- [y] c") == ListBlock(
        (
            Item((Paragraph((Text("a"),)),), checked=True),
            Item((Paragraph((Text("b"),)),), checked=False),
            Item((Paragraph((Text("[y] c"),)),)),
        )
    )


def test_cells_without_a_column_are_kept() -> None:
    table = only("| a | b |\n|---|--:|\n| 1 | 2 | 3 | 4 |\n| 5 |")
    assert plain(Document((table,))) == "a | b\n1 | 2 | 3 | 4\n5 | "  # type: ignore[arg-type]


def test_what_comes_later_does_not_change_a_line() -> None:
    assert parse("Title\n---\n").blocks == (Paragraph((Text("Title"),)), Rule())
    assert parse("[a]\n\n[a]: http://x").blocks[0] == Paragraph((Text("[a]"),))
    assert only("# a *b*") != Heading(1, (Text("a *b*"),))


def test_links_keep_their_address_as_written() -> None:
    assert only("[a](javascript:x) [b](http://h/ä)") == Paragraph(
        (Link("javascript:x", (Text("a"),)), Text(" "), Link("http://h/ä", (Text("b"),)))
    )
    assert only("![alt](http://x/y.png)") == Paragraph((Link("http://x/y.png", (Text("alt"),)),))
    assert "title" in plain(parse('[a](http://x "title")'))


def test_indented_text_is_text() -> None:
    assert only("    a\n    **b**") == Paragraph((Text("a"), LineBreak(), Strong((Text("b"),))))


def test_line_ends_and_broken_characters() -> None:
    assert parse("a\r\nb\rc") == parse("a\nb\nc")
    assert plain(parse("x\ud83dy\0z")) == "x\ufffdy\ufffdz"
    assert only("`a`") == Paragraph((Span("a"),))


@pytest.mark.parametrize("text", [ANSWER, *NASTY])
def test_every_prefix_keeps_its_letters(text: str) -> None:
    for end in range(len(text) + 1):
        prefix = text[:end]
        shown = letters(plain(parse(prefix)))
        # A language and a header's dashes are no text; numbers are counted anew.
        lost = [word for word in prefix.split() if word.isalpha() and word not in shown]
        assert not lost or "```" in prefix


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab1 \n\n\t*_~`#>|-+=$\\[]()!:.<&;x", max_size=80))
def test_no_letter_is_lost(text: str) -> None:
    if "```" in text or "~~~" in text or "&" in text:
        parse(text)
        return
    shown = plain(parse(text))
    for letter in "abx<;":
        assert shown.count(letter) >= text.count(letter)


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
    "ticks": lambda size: "".join("`" * n + " " for n in range(int((2 * size) ** 0.5))),
    "stairs": lambda size: "".join(" " * n + "- a\n" for n in range(int((2 * size) ** 0.5))),
}


def cost(text: str) -> float:
    begun = time.process_time()
    plain(parse(text))
    return time.process_time() - begun


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_costs_in_proportion_to_its_length(name: str) -> None:
    def least(size: int) -> float:
        """Of three: a busy machine only adds."""
        return max(min(cost(HOSTILE[name](size)) for _ in range(3)), 0.01)

    assert least(64_000) / least(8_000) < 30  # in proportion: 8; squared: 64
