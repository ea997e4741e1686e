"""What the service manager learns, and when: messages over a real socket."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from structlog.testing import capture_logs

from bots.service_notifier import START_INTERVAL, ServiceNotifier
from core.health import Health
from tests.clock import FakeClock

WATCHDOG_SECONDS = 6.0


class SwitchedHealth:
    def __init__(self) -> None:
        self.liveness: list[str] = []
        self.readiness: list[str] = []

    def liveness_problems(self) -> list[str]:
        return self.liveness

    def readiness_problems(self) -> list[str]:
        return self.readiness


class Manager:
    """The receiving end."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1))
        self._socket.setblocking(False)

    def read(self) -> list[str]:
        """The lines of all messages that have arrived since the last call."""
        lines: list[str] = []
        while True:
            try:
                lines += self._socket.recv(4096).decode().split("\n")
            except BlockingIOError:
                return lines

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def address(tmp_path: Path) -> str:
    return str(tmp_path / "notify")


@pytest.fixture
def manager(address: str) -> Iterator[Manager]:
    manager = Manager(address)
    yield manager
    manager.close()


@asynccontextmanager
async def notifying(
    address: str, clock: FakeClock, *, watchdog: float | None = WATCHDOG_SECONDS
) -> AsyncIterator[tuple[ServiceNotifier, asyncio.Event]]:
    notifier, stop_requested = ServiceNotifier(address, watchdog, clock=clock), asyncio.Event()
    async with notifier.running(stop_requested):
        await clock.settle()
        yield notifier, stop_requested


def watch(notifier: ServiceNotifier) -> SwitchedHealth:
    health = SwitchedHealth()
    notifier.watch(cast("Health", health))
    return health


async def test_start_may_take_long(manager: Manager, address: str) -> None:
    """A migration, or a platform that cannot be reached, is no reason to kill the process."""
    clock = FakeClock()
    async with notifying(address, clock) as (notifier, _):
        assert manager.read() == ["EXTEND_TIMEOUT_USEC=60000000", "STATUS=Starting"]
        watch(notifier).readiness = ["no platform is connected"]
        await clock.advance(START_INTERVAL)
        assert manager.read() == ["STATUS=no platform is connected", "EXTEND_TIMEOUT_USEC=60000000"]


async def test_start_is_not_extended_without_hope(manager: Manager, address: str) -> None:
    clock = FakeClock()
    async with notifying(address, clock) as (notifier, _):
        health = watch(notifier)
        health.readiness, health.liveness = ["no platform is connected"], ["no platform has been connected for 601 s"]
        manager.read()
        await clock.advance(START_INTERVAL)
        assert manager.read() == ["STATUS=no platform has been connected for 601 s; no platform is connected"]


async def test_ready_is_sent_once(manager: Manager, address: str) -> None:
    clock = FakeClock()
    async with notifying(address, clock) as (notifier, _):
        manager.read()
        health = watch(notifier)
        await clock.advance(START_INTERVAL)
        assert manager.read() == ["STATUS=Serving", "READY=1", "WATCHDOG=1"]
        health.readiness = ["the database does not answer"]
        await clock.advance(WATCHDOG_SECONDS / 3)
        assert manager.read() == ["STATUS=the database does not answer", "WATCHDOG=1"]
        health.readiness = []
        await clock.advance(WATCHDOG_SECONDS / 3)
        assert manager.read() == ["STATUS=Serving", "WATCHDOG=1"]


async def test_watchdog_is_fed_only_while_the_process_is_alive(manager: Manager, address: str) -> None:
    clock = FakeClock()
    async with notifying(address, clock) as (notifier, _):
        health = watch(notifier)
        await clock.advance(START_INTERVAL)
        health.liveness = ["no platform has been connected for 601 s"]
        manager.read()
        await clock.advance(2 * WATCHDOG_SECONDS)
        assert set(manager.read()) == {"STATUS=no platform has been connected for 601 s"}
        health.liveness = []
        await clock.advance(WATCHDOG_SECONDS)
        assert manager.read().count("WATCHDOG=1") == 3, "in time, although a message may be late"


async def test_status_is_current_without_a_watchdog(manager: Manager, address: str) -> None:
    clock = FakeClock()
    async with notifying(address, clock, watchdog=None) as (notifier, _):
        health = watch(notifier)
        await clock.advance(START_INTERVAL)
        manager.read()
        health.readiness = ["the database does not answer"]
        await clock.advance(10)
        assert "STATUS=the database does not answer" in manager.read()


async def test_stop_is_announced_at_once(manager: Manager, address: str) -> None:
    clock = FakeClock()
    async with notifying(address, clock) as (_, stop_requested):
        manager.read()
        stop_requested.set()
        await clock.settle()
        assert manager.read() == ["STOPPING=1", "STATUS=Stopping"]
        await clock.advance(60)
    assert manager.read() == []


async def test_failure_is_announced_as_stop(manager: Manager, address: str) -> None:
    async with notifying(address, FakeClock()):
        manager.read()
    assert manager.read() == ["STOPPING=1", "STATUS=Stopping"]


async def test_abstract_address() -> None:
    address = f"@parley-test-{os.getpid()}"
    manager = Manager(address)
    async with notifying(address, FakeClock()):
        assert "STATUS=Starting" in manager.read()
    manager.close()


async def test_missing_manager_is_logged_once_and_harms_nothing(address: str) -> None:
    clock = FakeClock()
    with capture_logs() as logs:
        async with notifying(address, clock):
            await clock.advance(10 * START_INTERVAL)
    assert [entry["event"] for entry in logs] == ["service.not_notified"]


async def test_nothing_is_sent_without_an_address() -> None:
    clock = FakeClock()
    async with ServiceNotifier(None, clock=clock).running(asyncio.Event()):
        await clock.settle()
        assert clock.pending() == []


@pytest.mark.parametrize(
    ("microseconds", "process_id", "interval"),
    [
        ("6000000", str(os.getpid()), 2.0),
        ("6000000", "", 2.0),
        ("6000000", "1", 10.0),
        ("", "", 10.0),
        ("nonsense", "", 10.0),
    ],
    ids=["this process", "any process", "another process", "no watchdog", "no number"],
)
async def test_environment_of_the_manager(
    microseconds: str, process_id: str, interval: float, manager: Manager, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watchdog for another process is none of ours, and child processes inherit nothing."""
    clock = FakeClock()
    variables = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": microseconds, "WATCHDOG_PID": process_id}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    notifier = ServiceNotifier.from_environment(clock=clock)
    assert not variables.keys() & os.environ.keys()
    async with notifier.running(asyncio.Event()):
        watch(notifier)
        await clock.settle()
        manager.read()
        await clock.advance(interval - 0.1)
        assert "WATCHDOG=1" not in manager.read()
        await clock.advance(0.2)
        assert "WATCHDOG=1" in manager.read()
