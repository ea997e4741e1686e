"""A table as lines of equal columns, for places that only have a monospaced face."""

from functools import lru_cache

from wcwidth import wcswidth

from core.markdown.document import Table
from core.markdown.plain_text import inlines_to_plain_text

__all__ = ["format_table"]

MAX_COLUMN_WIDTH = 40  # a longer cell does not make its whole column wider


def format_table(table: Table) -> str:
    rows = [[_single_line(inlines_to_plain_text(cell)) for cell in row] for row in table.rows]
    widths = [
        max((min(_display_width(row[at]), MAX_COLUMN_WIDTH) for row in rows), default=0)
        for at in range(len(table.alignments))
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


def _pad_cell(text: str, width: int, align: str) -> str:
    spare = max(0, width - _display_width(text))
    before = spare if align == "right" else spare // 2 if align == "center" else 0
    return " " * before + text + " " * (spare - before)
