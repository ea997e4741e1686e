"""Shows tables on platforms without tables: narrow ones as lines of equally wide columns, others as records.

    Model | Size        Model: meta-llama/Llama-3.3-70B-Instruct
    ------+-----        Context: 131,072 tokens
    phi-4 |  14B

Widths are those of a monospaced font, in which an East Asian character takes two columns.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import zip_longest

from core.markdown.document import Alignment, Inline, LineBreak, Paragraph, Table, Text
from core.markdown.plain_text import inlines_to_plain_text

MAX_GRID_WIDTH = 40
"""What a phone shows in a line."""
SEPARATOR_WIDTH = 3
MAX_LABEL_WIDTH = 30
"""The longest header that a record repeats."""


def is_grid(table: Table) -> bool:
    """Whether the table is narrow enough for columns."""
    widths = [0] * len(table.alignments)
    for row in table.rows:
        widths = list(map(max, widths, (_lines_width(_cell_lines(cell)) for cell in row)))
        if sum(widths) + SEPARATOR_WIDTH * (len(widths) - 1) > MAX_GRID_WIDTH:
            return False
    return True


def format_grid(table: Table) -> str:
    rows = [list(map(_cell_lines, row)) for row in table.rows]
    widths = [max(map(_lines_width, column)) for column in zip(*rows, strict=True)]
    shown = ["\n".join(_format_row(row, widths, table.alignments)) for row in rows]
    rule = "-+-".join("-" * width for width in widths)
    return "\n".join(shown[1:] if table.is_continuation else (shown[0], rule, *shown[1:]))


def table_records(table: Table) -> tuple[Paragraph, ...]:
    """A paragraph for each row, with a line for each cell.

    Only the first names its empty cells, too, and has the whole headers: to repeat long ones would multiply the text.
    """
    header, *rows = table.rows
    if not rows:
        return (Paragraph(tuple(_join(header, Text(" | ")))),)
    records = [] if table.is_continuation else [_first_record(header, rows.pop(0))]
    short_header = tuple(map(_shorten, header)) if len(header) > 1 else ((),)
    for row in rows:
        lines = (_label(label, cell) for label, cell in zip(short_header, row, strict=True) if cell)
        records.append(Paragraph(tuple(_join(lines, LineBreak()))))
    return tuple(records)


def _first_record(header: Sequence[tuple[Inline, ...]], row: Sequence[tuple[Inline, ...]]) -> Paragraph:
    if len(header) == 1:
        lines = [_label(header[0], ()), *row]
    else:
        lines = [_label(label, cell) for label, cell in zip(header, row, strict=True)]
    return Paragraph(tuple(_join(filter(None, lines), LineBreak())))


def _shorten(label: tuple[Inline, ...]) -> tuple[Inline, ...]:
    text = " ".join(_cell_lines(label))
    if display_width(text) <= MAX_LABEL_WIDTH:
        return label
    while display_width(text) >= MAX_LABEL_WIDTH:
        text = text[: MAX_LABEL_WIDTH - 1] if len(text) >= MAX_LABEL_WIDTH else text[:-1]
    return (Text(f"{text.rstrip()}…"),)


def _label(label: tuple[Inline, ...], cell: tuple[Inline, ...]) -> tuple[Inline, ...]:
    """The line of a cell; without a label if the column has none."""
    if not label:
        return cell
    is_list = bool(cell) and isinstance(cell[0], LineBreak)
    return (*label, Text(":" if is_list or not cell else ": "), *cell)


def _join(lines: Iterable[tuple[Inline, ...]], separator: Inline) -> Iterator[Inline]:
    for index, line in enumerate(lines):
        if index:
            yield separator
        yield from line


def _cell_lines(cell: tuple[Inline, ...]) -> list[str]:
    lines = (" ".join(line.split()) for line in inlines_to_plain_text(cell).split("\n"))
    return list(filter(None, lines)) or [""]


def _lines_width(lines: list[str]) -> int:
    return max(map(display_width, lines))


def _format_row(row: list[list[str]], widths: list[int], alignments: tuple[Alignment, ...]) -> Iterator[str]:
    for line in zip_longest(*row, fillvalue=""):
        yield " | ".join(map(_pad_cell, line, widths, alignments)).rstrip()


@lru_cache(4096)
def display_width(text: str) -> int:
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth

    width = wcswidth(text)
    return len(text) if width < 0 else width


def _pad_cell(text: str, width: int, alignment: Alignment) -> str:
    padding = max(0, width - display_width(text))
    before = {Alignment.LEFT: 0, Alignment.CENTER: padding // 2, Alignment.RIGHT: padding}[alignment]
    return " " * before + text + " " * (padding - before)
