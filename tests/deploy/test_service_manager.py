"""`parley run` under a service manager: ready when the platforms are connected, and a watchdog that notices what hangs."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bots.sandbox.stand_in import Fault, FaultKind
from tests.deploy.service_manager import ServiceManager
from tests.deploy.systemd_unit import read_unit
from tests.end_to_end.harness import Harness, bot_texts, running_harness

pytestmark = pytest.mark.slow

WATCHDOG_SECONDS = 3.0


@pytest.fixture
async def manager(tmp_path: Path) -> AsyncIterator[ServiceManager]:
    manager = ServiceManager(tmp_path, WATCHDOG_SECONDS)
    await manager.start()
    yield manager
    manager.close()


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    async with running_harness(tmp_path) as harness:
        yield harness


def cut_off(harness: Harness) -> None:
    """No platform can be reached."""
    harness.telegram.fault_hook = lambda _: Fault(FaultKind.DROP_BEFORE)
    harness.discord.fault_hook = lambda _: Fault(FaultKind.DROP_BEFORE)


def reconnect(harness: Harness) -> None:
    harness.telegram.fault_hook = harness.discord.fault_hook = None


@asynccontextmanager
async def running(
    harness: Harness, manager: ServiceManager, *arguments: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        env=os.environ | harness.environment() | manager.environment(),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_service_is_ready_when_connected_and_lives_until_it_stops(
    harness: Harness, manager: ServiceManager
) -> None:
    cut_off(harness)
    async with running(harness, manager, "bots.cli", "run") as process:
        await manager.wait_for(lambda: manager.status == "no platform is connected")
        assert not manager.is_ready
        reconnect(harness)
        await manager.wait_for(lambda: manager.is_ready)
        started_at = time.monotonic()
        telegram = harness.telegram
        ann = telegram.create_user("Ann")
        chat = telegram.open_private_chat(ann)
        await telegram.send_message(ann, chat, "repeat: hello")
        await telegram.wait_for(lambda: bot_texts(telegram.messages(chat)) == ["hello"], 30)
        await manager.wait_for(lambda: time.monotonic() - started_at > 2 * WATCHDOG_SECONDS)
        assert manager.lines.count("WATCHDOG=1") >= 4
        assert manager.status == "Serving"
        process.send_signal(signal.SIGTERM)
        await manager.wait_for(lambda: "STOPPING=1" in manager.lines)
        await asyncio.wait_for(process.communicate(), 25)
    assert process.returncode == 0
    assert manager.lines.count("READY=1") == manager.lines.count("STOPPING=1") == 1


async def test_watchdog_finds_a_blocked_event_loop_and_the_abort_says_where_it_is(
    harness: Harness, manager: ServiceManager, tmp_path: Path
) -> None:
    stall = tmp_path / "stall"
    async with running(harness, manager, "tests.deploy.unlucky_bot", "stall", str(stall)) as process:
        await manager.wait_for(lambda: manager.lines.count("WATCHDOG=1") >= 2)
        stall.touch()
        await manager.wait_until_expired()
        assert manager.status == "Serving", "its last message"
        process.send_signal(signal.SIGABRT)  # as systemd does
        _, errors = await asyncio.wait_for(process.communicate(), 25)
    assert process.returncode == -signal.SIGABRT
    assert b"in stall_while" in errors


async def test_watchdog_finds_a_process_without_any_platform(harness: Harness, manager: ServiceManager) -> None:
    async with running(harness, manager, "tests.deploy.unlucky_bot", "disconnection"):
        await manager.wait_for(lambda: manager.lines.count("WATCHDOG=1") >= 2)
        cut_off(harness)
        ann = harness.telegram.create_user("Ann")
        await harness.telegram.send_message(ann, harness.telegram.open_private_chat(ann), "hello")  # ends the long poll
        harness.discord.gateway.script.close_code = 4008
        await harness.discord.gateway.invalidate_sessions()
        await manager.wait_until_expired()
        assert "no platform has been connected for" in manager.status


def test_unit_uses_the_protocol() -> None:
    unit = read_unit()
    assert unit["Type"] == ["notify"]
    assert unit["NotifyAccess"] == ["main"]
    assert float(unit["WatchdogSec"][0]) >= 60, "longer than a busy machine may stall"
    assert unit["Restart"] == ["on-failure"], "also after the watchdog"
    assert unit["LimitCORE"] == ["0"], "an aborted process leaves no copy of its memory"
