"""Finds the parts of an answer that people want as files: long code, CSV and tables. Pure functions."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from itertools import pairwise

from core.markdown.document import Block, CodeBlock, ListBlock, Quote, Table
from core.markdown.parser import normalise_text, parse_blocks
from core.markdown.plain_text import inlines_to_plain_text
from core.port import File

MIN_CODE_LINES = 61
MIN_TABLE_ROWS = 6
"""With the header. People copy shorter ones."""
MAX_ARTEFACTS = 10
CSV_LANGUAGES = ("csv", "tsv")
SUFFIXES = {
    "bash": "sh",
    "c++": "cpp",
    "c#": "cs",
    "csharp": "cs",
    "golang": "go",
    "javascript": "js",
    "kotlin": "kt",
    "markdown": "md",
    "plaintext": "txt",
    "powershell": "ps1",
    "python": "py",
    "ruby": "rb",
    "rust": "rs",
    "shell": "sh",
    "text": "txt",
    "typescript": "ts",
    "yaml": "yml",
}
"""By language, where the suffix is another word."""
LANGUAGE_PATTERN = re.compile(r"[a-z][a-z0-9]{0,9}")
FENCES = ("```", "~~~")
FENCE_PATTERN = re.compile("[`~]{3}")
EMPTY_LINE_CHARS = "> \t"
"""Also in quotes."""
DELIMITER_ROW_CHARS = EMPTY_LINE_CHARS + "|:-*+.)0123456789"
"""With the marks of lists and quotes before it."""
FORMULA_STARTS = ("=", "@", "\t")
"""Cells that begin so are formulas to a spreadsheet."""
BYTE_ORDER_MARK = "\ufeff"
"""By which spreadsheets recognise UTF-8."""


def find_artefacts(text: str) -> tuple[File, ...]:
    """The artefacts of an answer as files, in their order."""
    if not may_have_artefacts(text):
        return ()
    blocks = (placed.block for placed in parse_blocks(normalise_text(text)))
    contents = [*_contents(blocks)][:MAX_ARTEFACTS]
    is_single = len(contents) == 1
    return tuple(
        File(f"{name}.{suffix}" if is_single else f"{name}-{number}.{suffix}", content.encode())
        for number, (name, suffix, content) in enumerate(contents, 1)
    )


def may_have_artefacts(text: str) -> bool:
    """Whether it is worth parsing the text."""
    if any(fence in text for fence in FENCES):
        fences = [match.start() for match in FENCE_PATTERN.finditer(text)]
        if any(text.count("\n", start, end) >= MIN_CODE_LINES for start, end in pairwise((*fences, len(text)))):
            return True
        if any(language in text.lower() for language in CSV_LANGUAGES):
            return True
    return text.count("|") >= MIN_TABLE_ROWS and _may_have_long_table(normalise_text(text).split("\n"))


def _may_have_long_table(lines: Sequence[str]) -> bool:
    """Whether a row that may separate a header from other rows is followed by enough lines that are not empty."""
    for number, line in enumerate(lines):
        if "-" in line and not line.strip(DELIMITER_ROW_CHARS) and "|" in lines[number - 1]:
            rows = lines[number + 1 : number + MIN_TABLE_ROWS]
            if len(rows) == MIN_TABLE_ROWS - 1 and all(row.strip(EMPTY_LINE_CHARS) for row in rows):
                return True
    return False


def _contents(blocks: Iterable[Block]) -> Iterator[tuple[str, str, str]]:
    """The name, the suffix and the content of each artefact."""
    for block in blocks:
        match block:
            case CodeBlock(code, language):
                language = language.lower()
                code = code.rstrip("\n") + "\n"
                if language in CSV_LANGUAGES and code.strip():
                    yield "table", language, code
                elif code.count("\n") >= MIN_CODE_LINES:
                    yield "code", _suffix(language), code
            case Table(rows) if len(rows) >= MIN_TABLE_ROWS:
                yield "table", "csv", BYTE_ORDER_MARK + _to_csv(block)
            case Quote(children):
                yield from _contents(children)
            case ListBlock(items):
                for item in items:
                    yield from _contents(item.children)


def _suffix(language: str) -> str:
    suffix = SUFFIXES.get(language, language)
    return suffix if LANGUAGE_PATTERN.fullmatch(suffix) else "txt"


def _to_csv(table: Table) -> str:
    output = StringIO()
    writer = csv.writer(output, lineterminator="\n")
    for row in table.rows:
        writer.writerow([_as_value(inlines_to_plain_text(cell)) for cell in row])
    return output.getvalue()


def _as_value(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
