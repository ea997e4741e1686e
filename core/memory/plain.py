"""Files of characters: which encoding, which kind, which sections."""

import csv
import itertools
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from pathlib import PurePath

from core.errors import DocumentError, Unreadable
from core.memory.document import MOST_PAGES, Document, Kind, Section, clean

__all__ = ["decode", "kind_of", "read"]

BOMS = (  # the longer first: one begins like another
    (BOM_UTF32_LE, "utf-32"),
    (BOM_UTF32_BE, "utf-32"),
    (BOM_UTF8, "utf-8-sig"),
    (BOM_UTF16_LE, "utf-16"),
    (BOM_UTF16_BE, "utf-16"),
)
SAMPLE = 65_536  # bytes or characters looked at to tell what a file is
MARKDOWN = frozenset({".md", ".markdown", ".mdown", ".mkd"})
TABLES = frozenset({".csv", ".tsv"})
CODE = frozenset({
    ".bash", ".c", ".cc", ".clj", ".cpp", ".cs", ".css", ".dart", ".el",
    ".erl", ".ex", ".f90", ".go", ".gradle", ".h", ".hpp", ".hs", ".html",
    ".java", ".jl", ".js", ".json", ".jsx", ".kt", ".lua", ".m", ".ml",
    ".php", ".pl", ".ps1", ".py", ".r", ".rb", ".rs", ".scala", ".scss",
    ".sh", ".sql", ".svelte", ".swift", ".toml", ".ts", ".tsx", ".vue", ".xml",
    ".yaml", ".yml", ".zig",
})  # fmt: skip
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
HEADING = re.compile(r"(#{1,6})[ \t]+(\S.*)$")
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
MOST_SECTIONS = 5_000  # more headings than that are none
LONGEST_HEADING = 80  # characters of a citation


def decode(content: bytes) -> str:
    """The characters of a file. Raises `DocumentError` for one that has none.

    UTF-8, UTF-16 and UTF-32 are certain; where it is none of these, the legacy encoding is told
    by how the letters beyond ASCII are spread.
    """
    text = _decode(content)
    if text is None or len(CONTROLS.findall(text[:SAMPLE])) > len(text[:SAMPLE]) // 200:
        raise DocumentError("It is not a kind of file I can read", Unreadable.UNKNOWN)
    return clean(text.replace("\r\n", "\n").replace("\r", "\n"))


def _decode(content: bytes) -> str | None:
    for mark, encoding in BOMS:
        if content.startswith(mark):
            return _try(content, encoding)
    sample = content[:SAMPLE]
    if b"\x00" in sample:
        even, odd = sample[::2].count(0), sample[1::2].count(0)
        if min(even, odd) * 8 > max(even, odd):
            return None
        return _try(content, "utf-16-be" if even > odd else "utf-16-le")
    return _try(content, "utf-8") or _legacy(content)


def _try(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _legacy(content: bytes) -> str | None:
    sample = content[:SAMPLE]
    beyond = re.findall(rb"[\x80-\xff]+", sample)
    most = sum(map(len, beyond))
    # Characters of two bytes each: words of an alphabet would be odd as often as even.
    pairs = len(beyond) > 3 and all(len(run) % 2 == 0 for run in beyond[:-1])
    if pairs and (text := _try(content, "gb18030")) is not None:
        return text
    if most > len(re.findall(rb"[A-Za-z]", sample)):
        return _try(content, "cp1251") or content.decode("koi8-r")
    return _try(content, "cp1252") or content.decode("latin-1")


def kind_of(name: str, text: str) -> Kind:
    """By what is in it; the name decides where that is open."""
    suffix = PurePath(name).suffix.lower()
    if suffix in MARKDOWN:
        return Kind.MARKDOWN
    if suffix in CODE or text.startswith("#!"):
        return Kind.CODE
    if (suffix in TABLES or not suffix) and _delimiter(text):
        return Kind.CSV
    headings = sum(HEADING.match(line) is not None for line in text[:SAMPLE].splitlines())
    if HEADING.match(text.lstrip().partition("\n")[0]) and headings > 1:
        return Kind.MARKDOWN
    return Kind.TEXT


def _delimiter(text: str) -> str:
    """What separates the columns, if there are as many in every row; else ""."""
    for delimiter in ",;\t|":
        try:
            rows = list(itertools.islice(csv.reader(_lines(text), delimiter=delimiter), 20))
        except csv.Error:
            continue
        if len(rows) > 1 and len(rows[0]) > 1 and {len(row) for row in rows} == {len(rows[0])}:
            return delimiter
    return ""


def _lines(text: str) -> list[str]:
    return text[:SAMPLE].splitlines()[:40]


def read(name: str, content: bytes) -> Document:
    """Raises `DocumentError`."""
    text = decode(content)
    kind = kind_of(name, text)
    match kind:
        case Kind.MARKDOWN:
            chapters = _chapters(text)
            sections = chapters if len(chapters) <= MOST_SECTIONS else [Section(text)]
        case Kind.CSV:
            header, _, rows = text.partition("\n")
            sections = [Section(rows, unit="rows", header=header)]
        case _ if 0 < text.strip("\f").count("\f") < MOST_PAGES:
            pages = enumerate(text.split("\f"), 1)
            sections = [Section(page, f"page {number}") for number, page in pages]
        case _:
            sections = [Section(text)]
    pages_seen = len(sections) if sections and sections[0].label.startswith("page ") else 0
    return Document(kind, tuple(sections), pages_seen)


def _chapters(text: str) -> list[Section]:
    """What stands under each heading, labelled with the headings above it."""
    found: list[Section] = []
    path: list[tuple[int, str]] = []
    lines: list[str] = []
    fence, begun = "", 1

    def close() -> None:
        if any(line.strip() for line in lines):
            label = " › ".join(title for _, title in path)[-LONGEST_HEADING:]
            found.append(Section("\n".join(lines), label, first=begun, headed=bool(label)))

    for number, line in enumerate(text.split("\n"), 1):
        mark = FENCE.match(line)
        if mark and (not fence or (mark[1].startswith(fence) and not line.strip(" `~"))):
            fence = "" if fence else mark[1]
        heading = None if fence else HEADING.match(line)
        if heading:
            close()
            depth = len(heading[1])
            path = [(level, title) for level, title in path if level < depth]
            path.append((depth, _title(heading[2])))
            lines, begun = [], number
        lines.append(line)
    close()
    return found


def _title(heading: str) -> str:
    """Without the marks that may close a heading: `C#` keeps its own."""
    heading = heading.rstrip(" \t")
    bare = heading.rstrip("#")
    return bare.rstrip(" \t") if bare.endswith((" ", "\t")) else heading
