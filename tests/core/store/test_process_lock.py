"""An embedded database is served from by one process."""

import asyncio
import sys
from pathlib import Path

import pytest

from core.errors import UnavailableError
from core.store import process_lock as module
from core.store.process_lock import process_lock

HOLDING_PROGRAM = """
import asyncio, sys
from pathlib import Path
from core.store.process_lock import process_lock

async def main():
    async with process_lock(Path(sys.argv[1])):
        print("held", flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


@pytest.mark.slow
async def test_second_process_names_lock_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCK_TIMEOUT_SECONDS", 0.3)
    database = tmp_path / "parley.sqlite3"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        HOLDING_PROGRAM,
        str(database),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        assert await process.stdout.readline() == b"held\n"
    with pytest.raises(UnavailableError, match=str(process.pid)):
        async with process_lock(database):
            pass
    process.kill()
    await process.wait()
    async with asyncio.timeout(5), process_lock(database):
        pass  # the lock went with the process
