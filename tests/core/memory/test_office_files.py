"""What is read of Office files, books and web pages; bombs, broken and encrypted ones are refused with their reasons."""

from io import BytesIO

import pytest
from pptx import Presentation
from pptx.util import Inches

from core.errors import DocumentError, DocumentFailure
from core.memory.extract import extract
from core.memory.file_document import MAX_TEXT_CHARS, FileDocument, FileKind
from core.memory.html_file import is_html, to_markdown
from core.memory.office_file import MAX_ENTRIES, MAX_XML_BYTES, OLE_SIGNATURE
from tests.core.memory.office_files import make_docx, make_epub, make_pptx, make_xlsx, make_zip


def read(name: str, content: bytes) -> FileDocument:
    return extract(name, content, lambda _done, _count: None)


def failure_of(name: str, content: bytes) -> DocumentFailure:
    with pytest.raises(DocumentError) as caught:
        read(name, content)
    return caught.value.failure


def labels(document: FileDocument) -> list[str]:
    return [section.label for section in document.sections]


@pytest.mark.parametrize("name", ["lease.docx", "lease.pdf.bin", "no name"])
def test_word_headings_and_tables(name: str) -> None:
    """Whatever the name says."""
    paragraphs = [("Heading 1", "Lease"), ("", "Between Ann and Bob."), ("Heading 2", "Payment"), ("", "Monthly.")]
    document = read(name, make_docx(paragraphs, [("Month", "Rent"), ("May", "900\neuros")]))
    assert document.kind is FileKind.WORD
    assert labels(document) == ["Lease", "Lease › Payment"]
    assert "Between Ann and Bob." in document.sections[0].text
    assert "Monthly.\n\nMonth | Rent\nMay | 900 euros" in document.sections[1].text


def test_excel_sheets_are_tables() -> None:
    sheets: dict[str, list[tuple[object, ...]]] = {
        "Costs": [("Item", "Price"), ("Tea, green", 2.5), ("Cake", None)],
        "Empty": [],
        "Alone": [("one", 1)],
    }
    document = read("a.xlsx", make_xlsx(sheets))
    costs, alone = document.sections
    assert (costs.label, costs.header, costs.text) == ("sheet Costs", "Item,Price", '"Tea, green",2.5\nCake')
    assert (alone.label, alone.header, alone.text) == ("sheet Alone", "", "one,1")


def test_powerpoint_slides_are_cited() -> None:
    progress: list[tuple[int, int]] = []
    content = make_pptx([("Welcome", "Smile."), ("", ""), ("Thanks", "")])
    document = extract("a.pptx", content, lambda done, count: progress.append((done, count)))
    assert [(section.label, section.text) for section in document.sections] == [
        ("slide 1", "Welcome\nNotes: Smile."),
        ("slide 3", "Thanks"),
    ]
    assert (document.page_count, document.blank_page_count) == (3, 1)
    assert progress[-1] == (3, 3)


def test_tables_and_groups_on_slides_are_read() -> None:
    presentation = Presentation()
    shapes = presentation.slides.add_slide(presentation.slide_layouts[6]).shapes
    group = shapes.add_group_shape().shapes
    group.add_textbox(0, 0, Inches(1), Inches(1)).text_frame.text = "Deep"
    group.add_group_shape().shapes.add_textbox(0, 0, Inches(1), Inches(1)).text_frame.text = "Deeper"
    table = shapes.add_table(2, 2, 0, 0, Inches(3), Inches(1)).table
    for row, values in enumerate((("Dish", "Price"), ("Eel\nsoup", "9"))):
        for column, value in enumerate(values):
            table.cell(row, column).text = value
    shapes.add_connector(1, 0, 0, Inches(1), Inches(1))
    buffer = BytesIO()
    presentation.save(buffer)
    (slide,) = read("a.pptx", buffer.getvalue()).sections
    assert slide.text == "Deep\nDeeper\nDish | Price\nEel soup | 9"


