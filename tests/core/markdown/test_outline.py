"""What precedes the rest of a text that is cut in the middle of a line, so that the rest keeps its meaning."""

import pytest

from core.markdown.outline import BreakRank, build_outline, container_indent, continuation_prefix


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("plain words", ""),
        ("# A heading", "# "),
        ("> quoted words", "> "),
        ("- an item", "- "),
        ("3. an item", "1. "),
        ("- outer\n  - inner words", "- - "),
        ("> - an item in a quote", "> - "),
        ("<details>\n<summary>a</summary>\nwords", "<details>\n"),
        ("- <details>\n  - an item in details", "- <details>\n  - "),
        ("> <details>\n> ```\n> code", "> <details>\n> ```\n> "),
        ("```py\ncode", "```py\n"),
        ("```py\ncode\nmore code\n```", "```py\n"),
        ("```py\nwhole line\nhalf a li", "```py\n"),
        ("- item\n  ```\n  code", "- ```\n  "),
        ("> ```\n> code", "> ```\n> "),
        ("| a | b |\n|---|:-:|\n| 1 | 2 |", "| a | b |\n|---|:-:|\n"),
    ],
)
def test_rest_of_the_last_line_stays_in_its_block(text: str, prefix: str) -> None:
    line = text.count("\n") - text.endswith("```")
    assert continuation_prefix(build_outline(text).open_blocks_at(line), is_mid_line=True) == prefix


def test_whole_lines_need_no_indentation() -> None:
    blocks = build_outline("- item\n  ```\n  code").open_blocks_at(2)
    assert continuation_prefix(blocks, is_mid_line=False) == "- ```\n"
    assert container_indent("  code", blocks[:-1]) == 2


def test_breaks_between_blocks_are_best() -> None:
    points = build_outline("one\n\ntwo\nlines\n\n- three\n- four\n").break_points
    assert [(point.line, point.rank) for point in points] == [
        (0, BreakRank.BETWEEN_BLOCKS),
        (2, BreakRank.BETWEEN_BLOCKS),
        (3, BreakRank.BETWEEN_LINES),
        (5, BreakRank.BETWEEN_BLOCKS),
        (6, BreakRank.INSIDE_BLOCK),
    ]


def test_heading_stays_with_its_text() -> None:
    points = build_outline("# Title\n\nwords\n\nmore").break_points
    assert [(point.line, point.orphans_heading) for point in points] == [(0, False), (2, True), (4, False)]
