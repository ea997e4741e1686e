"""Formats a table as lines of equally wide columns, for platforms without tables.

    Model | Size
    ------+-----
    phi-4 |  14B

Widths are those of a monospaced font, in which an East Asian character takes two columns.
"""

from functools import lru_cache

from wcwidth import wcswidth

from core.markdown.document import Alignment, Table
from core.markdown.plain_text import inlines_to_plain_text

MAX_COLUMN_WIDTH = 40
"""A longer cell sticks out of its column and does not widen it."""


def format_table(table: Table) -> str:
    rows = [[_single_line(inlines_to_plain_text(cell)) for cell in row] for row in table.rows]
    widths = [
        max((min(_display_width(row[column]), MAX_COLUMN_WIDTH) for row in rows), default=0)
        for column in range(len(table.alignments))
    ]
    lines = [" | ".join(map(_pad_cell, row, widths, table.alignments)).rstrip() for row in rows]
    if table.has_header and lines:
        lines.insert(1, "-+-".join("-" * width for width in widths))
    return "\n".join(lines)


def _single_line(text: str) -> str:
    return " ".join(text.split())


@lru_cache(4096)
def _display_width(text: str) -> int:
    if text.isascii():
        return len(text)
    width = wcswidth(text)
    return len(text) if width < 0 else width


def _pad_cell(text: str, width: int, alignment: Alignment) -> str:
    padding = max(0, width - _display_width(text))
    before = {Alignment.LEFT: 0, Alignment.CENTER: padding // 2, Alignment.RIGHT: padding}[alignment]
    return " " * before + text + " " * (padding - before)
