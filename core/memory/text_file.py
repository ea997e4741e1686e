"""Files of characters: which encoding, which kind, which sections."""

import csv
import itertools
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from pathlib import PurePath

from core.errors import DocumentError, DocumentFailure
from core.memory.file_document import (
    MAX_PAGES,
    FileDocument,
    FileKind,
    Section,
    remove_unstorable_chars,
)

__all__ = ["decode", "detect_kind", "read"]

BOMS = (  # the longer first: one begins like another
    (BOM_UTF32_LE, "utf-32"),
    (BOM_UTF32_BE, "utf-32"),
    (BOM_UTF8, "utf-8-sig"),
    (BOM_UTF16_LE, "utf-16"),
    (BOM_UTF16_BE, "utf-16"),
)
SAMPLE_SIZE = 65_536  # bytes or characters looked at to tell what a file is
MARKDOWN_SUFFIXES = frozenset({".md", ".markdown", ".mdown", ".mkd"})
TABLE_SUFFIXES = frozenset({".csv", ".tsv"})
CODE_SUFFIXES = frozenset(
    {
        ".bash",
        ".c",
        ".cc",
        ".clj",
        ".cpp",
        ".cs",
        ".css",
        ".dart",
        ".el",
        ".erl",
        ".ex",
        ".f90",
        ".go",
        ".gradle",
        ".h",
        ".hpp",
        ".hs",
        ".html",
        ".java",
        ".jl",
        ".js",
        ".json",
        ".jsx",
        ".kt",
        ".lua",
        ".m",
        ".ml",
        ".php",
        ".pl",
        ".ps1",
        ".py",
        ".r",
        ".rb",
        ".rs",
        ".scala",
        ".scss",
        ".sh",
        ".sql",
        ".svelte",
        ".swift",
        ".toml",
        ".ts",
        ".tsx",
        ".vue",
        ".xml",
        ".yaml",
        ".yml",
        ".zig",
    }
)
CONTROL_CHARS_PATTERN = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
HEADING_PATTERN = re.compile(r"(#{1,6})[ \t]+(\S.*)$")
FENCE_PATTERN = re.compile(r" {0,3}(`{3,}|~{3,})")
MAX_SECTIONS = 5_000  # more headings than that are none
MAX_LABEL_CHARS = 80  # characters of a citation


def decode(content: bytes) -> str:
    """The characters of a file. Raises `DocumentError` for one that has none.

    UTF-8, UTF-16 and UTF-32 are certain; where it is none of these, the legacy encoding is told
    by how the letters beyond ASCII are spread.
    """
    text = _detect_and_decode(content)
    if text is None or len(CONTROL_CHARS_PATTERN.findall(text[:SAMPLE_SIZE])) > len(text[:SAMPLE_SIZE]) // 200:
        raise DocumentError("It is not a kind of file I can read", DocumentFailure.UNKNOWN)
    return remove_unstorable_chars(text.replace("\r\n", "\n").replace("\r", "\n"))


def _detect_and_decode(content: bytes) -> str | None:
    for mark, encoding in BOMS:
        if content.startswith(mark):
            return _try_decode(content, encoding)
    sample = content[:SAMPLE_SIZE]
    if b"\x00" in sample:
        even, odd = sample[::2].count(0), sample[1::2].count(0)
        if min(even, odd) * 8 > max(even, odd):
            return None
        return _try_decode(content, "utf-16-be" if even > odd else "utf-16-le")
    return _try_decode(content, "utf-8") or _decode_legacy(content)


