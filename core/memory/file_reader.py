"""Reads and splits files in a separate process, with limits on time, memory and the number of chunks."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

import msgspec

from core.errors import DocumentError, DocumentFailure
from core.memory.extract import ReadFinished, ReadProgress, WorkerMessage
from core.memory.file_document import MAX_TEXT_CHARS, ChunkedFile, check_file_size
from core.memory.images import ImageRead
from core.memory.worker import ReadFailed
from core.store.memories import DEFAULT_LIMITS
from core.timings import Timings

T = TypeVar("T")
ProgressCallback = Callable[[float], Awaitable[None]]
"""Receives the completed fraction of the work, from 0 to 1."""

MAX_CONCURRENT_READS = 2
MAX_LINE_BYTES = 12 * MAX_TEXT_CHARS
MAX_NAME_CHARS = 100
IMAGE_MODULE = "core.memory.images"
INHERITED_VARIABLES = ("PATH", "SYSTEMROOT", "LANG", "LC_ALL", "TMPDIR", "TEMP")
"""The only environment variables passed to the process, which must not see keys or tokens."""
PROJECT_ROOT = Path(__file__).parents[2]


class FileReader:
    """`worker_module` is the program that reads files with text; see `core.memory.extract` for its messages."""

    def __init__(self, *, timings: Timings = Timings(), worker_module: str = "core.memory.extract") -> None:
        self._timings = timings
        self._worker_module = worker_module
        self._semaphore = asyncio.Semaphore(MAX_CONCURRENT_READS)
        self._person_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """Each exists while a file of its person is being read or is waiting."""
        self._decoder = msgspec.json.Decoder(WorkerMessage | ImageRead)

    async def read(
        self,
        name: str,
        content: bytes,
        on_progress: ProgressCallback,
        *,
        person: str = "",
        max_chunks: int = DEFAULT_LIMITS.max_chunks,
    ) -> ChunkedFile:
        """Read a file. Raises `DocumentError`.

        Files of one person are read one after the other, so that they cannot delay everyone else.
        """

        async def on_message(message: WorkerMessage | ImageRead) -> ChunkedFile | None:
            if isinstance(message, ReadProgress):
                await on_progress(message.pages_read / max(1, message.page_count))
            return message.file if isinstance(message, ReadFinished) else None

        arguments = (self._worker_module, name[-MAX_NAME_CHARS:], str(max_chunks))
        return await self._run(arguments, content, person, on_message)

    async def read_image(self, content: bytes, max_side: int, *, person: str = "") -> ImageRead:
        """Prepare a picture for models (`core.memory.images`). Raises `DocumentError`."""

        async def on_message(message: WorkerMessage | ImageRead) -> ImageRead | None:
            return message if isinstance(message, ImageRead) else None

        return await self._run((IMAGE_MODULE, str(max_side)), content, person, on_message)

    async def _run(
        self,
        arguments: Sequence[str],
        content: bytes,
        person: str,
        on_message: Callable[[WorkerMessage | ImageRead], Awaitable[T | None]],
    ) -> T:
        """Run a module until `on_message` returns the result for one of its messages."""
        check_file_size(len(content))
        async with self._person_locks.setdefault(person, asyncio.Lock()), self._semaphore:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=_environment(),
                limit=MAX_LINE_BYTES,
            )
            sender = asyncio.create_task(_send(process, content))
            try:
                async with asyncio.timeout(self._timings.file_read_timeout):
                    while (result := await on_message(await self._receive(process))) is None:
                        pass
                    return result
            except TimeoutError:
                raise DocumentError("Reading took too long", DocumentFailure.SLOW) from None
            finally:
                sender.cancel()
                if process.returncode is None:
                    process.kill()
                await asyncio.gather(process.wait(), sender, return_exceptions=True)

    async def _receive(self, process: asyncio.subprocess.Process) -> WorkerMessage | ImageRead:
        assert process.stdout is not None  # noqa: S101 (a pipe)
        try:
            message: WorkerMessage | ImageRead = self._decoder.decode(await process.stdout.readline())
        except (msgspec.DecodeError, ValueError):
            # The process died, for example out of memory, or its output is not a message.
            raise DocumentError("The reading process failed", DocumentFailure.BROKEN) from None
        if isinstance(message, ReadFailed):
            raise DocumentError(message.message, message.failure)
        return message


async def _send(process: asyncio.subprocess.Process, content: bytes) -> None:
    assert process.stdin is not None  # noqa: S101 (a pipe)
    try:
        process.stdin.write(content)
        await process.stdin.drain()
    except ConnectionError:
        return  # the process stopped reading; its messages say why
    finally:
        process.stdin.close()


def _environment() -> dict[str, str]:
    inherited = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
    path = os.environ.get("PYTHONPATH")
    return {
        **inherited,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(PROJECT_ROOT), path))),
        "OPENBLAS_NUM_THREADS": "1",  # numpy would map memory for every processor, and the process may not have much
    }
