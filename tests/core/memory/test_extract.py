"""What is read of PDF and text files; the others are in `test_office_files`."""

import pytest

from core.errors import DocumentError, DocumentFailure
from core.memory import file_document
from core.memory.extract import extract, split
from core.memory.file_document import FileDocument, FileKind
from tests.core.memory.sample_files import encrypt_pdf, make_pdf, make_scanned_pdf


def read(name: str, content: bytes) -> FileDocument:
    return extract(name, content, lambda _pages_read, _page_count: None)


def refusal(name: str, content: bytes) -> DocumentFailure:
    with pytest.raises(DocumentError) as caught:
        read(name, content)
    return caught.value.failure


def test_pdf_is_read_by_page() -> None:
    progress: list[tuple[int, int]] = []
    content = make_pdf(["The first page\nhas (two) lines", "", "The third: 42 \\ 7"])
    document = extract("any name", content, lambda pages_read, page_count: progress.append((pages_read, page_count)))
    assert [(s.label, s.text) for s in document.sections] == [
        ("page 1", "The first page\nhas (two) lines"),
        ("page 3", "The third: 42 \\ 7"),
    ]
    assert (document.kind, document.page_count, document.blank_page_count) == (FileKind.PDF, 3, 1)
    assert progress == [(1, 3), (2, 3), (3, 3)]


def test_password_protected_pdf_is_refused() -> None:
    content = make_pdf(["The words on it"])
    assert refusal("a.pdf", encrypt_pdf(content, password="secret")) is DocumentFailure.ENCRYPTED
    free = read("a.pdf", encrypt_pdf(content, password="", owner="secret"))
    assert free.sections[0].text == "The words on it"


