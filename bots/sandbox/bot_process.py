"""The bot as a process of its own, connected to the stand-ins: it can be killed and started again."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum

from bots.adapters import SETTINGS_SECTIONS
from core.settings import setting_variables

SHUTDOWN_TIMEOUT_SECONDS = 20.0
MAX_LOG_LINE_BYTES = 1_000_000


class BotState(StrEnum):
    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    KILLED = "killed"


class BotProcess:
    """`parley run` with the settings in `environment`. `on_log_line` gets the lines of its log.

    Of the variables of the caller's settings, it uses those for the API.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        on_log_line: Callable[[bytes], None],
        on_state: Callable[["BotProcess"], None] = lambda _: None,
    ) -> None:
        settings = {name for name in setting_variables(SETTINGS_SECTIONS) if not name.startswith("IOINTELLIGENCE_")}
        inherited = {name: value for name, value in os.environ.items() if name not in settings}
        self.state = BotState.STOPPED
        self._environment = {**inherited, **environment}
        self._on_log_line = on_log_line
        self._on_state = on_state
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start the process if it does not run."""
        if self._process is not None:
            return
        self._set_state(BotState.STARTING)
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bots.cli",
            "run",
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=MAX_LOG_LINE_BYTES,
        )
        self._watcher = asyncio.create_task(self._watch(self._process))

    def set_running(self) -> None:
        """The bot has connected to the platforms."""
        if self.state is BotState.STARTING:
            self._set_state(BotState.RUNNING)

    async def kill(self) -> None:
        """End the process without any warning."""
        if self._process is None:
            return
        self._set_state(BotState.KILLED)
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._ended()

    async def close(self) -> None:
        """Ask the process to end, and force it if it takes too long."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            self._process.terminate()
        try:
            async with asyncio.timeout(SHUTDOWN_TIMEOUT_SECONDS):
                await self._ended()
        except TimeoutError:
            await self.kill()

    async def _ended(self) -> None:
        if self._watcher is not None:
            await asyncio.shield(self._watcher)

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Pass on the log until the process ends."""
        while process.stderr is not None and (line := await process.stderr.readline()):
            self._on_log_line(line)
        await process.wait()
        self._process = None
        self._set_state(BotState.KILLED if self.state is BotState.KILLED else BotState.STOPPED)

    def _set_state(self, state: BotState) -> None:
        self.state = state
        self._on_state(self)
