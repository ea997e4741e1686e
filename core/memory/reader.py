"""Reads files in a process of their own, within limits of time and memory."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from weakref import WeakValueDictionary

import msgspec

from core.errors import DocumentError, Unreadable
from core.memory.document import MOST_BYTES, MOST_CHARACTERS, Document
from core.memory.extract import Done, Refused, Told, Whole

__all__ = ["Progress", "Reader"]

Progress = Callable[[float], Awaitable[None]]
"""Is told which part of the work is done, 0 to 1."""

AT_ONCE = 2
LONGEST_LINE = 8 * MOST_CHARACTERS  # bytes
KEPT = ("PATH", "SYSTEMROOT", "LANG", "LC_ALL", "TMPDIR", "TEMP")
"""Of the environment: no key or token is that process's business."""
ROOT = Path(__file__).parents[2]


class Reader:
    """`patience` is seconds for one file; `program` what reads it."""

    def __init__(self, *, patience: float = 120.0, program: str = "core.memory.extract") -> None:
        self._patience = patience
        self._program = program
        self._free = asyncio.Semaphore(AT_ONCE)
        self._lines: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._decoder = msgspec.json.Decoder(Told)

    async def read(
        self, name: str, content: bytes, progress: Progress, *, person: str = ""
    ) -> Document:
        """One file of a `person` at a time, so that nobody holds up everybody.

        Raises `DocumentError`.
        """
        if len(content) > MOST_BYTES:
            raise DocumentError(f"It has {len(content):,} bytes", Unreadable.TOO_LARGE)
        # Gone with the last file that waits for it.
        async with self._lines.setdefault(person, asyncio.Lock()), self._free:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", self._program, name[-100:],
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=_environment(),
                limit=LONGEST_LINE,
            )  # fmt: skip
            feeding = asyncio.create_task(_feed(process, content))
            try:
                async with asyncio.timeout(self._patience):
                    return await self._hear(process, progress)
            except TimeoutError:
                raise DocumentError("It took too long", Unreadable.SLOW) from None
            finally:
                feeding.cancel()
                if process.returncode is None:
                    process.kill()
                await asyncio.gather(process.wait(), feeding, return_exceptions=True)

    async def _hear(self, process: asyncio.subprocess.Process, progress: Progress) -> Document:
        assert process.stdout is not None  # noqa: S101 (asked for)
        while True:
            try:
                told = self._decoder.decode(await process.stdout.readline())
            except (msgspec.DecodeError, ValueError):
                # It died (its memory ran out), or says what it never should.
                raise DocumentError("Reading it failed", Unreadable.BROKEN) from None
            match told:
                case Whole(document):
                    return document
                case Refused(reason, said):
                    raise DocumentError(said, reason)
                case Done(pages, of):
                    await progress(pages / max(1, of))


async def _feed(process: asyncio.subprocess.Process, content: bytes) -> None:
    assert process.stdin is not None  # noqa: S101 (asked for)
    try:
        process.stdin.write(content)
        await process.stdin.drain()
    except ConnectionError:
        return  # it has heard enough, or died: what it said tells
    finally:
        process.stdin.close()


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    path = os.environ.get("PYTHONPATH")
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), path)))}
