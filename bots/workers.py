"""`parley run --workers N`: one process per core, because Python uses one core per process.

The workers are ordinary `parley run` processes on one PostgreSQL database. Their supervisor starts them, replaces those
that end and passes on the signal to stop.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence

import structlog

from core.backoff import Backoff
from core.clock import Clock, SystemClock, run_until, wait_for_any
from core.errors import ConfigurationError

log = structlog.get_logger(__name__)

WORKER_VARIABLE = "PARLEY_WORKER"
"""The environment variable with a worker's number. Workers may listen on the same port."""
FIRST_RESTART_DELAY = 0.5
MAX_RESTART_DELAY = 30.0
STABLE_SECONDS = 60.0
"""A worker that has run for this long is restarted without a longer delay."""
EXIT_DEADLINE = 30.0
"""Seconds after which a worker that was told to stop is killed. Workers have a shorter deadline of their own."""


class WorkerSupervisor:
    """Keeps `count` processes of `command` running."""

    def __init__(self, command: Sequence[str], count: int, *, clock: Clock = SystemClock()) -> None:
        self._command = command
        self._count = count
        self._clock = clock
        self._stop_requested = asyncio.Event()
        self._exit_code = 0

    def stop(self) -> None:
        self._stop_requested.set()

    async def run(self) -> int:
        """Run until `stop`, or until a worker finds an error in the configuration. Returns the exit code."""
        async with asyncio.TaskGroup() as group:
            for number in range(1, self._count + 1):
                group.create_task(self._keep_running(number))
        return self._exit_code

    async def _keep_running(self, number: int) -> None:
        backoff = Backoff(FIRST_RESTART_DELAY, MAX_RESTART_DELAY)
        while not self._stop_requested.is_set():
            started_at = self._clock.monotonic()
            environment = os.environ | {WORKER_VARIABLE: f"{number}"}
            process = await asyncio.create_subprocess_exec(*self._command, env=environment)
            log.info("worker.started", worker=number, pid=process.pid)
            await run_until(self._stop_requested, process.wait())
            if process.returncode is None:
                await self._end(process)
                return
            if process.returncode == ConfigurationError.exit_code:
                self._exit_code = ConfigurationError.exit_code
                self.stop()
                return
            if self._clock.monotonic() - started_at > STABLE_SECONDS:
                backoff.reset()
            delay = backoff.next_delay()
            log.warning(
                "worker.ended", worker=number, pid=process.pid, code=process.returncode, restart_in=round(delay, 1)
            )
            await run_until(self._stop_requested, self._clock.sleep(delay))

    async def _end(self, process: Process) -> None:
        process.terminate()
        exited = asyncio.create_task(process.wait())
        await wait_for_any({exited}, EXIT_DEADLINE, self._clock)
        if process.returncode is None:
            process.kill()
        await exited


async def run_workers(count: int, options: Sequence[str]) -> int:
    """Run `count` processes of `parley run` with `options` until SIGINT or SIGTERM. Returns the exit code."""
    supervisor = WorkerSupervisor([sys.executable, "-m", "bots.cli", "run", *options], count)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, supervisor.stop)
    return await supervisor.run()
