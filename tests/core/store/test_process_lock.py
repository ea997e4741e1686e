"""One process serves from an embedded database."""

import asyncio
import sys
from pathlib import Path

import pytest

from core.errors import UnavailableError
from core.store.process_lock import process_lock
from core.timings import Timings

LOCKING_PROGRAM = """
import asyncio, sys
from pathlib import Path
from core.store.process_lock import process_lock

async def main():
    async with process_lock(Path(sys.argv[1])):
        print("locked", flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


@pytest.mark.slow
async def test_second_process_names_lock_owner(tmp_path: Path) -> None:
    database = tmp_path / "parley.sqlite3"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        LOCKING_PROGRAM,
        str(database),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        assert await process.stdout.readline() == b"locked\n"
    with pytest.raises(UnavailableError, match=str(process.pid)):
        async with process_lock(database, timings=Timings(process_lock_timeout=0.3, process_lock_poll_interval=0.1)):
            pass
    process.kill()
    await process.wait()
    async with asyncio.timeout(5), process_lock(database):
        pass  # the lock ended with the process
