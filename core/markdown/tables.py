"""Reads tables as models write them.

A row may have pipes in code and in formulas, and more or fewer cells than the header:

    | `a|b` | $|x|$ |       two cells; the table in GitHub's grammar would have four
    | $5 | $6 |             two cells: amounts are no formula

The line below the header says how many columns there are; a row is read in the way that has as many cells, if there is
one. Surplus cells belong to the last one. A table also ends the item or quote before it that it would continue.
"""

import re
from bisect import bisect_right
from collections.abc import Container, Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_block.table import getLine

from core.markdown.formulas import find_formula_end
from core.markdown.inline_fences import RUN_PATTERN

MAX_COLUMNS = 64
"""A table with more columns is text: each row would show a cell for each of them."""
MAX_ADDED_CELLS = 0x10000
"""A table ends when its rows lack more cells than this."""
DELIMITER_ROW_PATTERN = re.compile(r"(?![-][ \t])[|:-][|:\- \t]+\Z")
DELIMITER_PATTERN = re.compile(r"(:?)-+(:?)")
ALIGNMENTS = {("", ""): "", (":", ""): "left", ("", ":"): "right", (":", ":"): "center"}
PIPE_PATTERN = re.compile(r"\|")
MARK_PATTERN = re.compile(r"`+|\$|\\.")


def add_tables(grammar: MarkdownIt) -> None:
    grammar.block.ruler.at("table", _table_rule, {"alt": ["paragraph", "reference", "blockquote"]})


def _table_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    if start + 1 >= end or not _is_indented_alike(state, start, silent=silent):
        return False
    delimiter_row = getLine(state, start + 1).strip()
    alignments = _read_delimiter_row(delimiter_row)
    header = getLine(state, start).strip()
    if not alignments or "|" not in header:
        return False
    cells = _read_cells(header, len(alignments))
    if len(cells) != len(alignments):
        return False
    if not silent:
        table = state.push("table_open", "table", 1)
        table.meta["first_lines"] = ("|" + header.removeprefix("|"), delimiter_row)
        state.push("thead_open", "thead", 1).map = [start, start + 1]
        _push_row(state, start, "th", cells, alignments)
        state.push("thead_close", "thead", -1)
        state.line = _push_body(state, start + 2, end, alignments)
        state.push("table_close", "table", -1)
        table.map = [start, state.line]
    return True


def _is_indented_alike(state: StateBlock, start: int, *, silent: bool) -> bool:
    """Whether both first lines are in the same item. A table that ends a paragraph may follow the item."""
    first, second = state.sCount[start], state.sCount[start + 1]
    if silent and state.parentType == "table":
        return False
    if silent and first < state.blkIndent:
        return 0 <= second < state.blkIndent
    return second >= state.blkIndent


def _read_delimiter_row(row: str) -> list[str]:
    """The alignment of each column; none if the row does not separate a header from other rows."""
    if not DELIMITER_ROW_PATTERN.match(row) or row.count("|") > MAX_COLUMNS:
        return []
    texts = row.removeprefix("|").removesuffix("|").split("|")
    columns = [DELIMITER_PATTERN.fullmatch(text.strip()) for text in texts]
    return [ALIGNMENTS[column[1], column[2]] for column in columns if column] if all(columns) else []


def _push_body(state: StateBlock, first: int, end: int, alignments: Sequence[str]) -> int:
    """Push the rows below the header. Returns the line after the last one."""
    outer_type, state.parentType = state.parentType, "table"
    terminators = state.md.block.ruler.getRules("blockquote")
    line, added_cells = first, 0
    body = None
    while line < end and state.sCount[line] >= state.blkIndent and not state.isEmpty(line):
        if any(rule(state, line, end, True) for rule in terminators):
            break
        cells = _read_cells(getLine(state, line).strip(), len(alignments))
        if len(cells) > len(alignments):
            cells[len(alignments) - 1 :] = [" | ".join(cells[len(alignments) - 1 :])]
        missing = len(alignments) - len(cells)
        added_cells += missing
        if added_cells > MAX_ADDED_CELLS:
            break
        if body is None:
            body = state.push("tbody_open", "tbody", 1)
        _push_row(state, line, "td", [*cells, *[""] * missing], alignments)
        line += 1
    if body is not None:
        state.push("tbody_close", "tbody", -1)
        body.map = [first, line]
    state.parentType = outer_type
    return line


def _push_row(state: StateBlock, line: int, tag: str, cells: Sequence[str], alignments: Sequence[str]) -> None:
    state.push("tr_open", "tr", 1).map = [line, line + 1]
    for cell, alignment in zip(cells, alignments, strict=True):
        token = state.push(f"{tag}_open", tag, 1)
        if alignment:
            token.attrs = {"style": f"text-align:{alignment}"}
        content = state.push("inline", "", 0)
        content.map, content.children, content.content = [line, line + 1], [], cell
        state.push(f"{tag}_close", tag, -1)
    state.push("tr_close", "tr", -1)


def _read_cells(row: str, columns: int) -> list[str]:
    """The cells of a row: `columns`, if it can be read so."""
    cells = _split_cells(row, frozenset())
    for has_formulas in (False, True):
        if len(cells) > columns and any(mark in row for mark in ("`", "$", "\\(")):
            cells = _split_cells(row, frozenset(_find_enclosed_pipes(row, has_formulas=has_formulas)))
    return cells


def _split_cells(row: str, enclosed_pipes: Container[int]) -> list[str]:
    """The texts between pipes, except enclosed and escaped ones. Those lose their backslash."""
    cells, cell, start = [], "", 0
    for pipe in PIPE_PATTERN.finditer(row):
        position = pipe.start()
        if row[position - 1 : position] == "\\":
            cell += row[start : position - 1]
            start = position
        elif position not in enclosed_pipes:
            cells.append(cell + row[start:position])
            cell, start = "", position + 1
    cells.append(cell + row[start:])
    first = 1 if cells[0] == "" else 0
    last = len(cells) - (len(cells) > first and cells[-1] == "")
    return [text.strip() for text in cells[first:last]]


def _find_enclosed_pipes(row: str, *, has_formulas: bool) -> Iterator[int]:
    """The positions of pipes in code spans and, if it `has_formulas`, in formulas."""
    runs: dict[int, list[int]] = {}
    for run in RUN_PATTERN.finditer(row):
        runs.setdefault(len(run[0]), []).append(run.start())
    position = 0
    while mark := MARK_PATTERN.search(row, position):
        position = mark.end()
        end = None
        if mark[0][0] == "`":
            same = runs[len(mark[0])]
            index = bisect_right(same, mark.start())
            end = same[index] + len(mark[0]) if index < len(same) else None
        elif has_formulas:
            end = find_formula_end(row, mark.start())
        if end is not None:
            yield from (pipe.start() for pipe in PIPE_PATTERN.finditer(row, position, end))
            position = end
