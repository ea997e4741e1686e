"""`parley run --workers N`."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bots.workers import WorkerSupervisor
from core.errors import ConfigurationError
from tests.bots.test_shutdown import running_process
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

WRITE_PID = "import os, pathlib, sys, time; pathlib.Path(sys.argv[1], str(os.getpid())).touch(); "


def pids(folder: Path) -> set[int]:
    return {int(path.name) for path in folder.iterdir()}


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@asynccontextmanager
async def running_supervisor(folder: Path, script: str, count: int = 2) -> AsyncIterator["asyncio.Task[int]"]:
    supervisor = WorkerSupervisor([sys.executable, "-c", WRITE_PID + script, str(folder)], count)
    task = asyncio.create_task(supervisor.run())
    try:
        yield task
    finally:
        supervisor.stop()
        await task


async def test_killed_worker_is_replaced_and_all_stop(tmp_path: Path) -> None:
    async with running_supervisor(tmp_path, "time.sleep(60)") as task:
        await wait_until(lambda: len(pids(tmp_path)) == 2, 20)
        killed = min(pids(tmp_path))
        os.kill(killed, signal.SIGKILL)
        await wait_until(lambda: len(pids(tmp_path)) == 3, 20)
    assert task.result() == 0
    assert not any(map(is_running, pids(tmp_path)))


async def test_configuration_error_ends_all_workers(tmp_path: Path) -> None:
    async with running_supervisor(
        tmp_path, "sys.exit(78 * (os.environ['PARLEY_WORKER'] == '2') or time.sleep(60))"
    ) as task:
        await asyncio.wait_for(asyncio.shield(task), 20)
    assert task.result() == ConfigurationError.exit_code
    assert not any(map(is_running, pids(tmp_path)))


def test_workers_need_postgresql(tmp_path: Path) -> None:
    with running_process("-m", "bots.cli", "run", "--workers", "2", folder=tmp_path) as process:
        _, errors = process.communicate(timeout=30)
    assert process.returncode == ConfigurationError.exit_code
    assert "PostgreSQL" in errors
