r"""Reads text files: detects the encoding and the kind of file, and splits the text into sections.

A Markdown file has a section for each heading, labelled with the headings above it:

    # Lease                 Section("# Lease", "Lease")
    ## Payment              Section("## Payment\nMonthly.", "Lease › Payment")
    Monthly.

A table is one section with a separate header row. Form feeds separate pages. Any other file is one section,
cited by its lines.
"""

import csv
import itertools
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from pathlib import PurePath

from core.errors import DocumentError, DocumentFailure
from core.memory.file_document import MAX_PAGES, FileDocument, FileKind, LineUnit, Section, remove_unstorable_chars

BYTE_ORDER_MARKS = (
    (BOM_UTF32_LE, "utf-32"),
    (BOM_UTF32_BE, "utf-32"),
    (BOM_UTF8, "utf-8-sig"),
    (BOM_UTF16_LE, "utf-16"),
    (BOM_UTF16_BE, "utf-16"),
)
"""Longer marks first, because UTF-32's begins with UTF-16's."""
SAMPLE_SIZE = 65_536
"""The number of bytes or characters examined to detect the kind of a file."""
MARKDOWN_SUFFIXES = frozenset({".md", ".markdown", ".mdown", ".mkd"})
TABLE_SUFFIXES = frozenset({".csv", ".tsv"})
CODE_SUFFIXES = frozenset(
    """
    .bash .c .cc .clj .cpp .cs .css .dart .el .erl .ex .f90 .go .gradle .h .hpp .hs .java .jl .js .json .jsx
    .kt .lua .m .ml .php .pl .ps1 .py .r .rb .rs .scala .scss .sh .sql .svelte .swift .toml .ts .tsx .vue .xml
    .yaml .yml .zig
    """.split()  # noqa: SIM905 (a literal takes a line for each)
)
CONTROL_CHARS_PATTERN = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
HEADING_PATTERN = re.compile(r"(#{1,6})[ \t]+(\S.*)$")
FENCE_PATTERN = re.compile(r" {0,3}(`{3,}|~{3,})")
MAX_SECTIONS = 5_000
"""A file with more headings is read as plain text."""
MAX_LABEL_CHARS = 80
DELIMITERS = ",;\t|"


def decode(content: bytes) -> str:
    """Decode the text of a file. Raises `DocumentError` for binary content.

    UTF-8, UTF-16 and UTF-32 are recognised with certainty. A legacy encoding is guessed from the distribution
    of the bytes beyond ASCII.
    """
    text = _detect_and_decode(content)
    sample = "" if text is None else text[:SAMPLE_SIZE]
    if text is None or len(CONTROL_CHARS_PATTERN.findall(sample)) > len(sample) // 200:
        raise DocumentError("The file is not text", DocumentFailure.UNKNOWN)
    return remove_unstorable_chars(text.replace("\r\n", "\n").replace("\r", "\n"))


def _detect_and_decode(content: bytes) -> str | None:
    for mark, encoding in BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return _try_decode(content, encoding)
    sample = content[:SAMPLE_SIZE]
    if b"\x00" in sample:
        # In UTF-16, one byte of each ASCII character is zero.
        even_zeros, odd_zeros = sample[::2].count(0), sample[1::2].count(0)
        if min(even_zeros, odd_zeros) * 8 > max(even_zeros, odd_zeros):
            return None
        return _try_decode(content, "utf-16-be" if even_zeros > odd_zeros else "utf-16-le")
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
    # In an alphabetic script, words have an odd number of bytes as often as an even one.
    has_only_pairs = len(non_ascii_runs) > 3 and all(len(run) % 2 == 0 for run in non_ascii_runs[:-1])
    if has_only_pairs and (text := _try_decode(content, "gb18030")) is not None:
        return text
    if non_ascii_count > len(re.findall(rb"[A-Za-z]", sample)):
        return _try_decode(content, "cp1251") or content.decode("koi8-r")
    return _try_decode(content, "cp1252") or content.decode("latin-1")


def detect_kind(name: str, text: str) -> FileKind:
    """Detect the kind of a text file from its name and its content."""
    suffix = PurePath(name).suffix.lower()
    if suffix in MARKDOWN_SUFFIXES:
        return FileKind.MARKDOWN
    if suffix in CODE_SUFFIXES or text.startswith("#!"):
        return FileKind.CODE
    if (suffix in TABLE_SUFFIXES or not suffix) and _detect_delimiter(text):
        return FileKind.CSV
    heading_count = sum(HEADING_PATTERN.match(line) is not None for line in text[:SAMPLE_SIZE].splitlines())
    if HEADING_PATTERN.match(text.lstrip().partition("\n")[0]) and heading_count > 1:
        return FileKind.MARKDOWN
    return FileKind.TEXT


def _detect_delimiter(text: str) -> str:
    """The delimiter that gives every row the same number of columns; "" if there is none."""
    lines = text[:SAMPLE_SIZE].splitlines()[:40]
    for delimiter in DELIMITERS:
        try:
            rows = list(itertools.islice(csv.reader(lines, delimiter=delimiter), 20))
        except csv.Error:
            continue
        if len(rows) > 1 and len(rows[0]) > 1 and {len(row) for row in rows} == {len(rows[0])}:
            return delimiter
    return ""


def read(name: str, content: bytes) -> FileDocument:
    """Raises `DocumentError`."""
    text = decode(content)
    kind = detect_kind(name, text)
    page_count = 0
    sections = [Section(text)]
    match kind:
        case FileKind.MARKDOWN:
            headed_sections = markdown_sections(text)
            if len(headed_sections) <= MAX_SECTIONS:
                sections = headed_sections
        case FileKind.CSV:
            header, _, rows = text.partition("\n")
            sections = [Section(rows, unit=LineUnit.ROW, header=header)]
        case _ if 0 < text.strip("\f").count("\f") < MAX_PAGES:
            sections = [Section(page, f"page {number}") for number, page in enumerate(text.split("\f"), 1)]
            page_count = len(sections)
    return FileDocument(kind, tuple(sections), page_count)


def markdown_sections(text: str) -> list[Section]:
    """The text under each heading, labelled with the headings above it."""
    sections: list[Section] = []
    headings: list[tuple[int, str]] = []
    lines: list[str] = []
    open_fence, first_line = "", 1

    def close_section() -> None:
        if any(line.strip() for line in lines):
            label = " › ".join(title for _, title in headings)[-MAX_LABEL_CHARS:]
            sections.append(Section("\n".join(lines), label, first_line=first_line, has_heading_label=bool(label)))

    for number, line in enumerate(text.split("\n"), 1):
        fence = FENCE_PATTERN.match(line)
        if fence and not open_fence:
            open_fence = fence[1]
        elif fence and fence[1].startswith(open_fence) and not line.strip(" `~"):
            open_fence = ""
        heading = None if open_fence else HEADING_PATTERN.match(line)
        if heading:
            close_section()
            depth = len(heading[1])
            headings = [(level, title) for level, title in headings if level < depth]
            headings.append((depth, _heading_text(heading[2])))
            lines, first_line = [], number
        lines.append(line)
    close_section()
    return sections


def _heading_text(heading: str) -> str:
    """A heading without closing marks: `Two ##` becomes "Two", but `C#` stays."""
    heading = heading.rstrip(" \t")
    text = heading.rstrip("#")
    return text.rstrip(" \t") if text.endswith((" ", "\t")) else heading
