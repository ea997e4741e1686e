"""As much of systemd as a service of `Type=notify` meets: the socket for its messages, and the watchdog."""

import asyncio
import socket
import time
from collections.abc import Callable
from pathlib import Path

from tests.waiting import wait_until


class ServiceManager(asyncio.DatagramProtocol):
    def __init__(self, folder: Path, watchdog_seconds: float) -> None:
        self._address = str(folder / "notify")
        self._watchdog_seconds = watchdog_seconds
        self._last_sign_of_life = time.monotonic()
        self._transport: asyncio.DatagramTransport | None = None
        self.lines: list[str] = []

    def environment(self) -> dict[str, str]:
        return {"NOTIFY_SOCKET": self._address, "WATCHDOG_USEC": f"{self._watchdog_seconds * 1_000_000:.0f}"}

    async def start(self) -> None:
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        receiver.bind(self._address)
        receiver.setblocking(False)
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=receiver)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, _address: object) -> None:
        lines = data.decode().split("\n")
        if "WATCHDOG=1" in lines:
            self._last_sign_of_life = time.monotonic()
        self.lines += lines

    @property
    def is_ready(self) -> bool:
        return "READY=1" in self.lines

    @property
    def status(self) -> str:
        return next((line.removeprefix("STATUS=") for line in reversed(self.lines) if line.startswith("STATUS=")), "")

    async def wait_for(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        await wait_until(condition, seconds)

    async def wait_until_expired(self, seconds: float = 60) -> None:
        """Until the watchdog has been without a sign of life for so long that systemd would abort the service."""
        await wait_until(lambda: time.monotonic() - self._last_sign_of_life > self._watchdog_seconds, seconds)
