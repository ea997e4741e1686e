"""What people write, shown to them again inside Markdown."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.markdown.document import Paragraph, Text
from core.texts.formatting import escape_markdown, quota_bar
from tests.core.markdown.samples import parse_markdown


@given(st.text(st.sampled_from("ab1 ()[]{}\\`*_<>#~|$!&;:./-+=^\"'@"), min_size=1, max_size=30))
@example("report (final).pdf")
@example("[draft] a \\(formula\\), or \\[x\\]")
@example("[link](https://example.org) ![image](x)")
@example("||a|| ==b== [a^1] [^1] 「**a**」 https://x.y/_a_(b)")
@example("$x^2$ costs $5 or $6, R&amp;D, https://example.org, a@example.org")
def test_quoted_text_is_escaped(words: str) -> None:
    said = parse_markdown(f"Read {escape_markdown(words)}: 3 pieces")
    assert said.blocks == (Paragraph((Text(f"Read {words}: 3 pieces"),)),)


@pytest.mark.parametrize("words", ["(a) note", "[a] note", "[ ] note", "[x]: https://example.org"])
def test_quoted_text_is_escaped_at_line_start(words: str) -> None:
    assert parse_markdown(escape_markdown(words)).blocks == (Paragraph((Text(words),)),)


@pytest.mark.parametrize(
    ("remaining_fraction", "bar"),
    [(None, "    "), (1.0, "████"), (0.999, "███░"), (0.5, "██░░"), (0.001, "█░░░"), (0.0, "░░░░")],
)
def test_bar_shows_what_is_left_of_a_quota(remaining_fraction: float | None, bar: str) -> None:
    assert quota_bar(remaining_fraction, 4) == bar
