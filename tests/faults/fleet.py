"""Real `parley run` processes that tests start, kill, freeze and terminate."""

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, func, select

from core.errors import StoreError, UnavailableError
from core.store.database import Store
from core.store.schema import IS_OPEN, messages, turns
from tests.end_to_end.harness import READY_SECONDS, Harness
from tests.faults.questions import PROMPT
from tests.waiting import wait_until

MAX_LOG_CHARS = 8000
EXIT_SECONDS = 25.0
"""Within which a process must exit after SIGTERM."""


class Fleet:
    """`count` processes with the same environment, plus one of `environments` each.

    With `restarts_unavailable`, a process that exits because the database is unavailable is started again, as a
    supervisor does.
    """

    def __init__(
        self,
        harness: Harness,
        folder: Path,
        count: int = 1,
        *,
        environments: Sequence[Mapping[str, str]] = (),
        restarts_unavailable: bool = False,
        **environment: str,
    ) -> None:
        self._environment = {
            **os.environ,
            **harness.environment(),
            "PARLEY_MESSAGES_A_MINUTE": "1000",
            "PARLEY_QUOTAS": "*=0",
            "PARLEY_STALL_TIMEOUT": "600",
            **environment,
        }
        self._environments = environments
        self._harness = harness
        self._folder = folder
        self._processes: list[asyncio.subprocess.Process | None] = [None] * count
        self._restarts_unavailable = restarts_unavailable
        self._supervisors: dict[int, asyncio.Task[None]] = {}
        self.events: list[str] = []
        """When processes were started, killed, frozen and terminated, or ended without a database."""
        self.kill_times: list[float] = []
        """Monotonic times at which a process was killed."""
        self.unexpected_exits: list[int] = []
        """Exit codes of processes that ended by themselves."""
        self.stored: Counter[str] | None = None
        """How often each question is in the database; the key "open" counts unfinished turns."""

    @property
    def log_path(self) -> Path:
        return self._folder / "bot.log"

    def running(self) -> list[int]:
        """The numbers of the processes that run now."""
        return [number for number, process in enumerate(self._processes) if process and process.returncode is None]

    async def wait_until_running(self) -> None:
        """Wait until all processes run."""
        await wait_until(lambda: len(self.running()) == len(self._processes), READY_SECONDS)

    async def start(self, number: int = 0) -> None:
        previous = self._processes[number]
        if previous is not None and previous.returncode is None:
            raise RuntimeError(f"process {number} is still running")
        await self._spawn(number)
        if self._restarts_unavailable:
            self._supervisors[number] = asyncio.create_task(self._supervise(number))

    async def _supervise(self, number: int) -> None:
        while await self._process(number).wait() == UnavailableError.exit_code:
            self._note("database unavailable", number)
            await self._spawn(number)

    def _stop_supervising(self, number: int) -> None:
        if number in self._supervisors:
            self._supervisors.pop(number).cancel()

    async def _spawn(self, number: int) -> None:
        self._note("started", number)
        environment = {
            **self._environment,
            **(self._environments[number] if self._environments else {}),
        }
        with self.log_path.open("ab") as log:
            self._processes[number] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bots.cli", "run", env=environment, stderr=log
            )

    async def start_all(self) -> None:
        """Start all processes and wait until the bot receives on every platform."""
        await self.start_listening(*range(len(self._processes)))
        await self._harness.discord.wait_until_ready(READY_SECONDS)

    async def start_listening(self, *numbers: int) -> None:
        """Start these processes and wait until one of them receives from Telegram."""
        started_at = time.monotonic()
        for number in numbers:
            await self.start(number)
        if "TELEGRAM_BOT_TOKEN" in self._environment:
            await self._harness.telegram.wait_for(lambda: self._harness.poll_count(started_at) > 0, READY_SECONDS)

    async def kill(self, number: int = 0) -> None:
        """Kill the process with SIGKILL."""
        process = self._process(number)
        if process.returncode is None:
            self._stop_supervising(number)
            self._note("killed", number)
            process.kill()
            self.kill_times.append(time.monotonic())
        else:
            self.unexpected_exits.append(process.returncode)
        await process.wait()

    def freeze(self, number: int) -> None:
        self._note("frozen", number)
        self._process(number).send_signal(signal.SIGSTOP)

    def resume(self, number: int) -> None:
        self._note("resumed", number)
        self._process(number).send_signal(signal.SIGCONT)

    def _process(self, number: int) -> asyncio.subprocess.Process:
        process = self._processes[number]
        assert process is not None
        return process

    async def terminate(self, number: int = 0) -> float:
        """Send SIGTERM; return the seconds until the exit. Raises `TimeoutError`."""
        process = self._process(number)
        started_at = time.monotonic()
        if process.returncode is None:
            self._note("terminated", number)
            process.terminate()
        async with asyncio.timeout(EXIT_SECONDS):
            await process.wait()
        return time.monotonic() - started_at

    async def wait_until_idle(self, timeout: float) -> None:
        """Wait until every turn in the database is finished, at most `timeout` seconds.

        The chats alone cannot show this: a failure notice does not always tell which question it belongs to.
        """
        store = Store(self._environment["DATABASE_URL"])

        async def is_idle() -> bool:
            with suppress(StoreError):
                pending = self._harness.telegram.updates.pending
                self.stored = await store.read(_stored_questions)
                return not (pending or self.stored["open"])
            return False

        try:
            with suppress(TimeoutError):
                await wait_until(is_idle, timeout, interval_seconds=0.2)
        finally:
            await store.close()

    async def close(self) -> None:
        """Terminate all processes; kill those that do not exit in time."""
        for supervisor in self._supervisors.values():
            supervisor.cancel()
        await asyncio.gather(*self._supervisors.values(), return_exceptions=True)
        running = [(number, process) for number, process in enumerate(self._processes) if process is not None]
        self.unexpected_exits += [p.returncode for _, p in running if p.returncode not in (None, 0, -9)]
        try:
            await asyncio.gather(*(self.terminate(number) for number, _ in running))
        finally:
            for _, process in running:
                if process.returncode is None:
                    process.kill()
                    await process.wait()

    def _note(self, event: str, number: int) -> None:
        self.events.append(f"{datetime.now(UTC):%H:%M:%S.%f} process {number}: {event}")

    def log_end(self) -> str:
        """The last lines of the processes' log."""
        return self.log_path.read_text(errors="replace")[-MAX_LOG_CHARS:] if self.log_path.exists() else ""

    def defect_lines(self) -> list[str]:
        """Log lines that only a defect produces."""
        markers = ("turn broke", "never retrieved", "Unclosed")
        lines = self.log_path.read_text(errors="replace").splitlines()
        return [
            line[:2000] for line in lines if line.startswith("Traceback") or any(marker in line for marker in markers)
        ]


def _stored_questions(connection: Connection) -> Counter[str]:
    counts: Counter[str] = Counter()
    for text in connection.scalars(select(messages.c.text).where(messages.c.role == "user")):
        counts.update(PROMPT.findall(text))
    counts["open"] = connection.scalar(select(func.count()).select_from(turns).where(IS_OPEN)) or 0
    return counts
