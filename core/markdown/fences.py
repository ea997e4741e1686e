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
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.common.utils import mdTrim
from markdown_it.rules_block import StateBlock

from core.markdown.details import CLOSING_TAG, close_details, ends_details

FENCE_PATTERN = re.compile(r"(?P<run>(?P<mark>[`~])(?P=mark){2,})(?P<info>.*)")
LANGUAGE_PATTERN = re.compile(r"[\w+#.\-]{1,32}\Z")
DOCUMENT_LANGUAGES = ("markdown", "md", "mdx")
MAX_CLOSING_INDENT = 3
"""A fence that is indented by more than this belongs to the code."""
MAX_INNER_BLOCKS = 8
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
    grammar.block.ruler.at("paragraph", _paragraph_rule)


def _read_fence(state: StateBlock, line: int) -> Fence | None:
    match = FENCE_PATTERN.match(state.src, state.bMarks[line] + state.tShift[line], state.eMarks[line])
    if match is None or (match["mark"] == "`" and "`" in match["info"]):
        return None
    return Fence(match["run"], match["info"].strip())


def _fence_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    opener = _read_fence(state, start)
    if opener is None:
        return False
    if silent:
        return True
    scanner = _Scanner(state, start, end, opener)
    last = scanner.find_end()
    token = state.push("fence", "code", 0)
    token.info, token.markup = opener.info, opener.run
    lines = state.getLines(start + 1, last, scanner.indent, False)  # with the last line break it may fail at the end
    token.content = f"{lines}\n" if last > start + 1 else ""
    state.line = last + scanner.is_closed
    token.map = [start, state.line]
    token.meta["code"] = FencedCode(scanner.indent, tuple(scanner.sections(last)))
    return True


def _paragraph_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:  # noqa: ARG001
    """A paragraph as in CommonMark, except that it ends before a fence however far that is indented.

    It also ends with the tag that closes the `<details>` it is in.
    """
    outer_type, state.parentType = state.parentType, "paragraph"
    end, line = state.lineMax, start + 1
    is_last = ends_details(state, start)
    while line < end and not is_last and not state.isEmpty(line) and not _ends_paragraph(state, line, end):
        is_last = ends_details(state, line)
        line += 1
    state.parentType = outer_type
    state.line = line
    state.push("paragraph_open", "p", 1).map = [start, line]
    content = state.push("inline", "", 0)
    content.map, content.children = [start, line], []
    content.content = mdTrim(state.getLines(start, line, state.blkIndent, False))
    state.push("paragraph_close", "p", -1)
    if is_last:
        content.content = content.content[: -len(CLOSING_TAG)].rstrip()
        close_details(state, line - 1, end)
    return True


def _ends_paragraph(state: StateBlock, line: int, end: int) -> bool:
    indent = state.sCount[line]
    if indent < 0:
        return False
    if indent - state.blkIndent > MAX_CLOSING_INDENT:
        return _read_fence(state, line) is not None
    return any(rule(state, line, end, True) for rule in state.md.block.ruler.getRules("paragraph"))


class _Scanner:
    """Finds the end of the block that begins on the line `start`."""

    def __init__(self, state: StateBlock, start: int, end: int, opener: Fence) -> None:
        self._state = state
        self._start = start
        self._end = end
        self._open = [opener]
        self._changes: list[tuple[int, tuple[str, ...]]] = [(start + 1, ())]
        """The inner blocks that are open from each line on."""
        self.is_closed = False
        first = next((line for line in range(start + 1, end) if not state.isEmpty(line)), None)
        first_indent = state.sCount[start] if first is None else max(0, state.sCount[first])
        self._is_outside_item = first_indent < state.blkIndent
        self.indent = min(state.sCount[start], first_indent)

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
        return self._end

    def _is_outside(self, line: int) -> bool:
        """Whether the line ends the item, or the quote, that contains the block."""
        indent = self._state.sCount[line]
        is_outside = indent < 0 or (indent < self._state.blkIndent and not self._is_outside_item)
        return is_outside and not self._state.isEmpty(line)

    def _read_fence(self, line: int) -> Fence | None:
        indent = self._state.sCount[line]
        is_possible = 0 <= indent <= self._state.sCount[self._start] + MAX_CLOSING_INDENT
        return _read_fence(self._state, line) if is_possible else None

    def _read_inner_fence(self, fence: Fence, line: int) -> None:
        block = self._open[-1]
        opens_block = block.may_contain(fence) or (block.is_closed_by(fence) and self._opens_bare_block(line))
        if opens_block and len(self._open) <= MAX_INNER_BLOCKS:
            self._open.append(fence)
        elif block.is_closed_by(fence):
            self._open.pop()
        else:
            return
        openers = (inner.run + (inner.language or UNKNOWN_LANGUAGE) for inner in self._open[1:])
        self._changes.append((line + 1, tuple(openers)))

    def _opens_bare_block(self, line: int) -> bool:
        """Whether a bare fence in a document is more likely the beginning of a block than the end of the document."""
        if not self._open[-1].is_document or line + 1 >= self._end or self._state.isEmpty(line + 1):
            return False
        return self._state.isEmpty(line - 1) or self._line(line - 1).endswith((":", "："))

    def _line(self, line: int) -> str:
        return self._state.src[self._state.bMarks[line] : self._state.eMarks[line]].rstrip()

    def sections(self, last: int) -> Iterator[CodeLines]:
        ends = [line for line, _ in self._changes[1:]] + [last]
        for (line, inner_openers), end in zip(self._changes, ends, strict=True):
            if line < end:
                yield CodeLines(line, end, inner_openers)
