"""Recognises fences that do not stand alone on their line. All functions look at single lines.

    Run this: ```bash         opens a block after a text
    ls -l```                  closes it after code
    ``` Then stop.            closes it before a text

Backticks that a line closes itself are a code span. What code in a block says about fences stays code: a comment
(`/// ```), or a string that begins or ends with one (`x = \"\"\"```).
"""

import re
from dataclasses import dataclass

RUN_PATTERN = re.compile(r"`+")
LANGUAGE_PATTERN = re.compile(r"[\w+#.\-]{1,32}\Z")
TEXT_PATTERN = re.compile(r"[ \t]+[^\s{}=+/;\"'`<>|&\-]|[.,:!?…)]+(?:\s|\Z)|[^\x00-\x7f]")
"""What follows the fence that ends a block, if it is no language."""
SENTENCE_ENDS = (".", ",", ":", "!", "?", "…", "。", "，", "：", "！", "？")
CODE_ENDS = frozenset(")]};>%.!?")
QUOTES = frozenset("\"'")
MIN_RUN = 3


@dataclass(frozen=True, slots=True)
class OpenRun:
    """Backticks that are not closed on their line."""

    start: int
    length: int


def find_open_run(line: str, open_length: int = 0) -> OpenRun | None:
    """The fence that `line` leaves open, if a run of `open_length` is open before it (then `start` is -1)."""
    runs = [OpenRun(match.start(), len(match[0])) for match in RUN_PATTERN.finditer(line)]
    later_indexes: dict[int, list[int]] = {}
    for index in range(len(runs) - 1, -1, -1):
        later_indexes.setdefault(runs[index].length, []).append(index)
    index = 0
    if open_length:
        if open_length not in later_indexes:
            return OpenRun(-1, open_length)
        index = later_indexes[open_length][-1] + 1
    while index < len(runs):
        run, same = runs[index], later_indexes[runs[index].length]
        while same[-1] <= index:
            same.pop()
            if not same:
                break
        if same:
            index = same[-1] + 1
        elif run.length >= MIN_RUN and line[run.start - 1 : run.start] != "\\":
            return run
        else:
            index += 1
    return None


def find_trailing_fence(line: str, open_length: int = 0) -> OpenRun | None:
    """The fence, perhaps with a language, that ends `line` after a text."""
    run = find_open_run(line, open_length)
    if run is None or not line[: max(0, run.start)].strip():
        return None
    info = line[run.start + run.length :].rstrip()
    return run if not info or LANGUAGE_PATTERN.match(info) else None


def ends_code(line: str, run_length: int, *, is_document: bool) -> bool:
    """Whether `line` ends with code, and then the fence that closes the block. In a document, no space is between."""
    line = line.rstrip()
    run = find_open_run(line)
    if run is None or run.length != run_length or run.start + run.length != len(line):
        return False
    code = line[: run.start]
    last = code.rstrip()[-1:]
    if not code.strip() or (is_document and last != code[-1]):
        return False
    return code.count(last) % 2 == 0 if last in QUOTES else last.isalnum() or last in CODE_ENDS


def is_text_after_fence(info: str, *, is_last: bool, is_document: bool) -> bool:
    """Whether `info`, what follows a fence in a block, is a text after the block. `is_last`: no code can follow."""
    words = info.split()
    if TEXT_PATTERN.match(info):
        return is_last or len(words) > 1 or not info[:1].isspace() or words[0].endswith(SENTENCE_ENDS)
    return not is_document and len(words) > 2 and info[0].isalpha() and "=" not in info and "{" not in info
