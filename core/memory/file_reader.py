"""Reads files in a process of their own, within limits of time and memory."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from weakref import WeakValueDictionary

import msgspec

from core.errors import DocumentError, DocumentFailure
from core.memory.extract import ReadFailed, ReadFinished, ReadProgress, WorkerMessage
from core.memory.file_document import MAX_FILE_BYTES, MAX_TEXT_CHARS, FileDocument

__all__ = ["FileReader", "ProgressCallback"]

ProgressCallback = Callable[[float], Awaitable[None]]
"""Is told which part of the work is done, 0 to 1."""

MAX_CONCURRENT_READS = 2
MAX_LINE_BYTES = 8 * MAX_TEXT_CHARS  # bytes
INHERITED_VARIABLES = ("PATH", "SYSTEMROOT", "LANG", "LC_ALL", "TMPDIR", "TEMP")
"""Of the environment: no key or token is that process's business."""
PROJECT_ROOT = Path(__file__).parents[2]


class FileReader:
    """`patience` is seconds for one file; `program` what reads it."""

    def __init__(self, *, timeout_seconds: float = 120.0, worker_module: str = "core.memory.extract") -> None:
        self._timeout_seconds = timeout_seconds
        self._worker_module = worker_module
        self._semaphore = asyncio.Semaphore(MAX_CONCURRENT_READS)
        self._person_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._decoder = msgspec.json.Decoder(WorkerMessage)

    async def read(self, name: str, content: bytes, progress: ProgressCallback, *, person: str = "") -> FileDocument:
        """One file of a `person` at a time, so that nobody holds up everybody.

        Raises `DocumentError`.
        """
        if len(content) > MAX_FILE_BYTES:
            raise DocumentError(f"It has {len(content):,} bytes", DocumentFailure.TOO_LARGE)
        # Gone with the last file that waits for it.
        async with self._person_locks.setdefault(person, asyncio.Lock()), self._semaphore:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                self._worker_module,
                name[-100:],
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=_environment(),
                limit=MAX_LINE_BYTES,
            )
            sender = asyncio.create_task(_send(process, content))
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    return await self._receive(process, progress)
            except TimeoutError:
                raise DocumentError("It took too long", DocumentFailure.SLOW) from None
            finally:
                sender.cancel()
                if process.returncode is None:
                    process.kill()
                await asyncio.gather(process.wait(), sender, return_exceptions=True)

    async def _receive(self, process: asyncio.subprocess.Process, progress: ProgressCallback) -> FileDocument:
        assert process.stdout is not None  # noqa: S101 (asked for)
        while True:
            try:
                message = self._decoder.decode(await process.stdout.readline())
            except (msgspec.DecodeError, ValueError):
                # It died (its memory ran out), or says what it never should.
                raise DocumentError("Reading it failed", DocumentFailure.BROKEN) from None
            match message:
                case ReadFinished(document):
                    return document
                case ReadFailed(reason, said):
                    raise DocumentError(said, reason)
                case ReadProgress(pages, of):
                    await progress(pages / max(1, of))


async def _send(process: asyncio.subprocess.Process, content: bytes) -> None:
    assert process.stdin is not None  # noqa: S101 (asked for)
    try:
        process.stdin.write(content)
        await process.stdin.drain()
    except ConnectionError:
        return  # it has heard enough, or died: what it said tells
    finally:
        process.stdin.close()


def _environment() -> dict[str, str]:
    inherited = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
    path = os.environ.get("PYTHONPATH")
    return {**inherited, "PYTHONPATH": os.pathsep.join(filter(None, (str(PROJECT_ROOT), path)))}
