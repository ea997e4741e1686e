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
TRAILING_LANGUAGE_PATTERN = re.compile(r"(?=.{0,31}[^\W\d_])[\w+#.\-]{0,31}[\w+#]\Z")
TEXT_PATTERN = re.compile(r"[ \t]+[^\s{}=+/;\"'`<>|&\-]|[.,:!?…)]+(?:\s|\Z)|[^\x00-\x7f]")
"""What follows the fence that ends a block, if it is no language."""
SENTENCE_ENDS = (".", ",", ":", "!", "?", "…", "。", "，", "：", "！", "？")
COLONS = (":", "：")
COMMENT_PATTERN = re.compile(r"\s*(?://|/\*|<!--|;|(?:#+!?|%+|--|\*+|>+|'|REM|rem)(?:\s|\Z))")
"""What begins a comment, or a quoted line."""
CODE_ENDS = frozenset(")]};>%.!?")
BRACKETS = frozenset(")]}")
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
    """The fence that ends `line` after a text: behind a colon, or with a language behind a space."""
    run = find_open_run(line, open_length)
    if run is None:
        return None
    before, info = line[: max(0, run.start)], line[run.start + run.length :].rstrip()
    if not before.strip():
        return None
    if not info:
        return run if before.rstrip().endswith(COLONS) else None
    is_apart = before[-1].isspace() or before.endswith(COLONS)
    return run if is_apart and TRAILING_LANGUAGE_PATTERN.match(info) else None


def closes_span(line: str, run_length: int) -> bool:
    """Whether `line` closes the run in its middle, so that it is no fence."""
    for match in RUN_PATTERN.finditer(line):
        if len(match[0]) == run_length:
            return bool(line[: match.start()].strip() and line[match.end() :].strip())
    return False


def ends_code(line: str, run_length: int) -> bool:
    """Whether `line` ends with code, directly followed by the fence that closes the block."""
    line = line.rstrip()
    run = find_open_run(line)
    if run is None or run.length != run_length or run.start + run.length != len(line):
        return False
    code = line[: run.start]
    last = code[-1:]
    if COMMENT_PATTERN.match(code) or not (any(map(str.isalnum, code)) or code.lstrip()[:1] in BRACKETS):
        return False
    return code.count(last) % 2 == 0 if last in QUOTES else last.isalnum() or last in CODE_ENDS


def is_text_after_fence(info: str, *, is_last: bool, is_document: bool) -> bool:
    """Whether `info`, what follows a fence in a block, is a text after the block. `is_last`: no code can follow."""
    words = info.split()
    if TEXT_PATTERN.match(info):
        return is_last or len(words) > 1 or not info[:1].isspace() or words[0].endswith(SENTENCE_ENDS)
    return not is_document and len(words) > 2 and info[0].isalpha() and "=" not in info and "{" not in info
