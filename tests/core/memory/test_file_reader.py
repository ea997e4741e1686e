"""Reading files in another process, and what broken or hostile files can do to it."""

import asyncio
import os
from pathlib import Path

import psutil
import pytest

from core.errors import DocumentError, DocumentFailure
from core.memory.file_document import MAX_FILE_BYTES, FileKind
from core.memory.file_reader import MAX_LINE_BYTES, MAX_NAME_CHARS, FileReader
from core.timings import Timings
from tests.core.memory.sample_files import make_pdf, make_pdf_from_streams, make_scanned_pdf

REPORT_PROGRESS = """print('{"type":"ReadProgress","pages_read":1,"page_count":2}', flush=True)"""


async def ignore_progress(_fraction: float) -> None:
    pass


def write_worker(folder: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    """Create a module `hostile` that the reading process runs."""
    (folder / "hostile.py").write_text(source)
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    monkeypatch.setenv("PYTHONPATH", path)


async def failure_of(reader: FileReader, content: bytes) -> DocumentFailure:
    with pytest.raises(DocumentError) as caught:
        await reader.read("a.txt", content, ignore_progress)
    return caught.value.failure


@pytest.mark.slow
async def test_pdf_bomb_ends_only_the_reading_process() -> None:
    content = make_pdf_from_streams([b" " * 200_000_000], compress=True)
    assert len(content) < 500_000
    with pytest.raises(DocumentError) as caught:
        await FileReader().read("a.pdf", content, ignore_progress)
    assert caught.value.failure in (DocumentFailure.BROKEN, DocumentFailure.SLOW)


@pytest.mark.slow
async def test_reader_process_reports_progress() -> None:
    fractions: list[float] = []

    async def on_progress(fraction: float) -> None:
        fractions.append(fraction)

    file = await FileReader().read("a.pdf", make_pdf(["one page", "two page"]), on_progress)
    assert [(chunk.label, chunk.text) for chunk in file.chunks] == [("page 1", "one page"), ("page 2", "two page")]
    assert file.page_count == 2
    assert fractions == [0.5, 1.0]


@pytest.mark.slow
async def test_reader_process_stops_after_the_last_allowed_chunk() -> None:
    """Two million words of one letter."""
    with pytest.raises(DocumentError) as caught:
        await FileReader().read("a.txt", b"a\n" * 1_000_000, ignore_progress, max_chunks=50)
    assert caught.value.failure is DocumentFailure.TOO_LARGE


@pytest.mark.slow
async def test_reader_process_returns_failures() -> None:
    with pytest.raises(DocumentError) as caught:
        await FileReader().read("a.pdf", make_scanned_pdf(2), ignore_progress)
    assert caught.value.failure is DocumentFailure.NO_TEXT


@pytest.mark.slow
async def test_reader_process_gets_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = tmp_path / "environment"
    write_worker(tmp_path, monkeypatch, f"import os; open({str(environment)!r}, 'w').write(str(os.environ))")
    monkeypatch.setenv("IOINTELLIGENCE_API_KEY", "the-secret-key")
    with pytest.raises(DocumentError):
        await FileReader(worker_module="hostile").read("a.txt", b"words", ignore_progress)
    assert "PATH" in environment.read_text()
    assert "the-secret-key" not in environment.read_text()


@pytest.mark.slow
async def test_hanging_process_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    children = set(psutil.Process().children(recursive=True))
    write_worker(tmp_path, monkeypatch, "while True: pass")
    reader = FileReader(timings=Timings(file_read_timeout=1.5), worker_module="hostile")
    async with asyncio.timeout(60):
        with pytest.raises(DocumentError) as caught:
            await reader.read("a.txt", b"words" * 500_000, ignore_progress)
    assert caught.value.failure is DocumentFailure.SLOW
    assert set(psutil.Process().children(recursive=True)) <= children


@pytest.mark.slow
async def test_dead_process_is_broken_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_worker(tmp_path, monkeypatch, "import os; os._exit(9)")
    with pytest.raises(DocumentError) as caught:
        await FileReader(worker_module="hostile").read("a.txt", b"words" * 500_000, ignore_progress)
    assert caught.value.failure is DocumentFailure.BROKEN


@pytest.mark.slow
async def test_slow_files_delay_only_their_sender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_worker(
        tmp_path,
        monkeypatch,
        f"import sys\n{REPORT_PROGRESS}\nwhile 'slow' in sys.argv[1]: pass",
    )
    started = asyncio.Event()

    async def on_progress(_fraction: float) -> None:
        started.set()

    reader = FileReader(worker_module="hostile")
    slow_tasks = [asyncio.create_task(reader.read("slow.txt", b"words", on_progress, person="eve")) for _ in range(3)]
    async with asyncio.timeout(20):
        await started.wait()
        with pytest.raises(DocumentError) as caught:
            await reader.read("quick.txt", b"words", ignore_progress, person="bob")
    assert caught.value.failure is DocumentFailure.BROKEN
    for task in slow_tasks:
        task.cancel()
    await asyncio.gather(*slow_tasks, return_exceptions=True)


@pytest.mark.slow
async def test_cancelled_read_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid_file = tmp_path / "pid"
    write_worker(
        tmp_path,
        monkeypatch,
        f"import os, sys\nopen({str(pid_file)!r}, 'w').write(str(os.getpid()))\n{REPORT_PROGRESS}\nwhile True: pass",
    )
    started = asyncio.Event()

    async def on_progress(_fraction: float) -> None:
        started.set()

    task = asyncio.create_task(FileReader(worker_module="hostile").read("a.txt", b"words", on_progress))
    async with asyncio.timeout(10):
        await started.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


async def test_too_large_file_starts_no_process() -> None:
    reader = FileReader(worker_module="there is no such module")
    assert await failure_of(reader, bytes(MAX_FILE_BYTES + 1)) is DocumentFailure.TOO_LARGE


@pytest.mark.slow
async def test_end_of_a_long_name_tells_the_kind() -> None:
    name = "x" * MAX_NAME_CHARS + ".md"
    assert (await FileReader().read(name, b"plain words", ignore_progress)).kind is FileKind.MARKDOWN


@pytest.mark.slow
@pytest.mark.parametrize(
    "source",
    [
        "print('no JSON')",
        "print('[]')",
        """print('{"type":"ReadProgress","pages_read":"1","page_count":2}')""",
        f"print('x' * {MAX_LINE_BYTES + 1})",
    ],
    ids=["text", "list", "wrong type", "endless line"],
)
async def test_output_that_is_no_message_is_broken_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    write_worker(tmp_path, monkeypatch, source)
    assert await failure_of(FileReader(worker_module="hostile"), b"words") is DocumentFailure.BROKEN


@pytest.mark.slow
async def test_file_without_pages_may_report_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fractions: list[float] = []

    async def on_progress(fraction: float) -> None:
        fractions.append(fraction)

    write_worker(tmp_path, monkeypatch, """print('{"type":"ReadProgress","pages_read":0,"page_count":0}')""")
    with pytest.raises(DocumentError):
        await FileReader(worker_module="hostile").read("a.txt", b"words", on_progress)
    assert fractions == [0]


@pytest.mark.slow
async def test_process_gets_limited_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "from core.memory import worker; worker.run(lambda content, send: bytearray(worker.MAX_MEMORY_BYTES))"
    write_worker(tmp_path, monkeypatch, source)
    assert await failure_of(FileReader(worker_module="hostile"), b"words") is DocumentFailure.SLOW
