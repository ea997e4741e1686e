"""Tells the service manager how the process is: systemd's `sd_notify` protocol, for units of `Type=notify`.

The manager learns when the bot serves, what it waits for and that it stops. While the bot is alive, it feeds the
manager's watchdog; a process that is blocked, or cannot reach any platform for too long, is replaced.

Each message is one datagram of lines such as `READY=1`. Without `NOTIFY_SOCKET`, nothing is sent.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from core.clock import Clock, SystemClock, run_until
from core.health import Health

log = structlog.get_logger(__name__)

SOCKET_VARIABLE = "NOTIFY_SOCKET"
WATCHDOG_VARIABLES = ("WATCHDOG_USEC", "WATCHDOG_PID")
START_INTERVAL = 1.0
"""Seconds between two messages until the bot is ready."""
MAX_INTERVAL = 10.0
"""Seconds between two messages once the bot is ready. A watchdog that expects messages more often gets them."""
START_EXTENSION = 60.0
"""While it starts, the bot asks for as many more seconds with each message."""
MICROSECONDS = 1_000_000


class ServiceNotifier:
    """`address` is that of a Unix datagram socket; `watchdog_seconds` how long the manager waits for a sign of life."""

    def __init__(
        self, address: str | None, watchdog_seconds: float | None = None, *, clock: Clock = SystemClock()
    ) -> None:
        self._address = address
        self._watchdog_seconds = watchdog_seconds
        self._clock = clock
        self._health: Health | None = None
        self._is_ready = False
        self._failure_logged = False

    @classmethod
    def from_environment(cls, *, clock: Clock = SystemClock()) -> "ServiceNotifier":
        """The notifier for the manager that started this process. Processes that this one starts get none."""
        address = os.environ.pop(SOCKET_VARIABLE, None)
        microseconds, process_id = (os.environ.pop(name, "") for name in WATCHDOG_VARIABLES)
        has_watchdog = microseconds.isdecimal() and process_id in ("", str(os.getpid()))
        return cls(address, int(microseconds) / MICROSECONDS if has_watchdog else None, clock=clock)

    def watch(self, health: Health) -> None:
        """From now on, `health` decides whether the bot is ready and alive."""
        self._health = health

    @asynccontextmanager
    async def running(self, stop_requested: asyncio.Event) -> AsyncIterator[None]:
        """Send messages until `stop_requested` is set or the block ends."""
        task = asyncio.create_task(self._run(stop_requested), name="service notifier") if self._address else None
        try:
            yield
        finally:
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _run(self, stop_requested: asyncio.Event) -> None:
        try:
            while not stop_requested.is_set():
                self._send(*self._report())
                await run_until(stop_requested, self._clock.sleep(self._interval()))
        finally:
            self._send("STOPPING=1", "STATUS=Stopping")

    def _report(self) -> list[str]:
        if self._health is None:
            return [_extension(), "STATUS=Starting"]
        liveness, readiness = self._health.liveness_problems(), self._health.readiness_problems()
        messages = [f"STATUS={'; '.join(liveness + readiness) or 'Serving'}"]
        if not readiness and not self._is_ready:
            self._is_ready = True
            messages.append("READY=1")
        if not liveness:
            messages.append("WATCHDOG=1" if self._is_ready else _extension())
        return messages

    def _interval(self) -> float:
        if not self._is_ready:
            return START_INTERVAL
        return min(MAX_INTERVAL, self._watchdog_seconds / 3) if self._watchdog_seconds else MAX_INTERVAL

    def _send(self, *messages: str) -> None:
        """Never fails and never waits: the bot must not depend on its manager."""
        assert self._address is not None  # noqa: S101 (checked by `running`)
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
                manager.setblocking(False)
                manager.sendto("\n".join(messages).encode(), address)
        except OSError as error:
            if not self._failure_logged:
                log.warning("service.not_notified", error=error.strerror)
            self._failure_logged = True


def _extension() -> str:
    return f"EXTEND_TIMEOUT_USEC={START_EXTENSION * MICROSECONDS:.0f}"
