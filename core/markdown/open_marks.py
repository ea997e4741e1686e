"""Closes the marks that an answer leaves open where it was cut.

Das ist **ein sehr              Das ist **ein sehr**
Use `print(                     Use `print(`
See [the page](https://x        See the page
"""

import re

from core.markdown.document import CodeBlock, Document, MathBlock
from core.markdown.parser import normalise_text, parse_blocks
from core.markdown.plain_text import to_plain_text

MAX_CHARS = 20_000
"""Longer texts stay as they are: parsing them would delay other answers."""
MAX_LAST_CHARS = 2_000
"""The same for the last block, which is parsed once for each mark that may be missing."""
MARKS = ("`", "***", "**", "__", "~~", "||", "==", "*", "_")
MAX_OPEN_MARKS = 4
UNFINISHED_LINK_PATTERN = re.compile(r"!?\[([^\[\]\n]{0,300})\]\([^()\s]{0,2000}\Z")
LONE_MARK_PATTERN = re.compile(r"(?<=\s)[*_~|=`]{1,3}\Z")


def close_open_marks(text: str) -> str:
    """`text` with what its last paragraph leaves open closed, or removed if it marks nothing."""
    if len(text) > MAX_CHARS:
        return text
    text = normalise_text(text).rstrip()
    blocks = parse_blocks(text)
    if not blocks or isinstance(blocks[-1].block, CodeBlock | MathBlock):
        return text
    lines = text.split("\n")
    first_line = blocks[-1].line
    last = UNFINISHED_LINK_PATTERN.sub(r"\1", "\n".join(lines[first_line:]))
    last = LONE_MARK_PATTERN.sub("", last).rstrip()
    if len(last) > MAX_LAST_CHARS:
        return text
    for _ in range(MAX_OPEN_MARKS):
        shown = _shown(last)
        closed = (last + mark for mark in MARKS if _shown(last + mark) == _without_last(shown, mark))
        if (next_last := next(closed, None)) is None:
            break
        last = next_last
    return "\n".join([*lines[:first_line], last])


def _shown(text: str) -> str:
    return to_plain_text(Document(tuple(placed.block for placed in parse_blocks(text))))


def _without_last(text: str, mark: str) -> str | None:
    before, found, after = text.rpartition(mark)
    return before + after if found else None
