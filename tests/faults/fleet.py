"""The bot as processes of its own, and what is done to them."""

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection, select

from core.errors import StoreError, UnavailableError
from core.store.database import Store
from core.store.schema import turns
from tests.end_to_end.world import World
from tests.faults.questions import ASKED

__all__ = ["Fleet"]

READY_IN = 30.0  # seconds
GONE_IN = 25.0  # seconds in which a process that was told to end must be gone
LOOK = 0.2  # seconds between looks for what is still open


class Fleet:
    """`count` times `parley run` with the same environment, but for `each` process's own."""

    def __init__(
        self,
        world: World,
        folder: Path,
        count: int = 1,
        *,
        each: Sequence[Mapping[str, str]] = (),
        **environment: str,
    ) -> None:
        self._environment = {
            **os.environ,
            **world.environment(),
            "PARLEY_MESSAGES_A_MINUTE": "1000",
            "PARLEY_QUOTAS": "*=0",
            **environment,
        }
        self._each = each
        self._world = world
        self._folder = folder
        self._processes: list[asyncio.subprocess.Process | None] = [None] * count
        self.kills: list[float] = []
        """When (monotonic) a process was killed."""
        self.died: list[int] = []
        """Exit codes of those that ended by themselves."""
        self.kept: Counter[str] | None = None
        """How often each question is in the database, and of those not ended "open"."""

    @property
    def log(self) -> Path:
        return self._folder / "bot.log"

    def pid(self, number: int = 0) -> int:
        process = self._processes[number]
        assert process is not None
        return process.pid

    async def start(self, number: int = 0) -> None:
        old = self._processes[number]
        if old is not None and old.returncode is None:
            raise RuntimeError("it still runs")
        environment = {**self._environment, **(self._each[number] if self._each else {})}
        with self.log.open("ab") as log:
            self._processes[number] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bots.cli", "run", env=environment, stderr=log
            )

    async def start_all(self) -> None:
        """Start what does not run; ends when the bot listens on every platform."""
        await self.listening(*range(len(self._processes)))
        await self._world.discord.ready(READY_IN)

    async def listening(self, *numbers: int) -> None:
        """Start some; ends when one of them listens to Telegram."""
        began = time.monotonic()
        for number in numbers:
            await self.start(number)
        if "TELEGRAM_BOT_TOKEN" in self._environment:
            await self._world.telegram.wait(lambda: self._world.polls(began) > 0, READY_IN)

    async def kill(self, number: int = 0) -> None:
        """End it in the middle of whatever it does."""
        process = self._processes[number]
        assert process is not None
        if process.returncode is None:
            process.kill()
            self.kills.append(time.monotonic())
        else:
            self.died.append(process.returncode)
        await process.wait()

    def freeze(self, number: int) -> None:
        os.kill(self.pid(number), signal.SIGSTOP)

    def thaw(self, number: int) -> None:
        os.kill(self.pid(number), signal.SIGCONT)

    async def revive(self) -> None:
        """Do a supervisor's work: start anew what found its database away as it started."""
        for number, process in enumerate(self._processes):
            if process is not None and process.returncode == UnavailableError.exit_code:
                await self.start(number)

    async def end(self, number: int = 0) -> float:
        """Tell it to end; how many seconds it took. Raises `TimeoutError`."""
        process = self._processes[number]
        assert process is not None
        began = time.monotonic()
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(GONE_IN):
            await process.wait()
        return time.monotonic() - began

    async def idle(self, timeout: float) -> None:
        """Wait until nothing that was asked is open, as the database knows it: what people see
        does not tell to which of two questions a word about a failure belongs. After `timeout`
        seconds it is left as it is, to be judged.
        """
        store = Store(self._environment["DATABASE_URL"])
        until = time.monotonic() + timeout
        try:
            while time.monotonic() < until:
                with suppress(StoreError):
                    pending = self._world.telegram.updates.pending
                    self.kept = await store.read(_kept)
                    if not (pending or self.kept["open"]):
                        return
                await asyncio.sleep(LOOK)
        finally:
            await store.close()

    async def close(self) -> None:
        """End all, gently where that is possible."""
        running = [
            (number, process)
            for number, process in enumerate(self._processes)
            if process is not None
        ]
        self.died += [p.returncode for _, p in running if p.returncode not in (None, 0, -9)]
        try:
            await asyncio.gather(*(self.end(number) for number, _ in running))
        finally:
            for _, process in running:
                if process.returncode is None:
                    process.kill()
                    await process.wait()

    def broken(self) -> list[str]:
        """Lines of the log that only a defect writes."""
        signs = ("turn broke", "never retrieved", "Unclosed")
        lines = self.log.read_text(errors="replace").splitlines()
        return [
            line[:2000]
            for line in lines
            if line.startswith("Traceback") or any(sign in line for sign in signs)
        ]


def _kept(connection: Connection) -> Counter[str]:
    kept: Counter[str] = Counter()
    for incoming, ended in connection.execute(select(turns.c.incoming, turns.c.finished)):
        kept.update(ASKED.findall(incoming))
        kept["open"] += ended is None
    return kept