def test_word_heading_levels() -> None:
    levels = [(f"Heading {level}", f"Level {level}") for level in (1, 6, 7)]
    text = "\n".join(section.text for section in read("a.docx", make_docx([*levels, ("Title", "Name")])).sections)
    assert text.split("\n\n") == ["# Level 1", "###### Level 6", "Level 7", "Name\n"]


def test_empty_cells_at_the_end_of_a_row_are_left_out() -> None:
    rows: list[tuple[object, ...]] = [("a", None, "c", None, " "), (None, None), (0, "two\nlines")]
    (sheet,) = read("a.xlsx", make_xlsx({"One": rows})).sections
    assert (sheet.header, sheet.text) == ("a,,c", "0,two lines")


def test_epub_chapters_in_order() -> None:
    chapters = {
        "two b.xhtml": "<html><body><h1>Storm</h1><p>Waves &amp; wind.</p></body></html>",
        "one.xhtml": "<html><head><title>x</title></head><body><p>It was calm.</p></body></html>",
    }
    progress: list[tuple[int, int]] = []
    document = extract("book.epub", make_epub(chapters), lambda done, count: progress.append((done, count)))
    assert labels(document) == ["Storm", "chapter 2"]
    assert document.sections[0].text == "# Storm\n\nWaves & wind."
    assert progress == [(1, 2), (2, 2)]


def test_web_page_is_text() -> None:
    page = b"""<!-- saved --><!DOCTYPE html><html><head><title>t</title><style>p {}</style></head><body>
        <h1>Menu</h1><p>Soup   of the <b>day</b>.</p><script>steal()</script>
        <ul><li>Eel</li><li>Bread</li></ul>
        <table><tr><th>Dish</th><th>Price</th></tr><tr><td>Eel</td><td>9</td></tr></table>
        <pre>  two
  lines</pre><img src="http://evil.example/x" alt="A cook"></body></html>"""
    document = read("menu.txt", page)
    assert (document.kind, labels(document)) == (FileKind.HTML, ["Menu"])
    text = document.sections[0].text
    assert "# Menu\n\nSoup of the day." in text
    assert "- Eel\n- Bread" in text
    assert "Dish | Price |\nEel | 9 |" in text.replace(" \n", "\n")
    assert "  two\n  lines" in text
    assert "[A cook]" in text
    assert "steal" not in text
    assert "evil.example" not in text


def test_encoding_of_page() -> None:
    page = '<html><head><meta charset="windows-1251"></head><body>Привет, мир</body></html>'
    assert to_markdown(page.encode("cp1251")) == "Привет, мир"
    assert to_markdown(page.replace("windows-1251", "nonsense").encode()) == "Привет, мир"


def test_code_about_pages_is_no_page() -> None:
    assert not is_html(b"print('<html>')")
    assert not is_html(b"<!---->" * 500)
    assert not is_html(b"<?xml " * 500)


@pytest.mark.parametrize("body", ["<div>" * 20_000, "<b>" * 50_000 + "x", "&amp;" * 100_000, "<" * 100_000])
def test_hostile_page_is_read_in_time(body: str) -> None:
    try:
        to_markdown(f"<html><body>start {body}".encode())
    except DocumentError as error:
        assert error.failure is DocumentFailure.BROKEN  # noqa: PT017 (either is fine)


def test_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = make_zip({"word/document.xml": b"<a/>" + b" " * MAX_XML_BYTES})
    assert len(bomb) < 100_000
    assert failure_of("a.docx", bomb) is DocumentFailure.TOO_LARGE
    media = make_zip({"ppt/presentation.xml": b"<a/>", **{f"ppt/media/{n}.png": bytes(20_000_000) for n in range(8)}})
    assert failure_of("a.pptx", media) is DocumentFailure.TOO_LARGE


