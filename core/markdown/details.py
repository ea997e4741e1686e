"""Reads `<details>` on lines of its own: a quote that platforms may show collapsed, with its summary as first line.

    <details>                                       the blocks up to </details> belong to it,
    <summary>Solution</summary>                     or all that follow in the same quote, item or text

    1. **First**, ...
    </details>

    <details><summary>Hint</summary>Use a loop.</details>

While an answer grows, the closing tag is missing; it only says where the block ends. It counts on a line of its own,
and at the end of a line of a paragraph, directly in the block; elsewhere it is text. So is an opening tag that is
followed by anything but a summary. If the closing tag of a summary is missing, it ends before an empty line or after
four lines.
"""

import re
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock

OPENING_TAG = "<details>"
OPENING_PATTERN = re.compile(r"<details(?:[ \t]{1,4}open(?:=\"(?:open|true)?\")?)?[ \t]{0,4}>[ \t]*", re.IGNORECASE)
CLOSING_PATTERN = re.compile(r"</details>[ \t]*", re.IGNORECASE)
CLOSING_TAG = "</details>"
SUMMARY_PATTERN = re.compile(r"<summary>", re.IGNORECASE)
SUMMARY_END_PATTERN = re.compile(r"</summary>[ \t]*", re.IGNORECASE)
MAX_SUMMARY_LINES = 4
MAX_CONTAINER_DEPTH = 16
"""Quotes, lists and details nested deeper than this are text."""


@dataclass(slots=True)
class _OpenDetails:
    level: int
    """The nesting level of its content."""
    end: int | None = None
    """The line after the one with its closing tag, once that is found."""


@dataclass(frozen=True, slots=True)
class _Position:
    line: int
    offset: int
    """In the source; the end of the line if nothing more is on it."""


def add_details(grammar: MarkdownIt) -> None:
    for name, rule in (("details", _details_rule), ("details_end", _end_rule)):
        grammar.block.ruler.before("blockquote", name, rule, {"alt": ["paragraph", "reference", "blockquote", "list"]})


def ends_details(state: StateBlock, line: int) -> bool:
    """Whether the paragraph on this line ends with the tag that closes the block it is in."""
    if not _is_directly_inside(state):
        return False
    text = state.src[state.bMarks[line] : state.eMarks[line]].rstrip()
    return text[-len(CLOSING_TAG) :].lower() == CLOSING_TAG


def close_details(state: StateBlock, line: int, end: int) -> None:
    """End the innermost block after this line; nothing up to `end` belongs to it."""
    _stack(state)[-1].end = line + 1
    state.line = end


def _stack(state: StateBlock) -> list[_OpenDetails]:
    stack: list[_OpenDetails] = state.env.setdefault("open_details", [])
    return stack


def _is_directly_inside(state: StateBlock) -> bool:
    stack = _stack(state)
    return bool(stack) and stack[-1].level == state.level


def _end_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    if not CLOSING_PATTERN.fullmatch(state.src, _text_start(state, start), state.eMarks[start]):
        return False
    if silent:  # also behind an item, which it ends by its indentation
        return bool(_stack(state))
    if not _is_directly_inside(state):
        return False
    close_details(state, start, end)
    return True


def _details_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    tag = OPENING_PATTERN.match(state.src, _text_start(state, start), state.eMarks[start])
    if tag is None or state.level >= MAX_CONTAINER_DEPTH:
        return False
    position = _Position(start, tag.end())
    is_line = position.offset == state.eMarks[start]
    if not is_line and not SUMMARY_PATTERN.match(state.src, position.offset, state.eMarks[start]):
        return False
    if silent:
        return True
    if is_line:
        position = _skip_empty_lines(state, start + 1, end)
    outer_type, state.parentType = state.parentType, "blockquote"
    opener = state.push("blockquote_open", "details", 1)
    opener.markup = OPENING_TAG
    details = _OpenDetails(state.level)
    position = _read_summary(state, position, end)
    _stack(state).append(details)
    _tokenize_from(state, position, end)
    _stack(state).pop()
    state.push("blockquote_close", "details", -1)
    state.parentType = outer_type
    if details.end is not None:
        state.line = details.end
    opener.map = [start, state.line]
    return True


def _text_start(state: StateBlock, line: int) -> int:
    return state.bMarks[line] + state.tShift[line]


def _skip_empty_lines(state: StateBlock, line: int, end: int) -> _Position:
    while line < end and state.isEmpty(line):
        line += 1
    return _Position(line, _text_start(state, line) if line < end else len(state.src))


def _read_summary(state: StateBlock, position: _Position, end: int) -> _Position:
    """Push a paragraph for the summary at `position`, if there is one. Returns where the content begins."""
    first = position.line
    is_inside = first < end and state.sCount[first] >= state.blkIndent
    tag = SUMMARY_PATTERN.match(state.src, position.offset, state.eMarks[first]) if is_inside else None
    if tag is None:
        return position
    lines: list[str] = []
    line, offset = first, tag.end()
    closing_tag = None
    while closing_tag is None:
        closing_tag = SUMMARY_END_PATTERN.search(state.src, offset, state.eMarks[line])
        lines.append(state.src[offset : closing_tag.start() if closing_tag else state.eMarks[line]])
        if closing_tag is None:
            line += 1
            if not _continues_summary(state, first, line, end):
                break
            offset = _text_start(state, line)
    state.push("paragraph_open", "p", 1).map = [first, line + (closing_tag is not None)]
    state.tokens[-1].meta["is_summary"] = True
    content = state.push("inline", "", 0)
    content.map, content.children = [first, line], []
    content.content = "\n".join(lines).strip()
    state.push("paragraph_close", "p", -1).meta["is_summary"] = True
    if closing_tag is not None and closing_tag.end() < state.eMarks[line]:
        return _Position(line, closing_tag.end())
    next_line = line + (closing_tag is not None)
    return _Position(next_line, _text_start(state, next_line) if next_line < end else len(state.src))


def _continues_summary(state: StateBlock, first: int, line: int, end: int) -> bool:
    is_in_text = line < min(end, first + MAX_SUMMARY_LINES) and not state.isEmpty(line)
    is_inside = is_in_text and state.sCount[line] >= state.blkIndent
    return is_inside and not CLOSING_PATTERN.match(state.src, _text_start(state, line), state.eMarks[line])


def _tokenize_from(state: StateBlock, position: _Position, end: int) -> None:
    """Parse the content, which may begin in the middle of a line."""
    line = position.line
    state.line = line
    if line >= end:
        return
    is_mid_line = position.offset > _text_start(state, line)
    marks = state.bMarks[line], state.tShift[line], state.sCount[line]
    if is_mid_line:
        state.bMarks[line], state.tShift[line], state.sCount[line] = position.offset, 0, state.blkIndent
    state.md.block.tokenize(state, line, end)
    if is_mid_line:
        state.bMarks[line], state.tShift[line], state.sCount[line] = marks
