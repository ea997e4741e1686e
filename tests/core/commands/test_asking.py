"""What people write, shown to them again inside Markdown."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.commands.asking import literal
from core.markdown.document import Paragraph, Text
from core.markdown.parse import parse


@given(st.text(st.sampled_from("ab1 ()[]{}\\`*_<>#~|$!&;:./-+=^\"'@"), min_size=1, max_size=30))
@example("report (final).pdf")
@example("[draft] a \\(formula\\), or \\[x\\]")
@example("[link](https://example.org) ![image](x)")
@example("$x^2$ costs $5 or $6, R&amp;D, https://example.org, a@example.org")
def test_it_stands_there_as_it_was_written(words: str) -> None:
    said = parse(f"Read {literal(words)}: 3 pieces")
    assert said.blocks == (Paragraph((Text(f"Read {words}: 3 pieces"),)),)


@pytest.mark.parametrize("words", ["(a) note", "[a] note", "[ ] note", "[x]: https://example.org"])
def test_it_stands_so_at_the_beginning_of_a_line_too(words: str) -> None:
    assert parse(literal(words)).blocks == (Paragraph((Text(words),)),)