@pytest.mark.parametrize("excess", [0, 1])
def test_text_and_entries_are_limited(excess: int) -> None:
    word = make_docx([("", "x" * (MAX_TEXT_CHARS + excess))])
    book = make_epub({"one.xhtml": f"<p>{'x' * (MAX_TEXT_CHARS + excess)}</p>"})
    archive = make_epub({"one.xhtml": "<p>x</p>"}, **{f"{n}.png": b"" for n in range(MAX_ENTRIES - 4 + excess)})
    for name, content in (("a.docx", word), ("a.epub", book), ("b.epub", archive)):
        if excess:
            assert failure_of(name, content) is DocumentFailure.TOO_LARGE
        else:
            assert read(name, content).sections


def test_number_of_chapters_is_limited() -> None:
    """A book may name a chapter as often as it likes."""
    spine = "<itemref idref='a'/>" * (MAX_ENTRIES + 1)
    package = f"<package><manifest><item id='a' href='one.xhtml'/></manifest><spine>{spine}</spine></package>"
    content = make_epub({"one.xhtml": "<p>x</p>"}, **{"OEBPS/book.opf": package.encode()})
    assert failure_of("a.epub", content) is DocumentFailure.TOO_LARGE


def test_chapters_that_are_missing_are_skipped() -> None:
    package = b"""<package><manifest><item id="a" href="gone.xhtml"/><item id="b" href="../one%20b.xhtml"/></manifest>
        <spine><itemref idref="a"/><itemref idref="none"/><itemref idref="b"/></spine></package>"""
    content = make_epub({}, **{"OEBPS/book.opf": package, "one b.xhtml": b"<p>Calm.</p>"})
    assert labels(read("a.epub", content)) == ["chapter 1"]


def test_entities_are_not_expanded() -> None:
    """Neither a billion laughs nor a file of this machine."""
    entities = '<!DOCTYPE p [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;"><!ENTITY f SYSTEM "file:///etc/passwd">]>'
    chapter = f"<?xml version='1.0'?>{entities}<html><body><p>Laugh &b; &f;</p></body></html>"
    text = read("a.epub", make_epub({"one.xhtml": chapter})).sections[0].text
    assert "root:" not in text
    package = f"{entities}<package><manifest/><spine/></package>".encode()
    assert failure_of("a.epub", make_epub({}, **{"OEBPS/book.opf": package})) is DocumentFailure.NO_TEXT


def test_unreadable_file_has_its_reason() -> None:
    docx = make_docx([("", "words")])
    assert failure_of("a.docx", docx[: len(docx) // 2]) is DocumentFailure.BROKEN
    assert failure_of("a.zip", docx[: len(docx) // 2]) is DocumentFailure.UNKNOWN
    assert failure_of("a.zip", make_zip({"a.txt": b"words"})) is DocumentFailure.UNKNOWN
    assert failure_of("a.DOCX", make_zip({"a.txt": b"words"})) is DocumentFailure.BROKEN
    assert failure_of("a.docx", make_zip({"word/document.xml": b"no XML"})) is DocumentFailure.BROKEN
    assert failure_of("a.docx", make_docx([])) is DocumentFailure.NO_TEXT
    assert failure_of("a.doc", OLE_SIGNATURE + bytes(600)) is DocumentFailure.UNKNOWN
    encrypted = OLE_SIGNATURE + bytes(600) + "EncryptedPackage".encode("utf-16-le")
    assert failure_of("a.docx", encrypted) is DocumentFailure.ENCRYPTED
    rights = make_epub({"one.xhtml": "<p>x"}, **{"META-INF/rights.xml": b"<a/>"})
    assert failure_of("a.epub", rights) is DocumentFailure.ENCRYPTED
    assert (
        failure_of("a.html", b"<!doctype html><html><body><script>x</script></body></html>") is DocumentFailure.NO_TEXT
    )
    assert failure_of("a.html", b"<!-- nothing -->") is DocumentFailure.BROKEN
    assert failure_of("a.html", b"\xef\xbb\xbf") is DocumentFailure.NO_TEXT
    assert failure_of("a.xlsx", make_xlsx({"Big": [["word " * 5000]] * 100})) is DocumentFailure.TOO_LARGE