def _try_decode(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _decode_legacy(content: bytes) -> str | None:
    sample = content[:SAMPLE_SIZE]
    non_ascii_runs = re.findall(rb"[\x80-\xff]+", sample)
    non_ascii_count = sum(map(len, non_ascii_runs))
    # Characters of two bytes each: words of an alphabet would be odd as often as even.
    pairs = len(non_ascii_runs) > 3 and all(len(run) % 2 == 0 for run in non_ascii_runs[:-1])
    if pairs and (text := _try_decode(content, "gb18030")) is not None:
        return text
    if non_ascii_count > len(re.findall(rb"[A-Za-z]", sample)):
        return _try_decode(content, "cp1251") or content.decode("koi8-r")
    return _try_decode(content, "cp1252") or content.decode("latin-1")


def detect_kind(name: str, text: str) -> FileKind:
    """By what is in it; the name decides where that is open."""
    suffix = PurePath(name).suffix.lower()
    if suffix in MARKDOWN_SUFFIXES:
        return FileKind.MARKDOWN
    if suffix in CODE_SUFFIXES or text.startswith("#!"):
        return FileKind.CODE
    if (suffix in TABLE_SUFFIXES or not suffix) and _detect_delimiter(text):
        return FileKind.CSV
    headings = sum(HEADING_PATTERN.match(line) is not None for line in text[:SAMPLE_SIZE].splitlines())
    if HEADING_PATTERN.match(text.lstrip().partition("\n")[0]) and headings > 1:
        return FileKind.MARKDOWN
    return FileKind.TEXT


def _detect_delimiter(text: str) -> str:
    """What separates the columns, if there are as many in every row; else ""."""
    for delimiter in ",;\t|":
        try:
            rows = list(itertools.islice(csv.reader(_sample_lines(text), delimiter=delimiter), 20))
        except csv.Error:
            continue
        if len(rows) > 1 and len(rows[0]) > 1 and {len(row) for row in rows} == {len(rows[0])}:
            return delimiter
    return ""


def _sample_lines(text: str) -> list[str]:
    return text[:SAMPLE_SIZE].splitlines()[:40]


def read(name: str, content: bytes) -> FileDocument:
    """Raises `DocumentError`."""
    text = decode(content)
    kind = detect_kind(name, text)
    match kind:
        case FileKind.MARKDOWN:
            chapters = _markdown_sections(text)
            sections = chapters if len(chapters) <= MAX_SECTIONS else [Section(text)]
        case FileKind.CSV:
            header, _, rows = text.partition("\n")
            sections = [Section(rows, unit="rows", header=header)]
        case _ if 0 < text.strip("\f").count("\f") < MAX_PAGES:
            pages = enumerate(text.split("\f"), 1)
            sections = [Section(page, f"page {number}") for number, page in pages]
        case _:
            sections = [Section(text)]
    page_count = len(sections) if sections and sections[0].label.startswith("page ") else 0
    return FileDocument(kind, tuple(sections), page_count)


def _markdown_sections(text: str) -> list[Section]:
    """What stands under each heading, labelled with the headings above it."""
    sections: list[Section] = []
    path: list[tuple[int, str]] = []
    lines: list[str] = []
    fence, first_line = "", 1

    def close() -> None:
        if any(line.strip() for line in lines):
            label = " › ".join(title for _, title in path)[-MAX_LABEL_CHARS:]
            sections.append(Section("\n".join(lines), label, first_line=first_line, has_heading_label=bool(label)))

    for number, line in enumerate(text.split("\n"), 1):
        mark = FENCE_PATTERN.match(line)
        if mark and (not fence or (mark[1].startswith(fence) and not line.strip(" `~"))):
            fence = "" if fence else mark[1]
        heading = None if fence else HEADING_PATTERN.match(line)
        if heading:
            close()
            depth = len(heading[1])
            path = [(level, title) for level, title in path if level < depth]
            path.append((depth, _heading_text(heading[2])))
            lines, first_line = [], number
        lines.append(line)
    close()
    return sections


def _heading_text(heading: str) -> str:
    """Without the marks that may close a heading: `C#` keeps its own."""
    heading = heading.rstrip(" \t")
    bare = heading.rstrip("#")
    return bare.rstrip(" \t") if bare.endswith((" ", "\t")) else heading
