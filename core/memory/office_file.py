"""Reads Word, Excel and PowerPoint files and EPUB books, which are archives of XML and HTML files.

What is in the archive decides the kind, not the file's name. The size of what is unpacked is checked before any of it
is read, so that a small archive cannot fill the memory.
"""

import csv
import posixpath
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from zipfile import BadZipFile, ZipFile

from core.errors import DocumentError, DocumentFailure
from core.memory import html_file
from core.memory.file_document import (
    MAX_PAGES,
    MAX_TEXT_CHARS,
    FileDocument,
    FileKind,
    LineUnit,
    Section,
    remove_unstorable_chars,
)
from core.memory.text_file import markdown_sections

if TYPE_CHECKING:
    from docx.table import Table

ZIP_SIGNATURE = b"PK\x03\x04"
OLE_SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""The first bytes of Office files from before 2007, and of encrypted ones."""
ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
MAX_ENTRIES = 10_000
MAX_UNPACKED_BYTES = 150_000_000
MAX_XML_BYTES = 30_000_000
"""The largest text file in the archive. In memory, it takes about ten times as much."""
TEXT_SUFFIXES = (".xml", ".rels", ".html", ".xhtml", ".htm", ".opf")
ENTRY_BY_KIND = {
    FileKind.WORD: "word/document.xml",
    FileKind.EXCEL: "xl/workbook.xml",
    FileKind.POWERPOINT: "ppt/presentation.xml",
    FileKind.EPUB: "META-INF/container.xml",
}
SUFFIXES = (".docx", ".xlsx", ".pptx", ".epub")
EPUB_RIGHTS = ("META-INF/rights.xml", "META-INF/sinf.xml")
Progress = Callable[[int, int], None]


def is_office_file(content: bytes) -> bool:
    return content.startswith((ZIP_SIGNATURE, OLE_SIGNATURE))


def read(name: str, content: bytes, on_progress: Progress) -> FileDocument:
    """`on_progress` gets the slides or chapters read and their number. Raises `DocumentError`."""
    if content.startswith(OLE_SIGNATURE):
        if ENCRYPTED_PACKAGE in content:
            raise DocumentError("The file is encrypted", DocumentFailure.ENCRYPTED)
        raise DocumentError("The format is from before 2007", DocumentFailure.UNKNOWN)
    kind = _detect_kind(name, content)
    try:
        document = READERS[kind](content, on_progress)
    except (DocumentError, MemoryError):
        raise
    except Exception as error:  # the libraries raise any exception for a broken file
        raise DocumentError("The file is broken", DocumentFailure.BROKEN) from error
    if not any(section.text.strip() for section in document.sections):
        raise DocumentError("The file has no text", DocumentFailure.NO_TEXT)
    return document


def _detect_kind(name: str, content: bytes) -> FileKind:
    """Also checks what the archive would take in memory. Raises `DocumentError`."""
    failure = DocumentFailure.BROKEN if name.lower().endswith(SUFFIXES) else DocumentFailure.UNKNOWN
    try:
        with ZipFile(BytesIO(content)) as archive:
            entries = archive.infolist()
    except (BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise DocumentError("The archive is broken", failure) from error
    names = {entry.filename for entry in entries}
    kind = next((kind for kind, entry in ENTRY_BY_KIND.items() if entry in names), None)
    if kind is None:
        raise DocumentError("The archive is no document", failure)
    if any(entry.flag_bits & 1 for entry in entries) or names.intersection(EPUB_RIGHTS):
        raise DocumentError("The file is encrypted", DocumentFailure.ENCRYPTED)
    largest_text = max((entry.file_size for entry in entries if entry.filename.endswith(TEXT_SUFFIXES)), default=0)
    unpacked = sum(entry.file_size for entry in entries)
    if len(entries) > MAX_ENTRIES or unpacked > MAX_UNPACKED_BYTES or largest_text > MAX_XML_BYTES:
        raise DocumentError(f"The archive unpacks to {unpacked:,} bytes", DocumentFailure.TOO_LARGE)
    return kind


def _join(lines: Sequence[str]) -> str:
    """Raises `DocumentError` if the text is too long."""
    if sum(map(len, lines)) > MAX_TEXT_CHARS:
        raise DocumentError("The file has too much text", DocumentFailure.TOO_LARGE)
    return remove_unstorable_chars("\n".join(lines))


def _read_word(content: bytes, _on_progress: Progress) -> FileDocument:
    from docx import Document
    from docx.text.paragraph import Paragraph

    lines: list[str] = []
    for block in Document(BytesIO(content)).iter_inner_content():
        if isinstance(block, Paragraph):
            style = (block.style.name if block.style is not None else "") or ""
            level = style.removeprefix("Heading ")
            is_heading = style.startswith("Heading ") and level in set("123456")
            lines += [f"{'#' * int(level)} {block.text}" if is_heading else block.text, ""]
        else:
            lines += [*_word_rows(block), ""]
    return FileDocument(FileKind.WORD, tuple(markdown_sections(_join(lines))))


def _word_rows(table: "Table") -> Iterator[str]:
    from docx.table import _Cell

    # `row.cells` takes quadratic time, and repeats merged cells.
    for row in table.rows:
        cells = [_Cell(element, table).text for element in row._tr.tc_lst]  # noqa: SLF001
        yield _row(cells)


def _row(cells: Sequence[str]) -> str:
    return " | ".join(" ".join(cell.split()) for cell in cells)


def _read_excel(content: bytes, _on_progress: Progress) -> FileDocument:
    from openpyxl import load_workbook

    workbook = load_workbook(BytesIO(content), read_only=True, data_only=True, keep_links=False)
    sections = []
    size = 0
    for sheet in workbook.worksheets:
        sheet.reset_dimensions()  # the file may claim any
        lines: list[str] = []
        for values in sheet.iter_rows(values_only=True):
            line = _csv_line(values)
            size += len(line)
            if size > MAX_TEXT_CHARS:
                raise DocumentError("The file has too much text", DocumentFailure.TOO_LARGE)
            if line:
                lines.append(line)
        if lines:
            header, *rows = lines
            text = _join(rows or [""])
            label = f"sheet {remove_unstorable_chars(sheet.title)}"
            if not rows:
                header, text = "", _join([header])
            sections.append(Section(text, label, unit=LineUnit.ROW, header=remove_unstorable_chars(header)))
    return FileDocument(FileKind.EXCEL, tuple(sections))


def _csv_line(values: Sequence[Any]) -> str:
    cells = ["" if value is None else " ".join(str(value).split()) for value in values]
    while cells and not cells[-1]:
        cells.pop()
    line = StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue() if cells else ""


def _read_powerpoint(content: bytes, on_progress: Progress) -> FileDocument:
    from pptx import Presentation

    slides = Presentation(BytesIO(content)).slides
    count = len(slides)
    if count > MAX_PAGES:
        raise DocumentError(f"The file has {count:,} slides", DocumentFailure.TOO_LARGE)
    sections = []
    for number, slide in enumerate(slides, 1):
        text = _join([line for line in _slide_lines(slide) if line.strip()])
        if text.strip():
            sections.append(Section(text, f"slide {number}"))
        on_progress(number, count)
    return FileDocument(FileKind.POWERPOINT, tuple(sections), count, count - len(sections))


def _slide_lines(slide: Any) -> Iterator[str]:
    yield from _shape_lines(slide.shapes)
    if slide.has_notes_slide and (notes := slide.notes_slide.notes_text_frame) is not None and notes.text.strip():
        yield f"Notes: {notes.text}"


def _shape_lines(shapes: Any) -> Iterator[str]:
    pending = list(shapes)
    while pending:
        shape = pending.pop(0)
        if shape.has_text_frame:
            yield shape.text_frame.text
        elif getattr(shape, "has_table", False):
            for row in shape.table.rows:
                yield _row([cell.text for cell in row.cells])
        elif hasattr(shape, "shapes"):  # a group
            pending[:0] = list(shape.shapes)


def _read_epub(content: bytes, on_progress: Progress) -> FileDocument:
    with ZipFile(BytesIO(content)) as archive:
        chapters = _epub_chapters(archive)
        if len(chapters) > MAX_ENTRIES:
            raise DocumentError(f"The book has {len(chapters):,} chapters", DocumentFailure.TOO_LARGE)
        sections: list[Section] = []
        size = 0
        for number, path in enumerate(chapters, 1):
            text = html_file.to_markdown(archive.read(path))
            size += len(text)
            if size > MAX_TEXT_CHARS:
                raise DocumentError("The file has too much text", DocumentFailure.TOO_LARGE)
            for section in markdown_sections(remove_unstorable_chars(text)):
                label = section.label or f"chapter {number}"
                sections.append(Section(section.text, label, has_heading_label=section.has_heading_label))
            on_progress(number, len(chapters))
    return FileDocument(FileKind.EPUB, tuple(sections))


def _epub_chapters(archive: ZipFile) -> list[str]:
    """The paths of the chapters in the order in which they are read."""
    from lxml import etree

    def parse(path: str) -> Any:
        return etree.fromstring(archive.read(path), etree.XMLParser(resolve_entities=False, no_network=True))

    (package_path, *_) = parse(ENTRY_BY_KIND[FileKind.EPUB]).xpath("//*[local-name()='rootfile']/@full-path")
    package = parse(package_path)
    paths = {item.get("id"): item.get("href") for item in package.xpath("//*[local-name()='item']")}
    folder = posixpath.dirname(package_path)
    names = set(archive.namelist())
    references = package.xpath("//*[local-name()='itemref']/@idref")
    chapters = [
        posixpath.normpath(posixpath.join(folder, unquote(paths[reference] or "")))
        for reference in references
        if reference in paths
    ]
    return [chapter for chapter in chapters if chapter in names]


READERS: dict[FileKind, Callable[[bytes, Progress], FileDocument]] = {
    FileKind.WORD: _read_word,
    FileKind.EXCEL: _read_excel,
    FileKind.POWERPOINT: _read_powerpoint,
    FileKind.EPUB: _read_epub,
}
