"""A bot in a process of its own: how it is started, and what it uses."""

import asyncio
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[3]
INHERITED_VARIABLES = ("HOME", "LANG", "PATH", "TMPDIR")
STOP_SECONDS = 30
COMMANDS = {
    "parley": ("bots.cli", "run"),
    "floor": ("tests.benchmarks.answers.floor_{platform}",),
    "naive": ("tests.benchmarks.answers.naive_{platform}",),
}
"""Modules and arguments, by name of the bot."""


class BotProcess:
    """Runs in a folder of its own, which gets its output."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._root = psutil.Process(process.pid)

    @classmethod
    async def start(
        cls, bot: str, platform: str, environment: dict[str, str], folder: Path, *options: str
    ) -> "BotProcess":
        module, *arguments = (part.format(platform=platform) for part in COMMANDS[bot])
        inherited = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
        with (folder / "output.txt").open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                module,
                *arguments,
                *options,
                cwd=folder,
                env={**inherited, "PYTHONPATH": str(ROOT), **environment},
                stdout=output,
                stderr=output,
            )
        return cls(process)

    @property
    def started_at(self) -> float:
        """By the monotonic clock."""
        return float(self._root.create_time()) - time.time() + time.monotonic()

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    async def wait(self) -> None:
        await self._process.wait()

    def cpu_seconds(self) -> float:
        """User and system time of the process and its children, also those that have ended."""
        return cpu_seconds(self._root)

    def memory_bytes(self) -> int:
        """Resident memory of the process and its children."""
        return sum(int(process.memory_info().rss) for process in _with_children(self._root))

    async def stop(self) -> None:
        if self.is_running:
            self._process.terminate()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        if self.is_running:
            self._process.kill()
            await self._process.wait()


def cpu_seconds(root: psutil.Process) -> float:
    """User and system time of a process and its children, also those that have ended."""
    ended = root.cpu_times()
    times = [process.cpu_times() for process in _with_children(root)]
    return sum(float(t.user + t.system) for t in times) + float(ended.children_user + ended.children_system)


def _with_children(root: psutil.Process) -> list[psutil.Process]:
    return [root, *root.children(recursive=True)]
