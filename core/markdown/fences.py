"""Reads fenced code as models write it.

A document in a fence may contain fences itself. CommonMark ends the block at the first bare fence, so that the rest of
the document becomes text and the last fence opens another block. Here, a fence with a language opens an inner block:

    ```markdown
    # Title
    ```json             opens an inner block
    {}
    ```                 closes it
    More.
    ```                 closes the document

In a list item, the code may be indented less than the item: a block whose first line is outside of the item ends at its
closing fence. In any block, the closing fence may be outside.

A fence may also follow a text, or be followed by one (`core.markdown.inline_fences`):

    Run this: ```bash         a paragraph, and a block if there is a line of code below
    ls
    ``` Then stop.            the end of the block, and another paragraph
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from markdown_it import MarkdownIt
from markdown_it.common.utils import mdTrim
from markdown_it.rules_block import StateBlock, heading

from core.markdown.details import CLOSING_TAG, close_details, ends_details
from core.markdown.inline_fences import (
    COLONS,
    LANGUAGE_PATTERN,
    TEXT_PATTERN,
    OpenRun,
    closes_span,
    ends_code,
    find_open_run,
    find_trailing_fence,
    is_text_after_fence,
)

FENCE_PATTERN = re.compile(r"(?P<run>(?P<mark>[`~])(?P=mark){2,})(?P<info>.*)")
DOCUMENT_LANGUAGES = ("markdown", "md", "mdx")
MAX_CLOSING_INDENT = 3
"""A fence that is indented by more than this belongs to the code."""
MAX_INNER_BLOCKS = 8
ITEM_PATTERN = re.compile(r"(?:[-*+]|\d{1,9}[.)])[ \t]")
UNKNOWN_LANGUAGE = "text"


@dataclass(frozen=True, slots=True)
class Fence:
    run: str
    """Its marks."""
    info: str
    """The text after them."""

    @property
    def language(self) -> str:
        """The language in the info; "" if there is none."""
        language = self.info.partition(" ")[0]
        return language if LANGUAGE_PATTERN.match(language) else ""

    def may_contain(self, inner: "Fence") -> bool:
        """Whether `inner` opens a block in this one; otherwise it is a line of code."""
        if not inner.language or inner.run[0] != self.run[0] or len(inner.run) < len(self.run):
            return False
        # Code in a language does not quote a block of the same: a closing fence was forgotten.
        return inner.language != self.language or self.is_document

    @property
    def is_document(self) -> bool:
        return self.language.lower() in DOCUMENT_LANGUAGES

    def is_closed_by(self, inner: "Fence") -> bool:
        return not inner.info and inner.run[0] == self.run[0] and len(inner.run) >= len(self.run)


@dataclass(frozen=True, slots=True)
class CodeLines:
    """Lines of a block, from `start` to before `end`, in the same inner blocks."""

    start: int
    end: int
    inner_openers: tuple[str, ...]
    """Fences that open the inner blocks again, each with a language: a bare one would close its outer block."""


@dataclass(frozen=True, slots=True)
class FencedCode:
    """What the token of a block knows besides its text."""

    indent: int
    """How many columns were removed from each line."""
    sections: tuple[CodeLines, ...]


def add_fences(grammar: MarkdownIt) -> None:
    grammar.block.ruler.at("fence", _fence_rule, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    grammar.block.ruler.at("heading", _heading_rule, {"alt": ["paragraph", "reference", "blockquote"]})
    grammar.block.ruler.at("paragraph", _paragraph_rule)


def _read_fence(state: StateBlock, line: int, *, allows_text: bool = False) -> Fence | None:
    """`allows_text`: whether a text with backticks may follow."""
    match = FENCE_PATTERN.match(state.src, _text_start(state, line), state.eMarks[line])
    if match is None:
        return None
    if match["mark"] == "`" and "`" in match["info"] and not (allows_text and TEXT_PATTERN.match(match["info"])):
        return None
    return Fence(match["run"], match["info"].strip())


def _fence_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    opener = _read_fence(state, start)
    if opener is None:
        return False
    if not silent:
        _push_code_and_text(state, start, end, opener)
    return True


def _heading_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    opener = None if silent else _find_opener(state, start, end)
    if opener is None:
        return heading(state, start, end, silent)
    line_end, state.eMarks[start] = state.eMarks[start], opener.start
    is_heading = heading(state, start, end, silent)
    state.eMarks[start] = line_end
    if is_heading:
        _push_code_and_text(state, start, end, opener.fence, is_mid_line=True)
    return is_heading


def _paragraph_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:  # noqa: ARG001
    opener = _push_paragraph(state, start)
    if opener:
        _push_code_and_text(state, state.line - 1, end, opener.fence, is_mid_line=True)
    return True


def _push_code_and_text(state: StateBlock, line: int, end: int, opener: Fence, *, is_mid_line: bool = False) -> None:
    """Push the block that `opener` begins, the text after its closing fence, the block that begins after that, ..."""
    while True:
        text_start = _push_code(state, line, end, opener, is_mid_line=is_mid_line)
        if text_start is None:
            return
        inline_opener = _push_paragraph(state, state.line, text_start)
        if inline_opener is None:
            return
        line, opener, is_mid_line = state.line - 1, inline_opener.fence, True


def _push_code(state: StateBlock, start: int, end: int, opener: Fence, *, is_mid_line: bool) -> int | None:
    """Push a block. Returns where on the line `state.line` the text after its closing fence begins, if there is one."""
    scanner = _Scanner(state, start, end, opener, is_mid_line=is_mid_line)
    last = scanner.find_end()
    token = state.push("fence", "code", 0)
    token.info, token.markup = opener.info, opener.run
    lines = state.getLines(start + 1, last, scanner.indent, False)  # with the last line break it may fail at the end
    if scanner.ends_with_code:
        lines = lines.rstrip().rstrip("`").rstrip()
    token.content = f"{lines}\n" if last > start + 1 else ""
    state.line = last + scanner.is_closed
    token.map = [start, state.line]
    token.meta["code"] = FencedCode(scanner.indent, tuple(scanner.sections(last)))
    # Without code, what follows a space behind a fence is hardly a language.
    is_spaced = not is_mid_line and _line_text(state, start)[len(opener.run) :][:1].isspace()
    token.meta["has_language"] = bool(token.content.strip()) or not is_spaced
    token.meta["is_mid_line"] = is_mid_line
    if scanner.text_start is not None:
        state.line = last
    return scanner.text_start


@dataclass(frozen=True, slots=True)
class _InlineOpener:
    """A fence that opens a block behind a text."""

    fence: Fence
    start: int
    """In the source."""


def _push_paragraph(state: StateBlock, start: int, text_start: int | None = None) -> _InlineOpener | None:
    """Push a paragraph as in CommonMark, except that it ends before a fence however far that is indented.

    It also ends with the tag that closes the `<details>` it is in, and with a fence behind its text, which is returned.
    `text_start`: where it begins in the source, if not with the line.
    """
    outer_type, state.parentType = state.parentType, "paragraph"
    marks = state.bMarks[start], state.tShift[start], state.sCount[start]
    if text_start is not None:
        state.bMarks[start], state.tShift[start], state.sCount[start] = text_start, 0, state.blkIndent
    end, line = state.lineMax, start
    is_last, opener, span = False, None, None
    while line < end and not is_last and not opener and (line == start or _continues(state, line, end, span)):
        is_last = ends_details(state, line)
        opener = _find_opener(state, line, end, span.length if span else 0)
        span = _find_open_span(state, line, span.length if span else 0)
        line += 1
    state.parentType = outer_type
    state.line = line
    opening_token = state.push("paragraph_open", "p", 1)
    opening_token.map = [start, line]
    content = state.push("inline", "", 0)
    content.map, content.children = [start, line], []
    line_end = state.eMarks[line - 1]
    if opener:
        state.eMarks[line - 1] = opener.start
    content.content = mdTrim(state.getLines(start, line, state.blkIndent, False))
    state.eMarks[line - 1] = line_end
    state.push("paragraph_close", "p", -1)
    if text_start is not None:
        opening_token.meta["is_mid_line"] = True
        state.bMarks[start], state.tShift[start], state.sCount[start] = marks
    if is_last:
        content.content = content.content[: -len(CLOSING_TAG)].rstrip()
        close_details(state, line - 1, state.lineMax)
    return opener


def _text_start(state: StateBlock, line: int) -> int:
    return state.bMarks[line] + state.tShift[line]


def _line_text(state: StateBlock, line: int) -> str:
    return state.src[_text_start(state, line) : state.eMarks[line]]


def _find_opener(state: StateBlock, line: int, end: int, open_length: int = 0) -> _InlineOpener | None:
    """The fence that ends the line, if the next line can be code."""
    text = _line_text(state, line)
    run = find_trailing_fence(text, open_length) if "```" in text else None
    if run is None or line + 1 >= end or state.isEmpty(line + 1) or min(state.sCount[line : line + 2]) < 0:
        return None
    if closes_span(_line_text(state, line + 1), run.length) or _read_fence(state, line + 1):
        return None
    fence = Fence("`" * run.length, text[run.start + run.length :].strip())
    if state.sCount[line + 1] < state.blkIndent and ITEM_PATTERN.match(_line_text(state, line + 1)):
        return None
    return _InlineOpener(fence, _text_start(state, line) + run.start)


def _find_open_span(state: StateBlock, line: int, open_length: int) -> OpenRun | None:
    """A run like a fence that the line leaves open, behind a space and with a word directly after it."""
    text = _line_text(state, line)
    run = find_open_run(text, open_length) if open_length or "```" in text else None
    if run is None or run.start < 0:
        return run
    is_apart = text[run.start - 1 : run.start].isspace()
    return run if is_apart and text[run.start + run.length :][:1].isalnum() else None


def _continues(state: StateBlock, line: int, end: int, span: OpenRun | None) -> bool:
    if state.isEmpty(line):
        return False
    if span and _read_fence(state, line) == Fence("`" * span.length, ""):
        # It closes a code span, unless the line above announces a block.
        above = _line_text(state, line - 1).rstrip()
        return not above.endswith(COLONS) and not find_trailing_fence(above)
    return not _ends_paragraph(state, line, end)


def _ends_paragraph(state: StateBlock, line: int, end: int) -> bool:
    indent = state.sCount[line]
    if indent < 0:
        return False
    if indent - state.blkIndent > MAX_CLOSING_INDENT:
        return _read_fence(state, line) is not None
    return any(rule(state, line, end, True) for rule in state.md.block.ruler.getRules("paragraph"))


class _Scanner:
    """Finds the end of the block that begins on the line `start`."""

    def __init__(self, state: StateBlock, start: int, end: int, opener: Fence, *, is_mid_line: bool) -> None:
        self._state = state
        self._is_mid_line = is_mid_line
        self._start = start
        self._end = end
        self._open = [opener]
        self._changes: list[tuple[int, tuple[str, ...]]] = [(start + 1, ())]
        """The inner blocks that are open from each line on."""
        self.is_closed = False
        self.ends_with_code = False
        """Whether the closing fence follows code on its line."""
        self.text_start: int | None = None
        """Where the text after the closing fence begins."""
        first = next((line for line in range(start + 1, end) if not state.isEmpty(line)), None)
        first_indent = state.sCount[start] if first is None else max(0, state.sCount[first])
        self._is_outside_item = first_indent < state.blkIndent
        self.indent = min(max(0, state.sCount[start]), first_indent)

    def find_end(self) -> int:
        """The line after the last line of code."""
        for line in range(self._start + 1, self._end):
            fence = self._read_fence(line)
            if fence is None and self._is_outside(line):
                return line
            if fence is not None:
                self._read_inner_fence(fence, line)
                if not self._open:
                    self.is_closed = True
                    return line
            elif self._read_inline_fence(line) and not self._open:
                self.ends_with_code = True
                return line + 1
        return self._end

    def _is_outside(self, line: int) -> bool:
        """Whether the line ends what contains the block: the item, the quote or, behind a text, the details."""
        if self._is_mid_line and self._line(line).lower() == CLOSING_TAG and ends_details(self._state, line):
            return True
        indent = self._state.sCount[line]
        is_outside = indent < 0 or (indent < self._state.blkIndent and not self._is_outside_item)
        return is_outside and not self._state.isEmpty(line)

    def _read_fence(self, line: int) -> Fence | None:
        indent = self._state.sCount[line]
        is_possible = 0 <= indent <= self._state.sCount[self._start] + MAX_CLOSING_INDENT
        return _read_fence(self._state, line, allows_text=True) if is_possible else None

    def _read_inner_fence(self, fence: Fence, line: int) -> None:
        block = self._open[-1]
        has_text = self._has_text_after(fence, line)
        opens_block = block.may_contain(fence) or (block.is_closed_by(fence) and self._opens_bare_block(line))
        if opens_block and not has_text and len(self._open) <= MAX_INNER_BLOCKS:
            self._open.append(fence)
        elif block.is_closed_by(fence) or has_text:
            self._open.pop()
        else:
            return
        if has_text and not self._open:
            self.text_start = _text_start(self._state, line) + len(fence.run)
        self._record_change(line)

    def _has_text_after(self, fence: Fence, line: int) -> bool:
        """Whether the fence closes the innermost block before a text."""
        block = self._open[-1]
        if not fence.info or not block.is_closed_by(replace(fence, info="")):
            return False
        info = _line_text(self._state, line)[len(fence.run) :]
        return is_text_after_fence(info, is_last=self._is_last(line), is_document=block.is_document)

    def _is_last(self, line: int) -> bool:
        """Whether no code follows directly."""
        return line + 1 >= self._end or self._state.isEmpty(line + 1) or self._is_outside(line + 1)

    def _read_inline_fence(self, line: int) -> bool:
        """Read a fence behind code or, in a document, behind a text. Returns whether it closed a block."""
        block = self._open[-1]
        text = _line_text(self._state, line)
        if "```" not in text:
            return False
        is_end = block.run[0] == "`" and self._is_last(line) and ends_code(text, len(block.run))
        opener = _find_opener(self._state, line, self._end) if block.is_document and not is_end else None
        if is_end:
            self._open.pop()
        elif opener and block.may_contain(opener.fence) and len(self._open) <= MAX_INNER_BLOCKS:
            self._open.append(opener.fence)
        else:
            return False
        self._record_change(line)
        return is_end

    def _record_change(self, line: int) -> None:
        openers = (inner.run + (inner.language or UNKNOWN_LANGUAGE) for inner in self._open[1:])
        self._changes.append((line + 1, tuple(openers)))

    def _opens_bare_block(self, line: int) -> bool:
        """Whether a bare fence in a document is more likely the beginning of a block than the end of the document."""
        if not self._open[-1].is_document or line + 1 >= self._end or self._state.isEmpty(line + 1):
            return False
        return self._state.isEmpty(line - 1) or self._line(line - 1).endswith(COLONS)

    def _line(self, line: int) -> str:
        return self._state.src[self._state.bMarks[line] : self._state.eMarks[line]].rstrip()

    def sections(self, last: int) -> Iterator[CodeLines]:
        ends = [line for line, _ in self._changes[1:]] + [last]
        for (line, inner_openers), end in zip(self._changes, ends, strict=True):
            if line < end:
                yield CodeLines(line, end, inner_openers)
