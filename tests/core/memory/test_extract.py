"""What is read of a file, and what a file can do to who reads it."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from core.errors import DocumentError, Unreadable
from core.memory import document
from core.memory.document import Document, Kind
from core.memory.extract import extract
from core.memory.reader import Reader
from tests.core.memory import files
from tests.core.memory.files import encrypted, pdf, scan


def read(name: str, content: bytes) -> Document:
    return extract(name, content, lambda _pages, _of: None)


def refusal(name: str, content: bytes) -> Unreadable:
    with pytest.raises(DocumentError) as caught:
        read(name, content)
    return caught.value.reason


async def nothing(_part: float) -> None:
    pass


def test_a_pdf_is_read_page_by_page() -> None:
    seen: list[tuple[int, int]] = []
    content = pdf(["The first page\nhas (two) lines", "", "The third: 42 \\ 7"])
    found = extract("any name", content, lambda pages, of: seen.append((pages, of)))
    assert [(s.label, s.text) for s in found.sections] == [
        ("page 1", "The first page\nhas (two) lines"),
        ("page 3", "The third: 42 \\ 7"),
    ]
    assert (found.kind, found.pages, found.blank) == (Kind.PDF, 3, 1)
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_pdf_that_needs_a_password_is_told_from_one_that_only_forbids_printing() -> None:
    content = pdf(["The words on it"])
    assert refusal("a.pdf", encrypted(content, password="secret")) is Unreadable.ENCRYPTED
    free = read("a.pdf", encrypted(content, password="", owner="secret"))
    assert free.sections[0].text == "The words on it"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("scan.pdf", scan(3), Unreadable.NO_TEXT),
        ("empty.txt", b"", Unreadable.NO_TEXT),
        ("empty.md", b"\xef\xbb\xbf \r\n\t\n", Unreadable.NO_TEXT),
        ("broken.pdf", b"%PDF-1.4\nnothing that follows is one", Unreadable.BROKEN),
        ("half.pdf", pdf(["x" * 900] * 9)[:700], Unreadable.BROKEN),
        ("photo.txt", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, Unreadable.UNKNOWN),
        ("letter.docx", b"PK\x03\x04" + bytes(range(256)) * 20, Unreadable.UNKNOWN),
        ("renamed.pdf", b"these are no pages", Unreadable.UNKNOWN),
        ("letter.rtf", b"{\\rtf1 hello}", Unreadable.UNKNOWN),
        ("much.txt", b"x" * (document.MOST_BYTES + 1), Unreadable.TOO_LARGE),
        ("long.txt", b"word " * (document.MOST_CHARACTERS // 5 + 1), Unreadable.TOO_LARGE),
        ("thick.pdf", scan(document.MOST_PAGES + 1), Unreadable.TOO_LARGE),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_can_not_be_read_is_told_by_kind(
    name: str, content: bytes, reason: Unreadable
) -> None:
    assert refusal(name, content) is reason


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
def test_the_encoding_is_found(text: str, encoding: str) -> None:
    assert read("a.txt", text.encode(encoding)).sections[0].text == text


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("notes.md", "plain words", Kind.MARKDOWN),
        ("notes", "# One\n\nwords\n\n## Two\n\nwords", Kind.MARKDOWN),
        ("tool.py", "# a comment\n# another\nprint(1)", Kind.CODE),
        ("tool", "#!/bin/sh\n# one\n# two\necho", Kind.CODE),
        ("table.csv", "a,b\n1,2\n3,4", Kind.CSV),
        ("table.csv", 'a;b\n"x;\ny";2\n3;4', Kind.CSV),
        ("table", "a\tb\n1\t2", Kind.CSV),
        ("table.csv", "no table, this\nis. only\nwords, with, commas", Kind.TEXT),
        ("words.txt", "Dear Ann, hello\nand, good bye", Kind.TEXT),
    ],
)
def test_the_kind_is_found_by_content_and_name(name: str, text: str, kind: Kind) -> None:
    assert read(name, text.encode()).kind is kind


def test_markdown_is_cut_at_its_headings_but_not_in_code() -> None:
    text = "intro\n# One\na\n## Deep\nb\n```sh\n# no heading\n```\n# Two ##\nc\n"
    found = read("a.md", text.encode())
    assert [(s.label, s.text) for s in found.sections] == [
        ("", "intro"),
        ("One", "# One\na"),
        ("One › Deep", "## Deep\nb\n```sh\n# no heading\n```"),
        ("Two", "# Two ##\nc\n"),
    ]
    assert [s.first for s in found.sections] == [1, 2, 4, 9]


def test_pages_of_a_text_are_its_form_feeds() -> None:
    found = read("a.txt", b"one\ftwo\fthree")
    assert [s.label for s in found.sections] == ["page 1", "page 2", "page 3"]


@pytest.mark.parametrize("line", [b"# x\n", b"\f"])
async def test_headings_and_pages_without_end_are_plain_text(line: bytes) -> None:
    found = await Reader().read("a.md", b"first\n" + line * 300_000 + b"last", nothing)
    assert len(found.sections) == 1
    assert found.sections[0].text.endswith("last")


async def test_a_pdf_that_swells_breaks_nothing_but_its_reader() -> None:
    content = files._document([b" " * 200_000_000], compress=True)
    assert len(content) < 500_000
    with pytest.raises(DocumentError) as caught:
        await Reader().read("a.pdf", content, nothing)
    assert caught.value.reason in (Unreadable.BROKEN, Unreadable.SLOW)


async def test_a_file_is_read_by_another_process_which_tells_its_progress() -> None:
    parts: list[float] = []

    async def progress(part: float) -> None:
        parts.append(part)

    found = await Reader().read("a.pdf", pdf(["one page", "two page"]), progress)
    assert [s.text for s in found.sections] == ["one page", "two page"]
    assert parts == [0.5, 1.0]


async def test_refusals_come_back_from_the_other_process() -> None:
    with pytest.raises(DocumentError) as caught:
        await Reader().read("a.pdf", scan(2), nothing)
    assert caught.value.reason is Unreadable.NO_TEXT


async def test_no_secret_goes_to_the_process_that_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "environment"
    _program(tmp_path, monkeypatch, f"import os; open({str(seen)!r}, 'w').write(str(os.environ))")
    monkeypatch.setenv("IOINTELLIGENCE_API_KEY", "the-secret-key")
    with pytest.raises(DocumentError):
        await Reader(program="hostile").read("a.txt", b"words", nothing)
    assert "PATH" in seen.read_text()
    assert "the-secret-key" not in seen.read_text()


async def test_a_file_that_hangs_its_reader_costs_only_the_time_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "pid"
    _program(
        tmp_path,
        monkeypatch,
        f"import os, sys; open({str(mark)!r}, 'w').write(str(os.getpid()))\nwhile True: pass",
    )
    began = time.monotonic()
    with pytest.raises(DocumentError) as caught:
        await Reader(patience=1.5, program="hostile").read("a.txt", b"words" * 500_000, nothing)
    assert caught.value.reason is Unreadable.SLOW
    assert time.monotonic() - began < 5
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


async def test_a_reader_that_dies_is_a_broken_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(tmp_path, monkeypatch, "import os; os._exit(9)")
    with pytest.raises(DocumentError) as caught:
        await Reader(program="hostile").read("a.txt", b"words" * 500_000, nothing)
    assert caught.value.reason is Unreadable.BROKEN


async def test_slow_files_of_one_person_hold_up_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(
        tmp_path,
        monkeypatch,
        "import sys\n"
        'print(\'{"type":"Done","pages":1,"of":2}\', flush=True)\n'
        "while 'slow' in sys.argv[1]: pass",
    )
    begun = asyncio.Event()

    async def progress(_part: float) -> None:
        begun.set()

    reader = Reader(program="hostile")
    eves = [
        asyncio.create_task(reader.read("slow.txt", b"words", progress, person="eve"))
        for _ in range(3)
    ]
    async with asyncio.timeout(20):
        await begun.wait()
        with pytest.raises(DocumentError) as caught:
            await reader.read("quick.txt", b"words", nothing, person="bob")
    assert caught.value.reason is Unreadable.BROKEN
    for task in eves:
        task.cancel()
    await asyncio.gather(*eves, return_exceptions=True)


async def test_a_cancelled_reading_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "pid"
    _program(
        tmp_path,
        monkeypatch,
        "import os, sys\n"
        f"open({str(mark)!r}, 'w').write(str(os.getpid()))\n"
        'print(\'{"type":"Done","pages":1,"of":2}\', flush=True)\n'
        "while True: pass",
    )
    begun = asyncio.Event()

    async def progress(_part: float) -> None:
        begun.set()

    reading = asyncio.create_task(Reader(program="hostile").read("a.txt", b"words", progress))
    async with asyncio.timeout(10):
        await begun.wait()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


def _program(folder: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    """A module `hostile` instead of the one that reads."""
    (folder / "hostile.py").write_text(source)
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    monkeypatch.setenv("PYTHONPATH", path)


@pytest.mark.parametrize("line", [b"# a" + b" #" * 500_000 + b"x", b"# a" + b" " * 900_000 + b"x"])
def test_a_heading_of_a_million_characters_takes_no_time(line: bytes) -> None:
    began = time.process_time()
    read("notes.md", line + b"\ntext\n# Two # ##\nmore\n")
    assert time.process_time() - began < 2


def test_a_heading_of_marks_alone_keeps_one() -> None:
    found = read("notes.md", b"# #\ntext\n# C# #\nmore\n")
    assert [section.label for section in found.sections] == ["#", "C#"]
