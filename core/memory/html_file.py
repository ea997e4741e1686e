"""Turns HTML into Markdown: headings, paragraphs, lists and tables, without scripts and styles."""

import re
from codecs import BOM_UTF8

from core.errors import DocumentError, DocumentFailure
from core.memory.file_document import FileDocument, FileKind
from core.memory.text_file import decode, markdown_sections

START_PATTERN = re.compile(rb"<(?:!doctype\s+html|html)\b", re.IGNORECASE)
PROLOGUE_ENDS = {b"<!--": b"-->", b"<?xml": b">"}
"""What may stand before the first element, with its end."""
CHARSET_PATTERN = re.compile(rb"(?:charset|encoding)\s*=\s*[\"']?([\w-]+)", re.IGNORECASE)
HEAD_BYTES = 4096
SKIPPED_TAGS = frozenset({"script", "style", "head", "template", "noscript", "svg", "math", "iframe", "object"})
BLOCK_TAGS = frozenset(
    """
    address article aside blockquote body dd details div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5
    h6 header hr li main nav ol p pre section summary table tbody tfoot thead tr ul br
    """.split()  # noqa: SIM905 (a literal takes a line for each)
)
MARKS = {**{f"h{level}": "#" * level + " " for level in range(1, 7)}, "li": "- "}
SPACE_PATTERN = re.compile(r"[ \t\r\n\f]+")
BLANK_LINES_PATTERN = re.compile(r"\n(?:[ \t]*\n){2,}")


def is_html(content: bytes) -> bool:
    head = content[:HEAD_BYTES].removeprefix(BOM_UTF8).lstrip()
    while end := next((end for start, end in PROLOGUE_ENDS.items() if head.startswith(start)), None):
        head = head.partition(end)[2].lstrip()
    return START_PATTERN.match(head) is not None


def read(content: bytes) -> FileDocument:
    """Raises `DocumentError`."""
    sections = tuple(markdown_sections(to_markdown(content)))
    if not sections:
        raise DocumentError("The page has no text", DocumentFailure.NO_TEXT)
    return FileDocument(FileKind.HTML, sections)


def to_markdown(content: bytes) -> str:
    """Raises `DocumentError`."""
    from lxml import etree, html

    text = _decode(content)
    parser = html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, no_network=True)
    try:
        root = html.document_fromstring(text.encode("utf-8", "replace"), parser)
    except etree.LxmlError as error:
        if not text.strip():
            return ""
        raise DocumentError("The page is broken", DocumentFailure.BROKEN) from error
    writer = _Writer()
    for event, element in etree.iterwalk(root, events=("start", "end")):
        if event == "start":
            writer.open(str(element.tag), element.text or "", element.get("alt") or "")
        else:
            writer.close(str(element.tag), element.tail or "")
    return BLANK_LINES_PATTERN.sub("\n\n", "".join(writer.parts)).strip()


def _decode(content: bytes) -> str:
    declared = CHARSET_PATTERN.search(content[:HEAD_BYTES])
    if declared:
        try:
            return content.decode(declared[1].decode())
        except (LookupError, UnicodeDecodeError):
            pass
    return decode(content)


class _Writer:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self._skipped = 0
        """How many skipped elements are open."""
        self._preformatted = 0

    def open(self, tag: str, text: str, alternative: str) -> None:
        if tag in SKIPPED_TAGS:
            self._skipped += 1
            return
        if tag in BLOCK_TAGS:
            self._write("\n" if tag in ("br", "li", "tr") else "\n\n")
        self._write(MARKS.get(tag, ""))
        if tag == "img" and alternative:
            self._write(f"[{SPACE_PATTERN.sub(' ', alternative)}]")
        self._preformatted += tag == "pre"
        self._write_text(text)

    def close(self, tag: str, tail: str) -> None:
        self._preformatted -= tag == "pre"
        if tag in SKIPPED_TAGS:
            self._skipped -= 1
        elif tag in ("td", "th"):
            self._write(" | ")
        elif tag in BLOCK_TAGS and tag not in ("br", "li", "tr"):
            self._write("\n\n")
        self._write_text(tail)

    def _write_text(self, text: str) -> None:
        text = text if self._preformatted else SPACE_PATTERN.sub(" ", text)
        if self.parts and self.parts[-1].endswith(("\n", "# ", "- ")) and not self._preformatted:
            text = text.lstrip(" ")
        self._write(text)

    def _write(self, text: str) -> None:
        if text and not self._skipped:
            self.parts.append(text)
