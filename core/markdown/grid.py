"""A table as lines of equal columns, for places that only have a monospaced face."""

from functools import lru_cache

from wcwidth import wcswidth

from core.markdown.document import Table
from core.markdown.plain import plain_inline

__all__ = ["grid"]

WIDEST = 40  # a longer cell does not make its whole column wider


def grid(table: Table) -> str:
    rows = [[_cell(plain_inline(cell)) for cell in row] for row in table.rows]
    widths = [
        max((min(_width(row[at]), WIDEST) for row in rows), default=0)
        for at in range(len(table.aligns))
    ]
    lines = [" | ".join(map(_pad, row, widths, table.aligns)).rstrip() for row in rows]
    if table.header and lines:
        lines.insert(1, "-+-".join("-" * width for width in widths))
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split())


@lru_cache(4096)
def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    width = wcswidth(text)
    return len(text) if width < 0 else width


def _pad(text: str, width: int, align: str) -> str:
    spare = max(0, width - _width(text))
    before = spare if align == "right" else spare // 2 if align == "center" else 0
    return " " * before + text + " " * (spare - before)