@pytest.mark.parametrize(
    ("name", "content", "failure"),
    [
        ("scan.pdf", make_scanned_pdf(3), DocumentFailure.NO_TEXT),
        ("empty.txt", b"", DocumentFailure.EMPTY),
        ("empty.md", b"\xef\xbb\xbf \r\n\t\n", DocumentFailure.EMPTY),
        ("broken.pdf", b"%PDF-1.4\nno further content", DocumentFailure.BROKEN),
        ("half.pdf", make_pdf(["x" * 900] * 9)[:700], DocumentFailure.BROKEN),
        ("photo.txt", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, DocumentFailure.UNKNOWN),
        ("letter.docx", b"PK\x03\x04" + bytes(range(256)) * 20, DocumentFailure.BROKEN),
        ("archive.zip", b"PK\x03\x04" + bytes(range(256)) * 20, DocumentFailure.UNKNOWN),
        ("renamed.pdf", b"not a PDF", DocumentFailure.BROKEN),
        ("letter.rtf", b"{\\rtf1 hello}", DocumentFailure.UNKNOWN),
        ("much.txt", b"x" * (file_document.MAX_FILE_BYTES + 1), DocumentFailure.TOO_LARGE),
        ("long.txt", b"word " * (file_document.MAX_TEXT_CHARS // 5 + 1), DocumentFailure.TOO_LARGE),
        ("thick.pdf", make_scanned_pdf(file_document.MAX_PAGES + 1), DocumentFailure.TOO_LARGE),
        ("no pages.pdf", make_pdf([]), DocumentFailure.BROKEN),
        ("page numbers.pdf", make_pdf(["1", "2", "42"]), DocumentFailure.NO_TEXT),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_unreadable_files_are_classified(name: str, content: bytes, failure: DocumentFailure) -> None:
    assert refusal(name, content) is failure


def test_largest_files_are_read() -> None:
    assert len(read("long.txt", b"word\n" * (file_document.MAX_TEXT_CHARS // 5)).sections[0].text) == (
        file_document.MAX_TEXT_CHARS
    )
    file_document.check_file_size(file_document.MAX_FILE_BYTES)
    assert refusal("thick.pdf", make_scanned_pdf(file_document.MAX_PAGES)) is DocumentFailure.NO_TEXT


def test_number_of_chunks_is_limited() -> None:
    document = read("a.txt", b"some words of it. " * 500)
    chunks = split(document, 1000).chunks
    assert len(split(document, len(chunks)).chunks) == len(chunks)
    with pytest.raises(DocumentError) as caught:
        split(document, len(chunks) - 1)
    assert caught.value.failure is DocumentFailure.TOO_LARGE


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Zoë's naïve café — 10 €", "utf-8"),
        ("Zoë's naïve café — 10 €", "utf-8-sig"),
        ("Zoë's naïve café — 10 €", "utf-16"),
        ("Zoë's naïve café — 10 €", "utf-16-le"),
        ("Zoë's naïve café — 10 €", "utf-16-be"),
        ("Zoë's naïve café — 10 €", "utf-32"),
        ("Grüße aus Köln, schöne Straße — 10 €", "cp1252"),
        ("Съешь же ещё этих мягких французских булок, да выпей чаю", "cp1251"),
        ("Съешь же ещё этих мягких французских булок", "utf-8"),
        (
            "合同编号为三百，付款期限是十五天。\n第二条：甲方负责运输。\n第三条：乙方验收。\n结束。\n",
            "gb18030",
        ),
        ("契約番号は三百です。", "utf-8"),
    ],
)
def test_encoding_is_detected(text: str, encoding: str) -> None:
    assert read("a.txt", text.encode(encoding)).sections[0].text == text


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("notes.md", "plain words", FileKind.MARKDOWN),
        ("notes", "# One\n\nwords\n\n## Two\n\nwords", FileKind.MARKDOWN),
        ("tool.py", "# a comment\n# another\nprint(1)", FileKind.CODE),
        ("tool", "#!/bin/sh\n# one\n# two\necho", FileKind.CODE),
        ("table.csv", "a,b\n1,2\n3,4", FileKind.CSV),
        ("table.csv", 'a;b\n"x;\ny";2\n3;4', FileKind.CSV),
        ("table", "a\tb\n1\t2", FileKind.CSV),
        ("table.csv", "no table, this\nis. only\nwords, with, commas", FileKind.TEXT),
        ("words.txt", "Dear Ann, hello\nand, good bye", FileKind.TEXT),
    ],
)
def test_kind_is_detected_from_content_and_name(name: str, text: str, kind: FileKind) -> None:
    assert read(name, text.encode()).kind is kind


def test_markdown_splits_at_headings_outside_code() -> None:
    text = "intro\n# One\na\n## Deep\nb\n```sh\n# no heading\n```\n# Two ##\nc\n"
    document = read("a.md", text.encode())
    assert [(s.label, s.text) for s in document.sections] == [
        ("", "intro"),
        ("One", "# One\na"),
        ("One › Deep", "## Deep\nb\n```sh\n# no heading\n```"),
        ("Two", "# Two ##\nc\n"),
    ]
    assert [s.first_line for s in document.sections] == [1, 2, 4, 9]


def test_form_feeds_separate_pages() -> None:
    document = read("a.txt", b"one\ftwo\fthree")
    assert [s.label for s in document.sections] == ["page 1", "page 2", "page 3"]


@pytest.mark.slow
@pytest.mark.parametrize("line", [b"# x\n", b"\f"])
def test_excess_headings_and_pages_are_plain_text(line: bytes) -> None:
    document = read("a.md", b"first\n" + line * 300_000 + b"last")
    assert len(document.sections) == 1
    assert document.sections[0].text.endswith("last")


@pytest.mark.parametrize("line", [b"# a" + b" #" * 500_000 + b"x", b"# a" + b" " * 900_000 + b"x"])
def test_long_heading_takes_linear_time(line: bytes) -> None:
    read("notes.md", line + b"\ntext\n# Two # ##\nmore\n")  # quadratic time would exceed the test's timeout


def test_markup_only_heading_keeps_one_mark() -> None:
    document = read("notes.md", b"# #\ntext\n# C# #\nmore\n")
    assert [section.label for section in document.sections] == ["#", "C#"]
