"""Closes the marks that an answer leaves open where it was cut.

Das ist **ein sehr              Das ist **ein sehr**
Use `print(                     Use `print(`
See [the page](https://x        See the page
10**6 is f(*args, and           stays as it is
"""

import re

from core.markdown.document import Document
from core.markdown.emphasis import Neighbour
from core.markdown.outline import OpenBlockKind, build_outline
from core.markdown.parser import normalise_text, parse_blocks
from core.markdown.plain_text import to_plain_text

MAX_CHARS = 100_000
"""Longer texts stay as they are: finding their blocks would delay other answers."""
MAX_LAST_CHARS = 2_000
"""How much of the last paragraph is examined: it is parsed once for each mark that may be missing."""
MARKS = ("`", "***", "**", "__", "~~", "||", "==", "*", "_")
MAX_OPEN_MARKS = 4
UNFINISHED_LINK_PATTERN = re.compile(r"!?\[([^\[\]\n]{0,300})\]\([^()\s]{0,2000}\Z")
LONE_MARK_PATTERN = re.compile(r"(?<=\s)[*_~|=`]{1,3}\Z")
BRACKETS = {"(": ")", "[": "]", "{": "}"}


def close_open_marks(text: str) -> str:
    """`text` with what its last paragraph leaves open closed, or removed if it marks nothing."""
    if len(text) > MAX_CHARS:
        return text
    text = normalise_text(text).rstrip()
    start = _find_last_paragraph(text)
    if start is None:
        return text
    last = UNFINISHED_LINK_PATTERN.sub(r"\1", text[start:])
    last = LONE_MARK_PATTERN.sub("", last).rstrip()
    for _ in range(MAX_OPEN_MARKS):
        shown = _shown(last)
        openers = ((mark, _without_opener(shown, mark)) for mark in MARKS)
        closed = (last + mark for mark, rest in openers if rest is not None and _shown(last + mark) == rest)
        if (next_last := next(closed, None)) is None:
            break
        last = next_last
    return text[:start] + last


def _find_last_paragraph(text: str) -> int | None:
    """Where the last paragraph begins, or its last lines or words if it is long. None if the text ends in no prose."""
    leaves = build_outline(text).leaves
    if not leaves or leaves[-1].open_blocks[-1].kind in (OpenBlockKind.CODE, OpenBlockKind.FORMULA):
        return None
    start = sum(len(line) + 1 for line in text.split("\n")[: leaves[-1].start])
    earliest = len(text) - MAX_LAST_CHARS
    if start >= earliest:
        return start
    separator = next((char for char in "\n " if text.find(char, earliest) >= 0), None)
    return None if separator is None else text.index(separator, earliest) + 1


def _shown(text: str) -> str:
    return to_plain_text(Document(tuple(placed.block for placed in parse_blocks(text))))


def _without_opener(shown: str, mark: str) -> str | None:
    """`shown` without the last `mark` in it; None if that is missing, or arithmetic or code."""
    before, found, after = shown.rpartition(mark)
    return before + after if found and _may_open(before, after) else None


def _may_open(before: str, after: str) -> bool:
    """Whether a mark between `before` and `after` begins something: before a word, and not in one or in code."""
    outer = before.rstrip("*_~|=`\"'")
    neighbour = Neighbour(outer[-1:] or " ")
    if after[:1].isspace() or not (neighbour.is_space or neighbour.is_opening or neighbour.is_unspaced):
        return False
    return not _is_argument(before, after)


def _is_argument(before: str, after: str) -> bool:
    """Whether a mark between `before` and `after` is in brackets that follow a name, or that end after the mark."""
    depth = 0
    for index in range(len(before) - 1, -1, -1):
        if before[index] in BRACKETS.values():
            depth += 1
        elif before[index] in BRACKETS and depth:
            depth -= 1
        elif before[index] in BRACKETS:
            return Neighbour(before[index - 1 : index] or " ").is_spaced_word or BRACKETS[before[index]] in after
    return False
