"""An embedded database is served from by one process."""

import asyncio
import sys
from pathlib import Path

import pytest

from core.errors import UnavailableError
from core.store import alone as module
from core.store.alone import alone

HOLD = """
import asyncio, sys
from pathlib import Path
from core.store.alone import alone

async def main():
    async with alone(Path(sys.argv[1])):
        print("held", flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


async def test_a_second_process_waits_then_says_which_one_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    database = tmp_path / "parley.sqlite3"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD, str(database),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(20):
        assert await process.stdout.readline() == b"held\n"
    with pytest.raises(UnavailableError, match=str(process.pid)):
        async with alone(database):
            pass
    process.kill()
    await process.wait()
    async with asyncio.timeout(5), alone(database):
        pass  # the lock went with the process
