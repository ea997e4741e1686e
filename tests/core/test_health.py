"""What makes a process dead, and what only keeps traffic away from it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from core.errors import StoreError
from core.health import Health
from core.port import Adapter, ConnectionState
from core.store.database import Store
from core.timings import Timings
from tests.clock import FakeClock

TIMINGS = Timings()


class WatchedAdapter:
    """As much of an adapter as `Health` looks at."""

    def __init__(self, platform: str, state: ConnectionState = ConnectionState.CONNECTED) -> None:
        self.platform = platform
        self.connection_state = state
        self.last_activity: float | None = None


class TerminalLikeAdapter:
    """One without `SupportsLiveness`."""

    platform = "terminal"


class SwitchedStore:
    is_available = True

    async def ping(self) -> None:
        if not self.is_available:
            raise StoreError("The database cannot be used")


class HangingStore:
    async def ping(self) -> None:
        await asyncio.Event().wait()


@asynccontextmanager
async def watching(
    clock: FakeClock, *adapters: object, store: object | None = None
) -> AsyncIterator[tuple[Health, Callable[[float], Awaitable[None]]]]:
    timings = replace(TIMINGS, clock=clock)
    health = Health(
        [cast("Adapter", adapter) for adapter in adapters], cast("Store", store or SwitchedStore()), timings
    )
    task = asyncio.create_task(health.run())
    await clock.settle()
    try:
        yield health, clock.advance
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_connected_process_is_alive_and_ready() -> None:
    async with watching(FakeClock(), WatchedAdapter("telegram"), TerminalLikeAdapter()) as (health, advance):
        await advance(3600)
        assert (health.liveness_problems(), health.readiness_problems()) == ([], [])


async def test_process_is_not_ready_before_it_is_watched() -> None:
    health = Health([cast("Adapter", WatchedAdapter("telegram"))], cast("Store", SwitchedStore()))
    assert not health.liveness_problems()
    assert health.readiness_problems() == ["the database does not answer", "no platform is connected"]


async def test_standby_is_ready() -> None:
    async with watching(FakeClock(), WatchedAdapter("telegram", ConnectionState.STANDBY)) as (health, advance):
        await advance(3600)
        assert not health.liveness_problems()
        assert not health.readiness_problems()


async def test_one_connected_platform_is_enough_to_be_ready() -> None:
    telegram = WatchedAdapter("telegram", ConnectionState.CONNECTING)
    async with watching(FakeClock(), telegram, WatchedAdapter("discord")) as (health, advance):
        await advance(60)
        assert not health.readiness_problems()


async def test_reconnect_within_seconds_is_tolerated() -> None:
    adapter = WatchedAdapter("discord")
    async with watching(FakeClock(), adapter) as (health, advance):
        adapter.connection_state = ConnectionState.CONNECTING
        await advance(TIMINGS.tolerated_disconnection)
        assert not health.readiness_problems()
        await advance(TIMINGS.health_check_interval)
        assert health.readiness_problems() == ["no platform is connected"]
        adapter.connection_state = ConnectionState.CONNECTED
        await advance(TIMINGS.health_check_interval)
        assert not health.readiness_problems()


async def test_long_disconnection_of_all_platforms_is_death() -> None:
    adapters = [WatchedAdapter(platform, ConnectionState.CONNECTING) for platform in ("telegram", "discord")]
    async with watching(FakeClock(), *adapters) as (health, advance):
        await advance(TIMINGS.max_disconnection)
        assert not health.liveness_problems()
        await advance(1)
        assert health.liveness_problems() == ["no platform has been connected for 601 s"]
        adapters[1].connection_state = ConnectionState.CONNECTED
        await advance(TIMINGS.health_check_interval)
        assert not health.liveness_problems()


async def test_long_disconnection_of_one_platform_is_only_logged() -> None:
    telegram, discord = WatchedAdapter("telegram"), WatchedAdapter("discord", ConnectionState.CONNECTING)
    with capture_logs() as logs:
        async with watching(FakeClock(), telegram, discord) as (health, advance):
            await advance(3600)
            assert (health.liveness_problems(), health.readiness_problems()) == ([], [])
            discord.connection_state = ConnectionState.CONNECTED
            await advance(TIMINGS.health_check_interval)
            discord.connection_state = ConnectionState.CONNECTING
            await advance(3600)
    assert [(entry["event"], entry["platform"]) for entry in logs] == [("adapter.disconnected", "discord")] * 2


async def test_platform_that_lets_nobody_connect_is_not_ready_but_alive() -> None:
    async with watching(FakeClock(), WatchedAdapter("discord", ConnectionState.WAITING)) as (health, advance):
        await advance(24 * 3600)
        assert not health.liveness_problems()
        assert health.readiness_problems() == ["no platform is connected"]


async def test_silent_platform_is_not_connected() -> None:
    adapter = WatchedAdapter("telegram")
    adapter.last_activity = 0.0
    async with watching(FakeClock(), adapter) as (health, advance):
        await advance(TIMINGS.adapter_silence_timeout + TIMINGS.tolerated_disconnection + 2)
        assert health.readiness_problems()


@pytest.mark.parametrize("store", [HangingStore(), SwitchedStore()])
async def test_missing_database_is_not_ready_but_alive(store: Any) -> None:
    store.is_available = False
    async with watching(FakeClock(), WatchedAdapter("telegram"), store=store) as (health, advance):
        await advance(3600)
        assert not health.liveness_problems()
        assert health.readiness_problems() == ["the database does not answer"]


async def test_database_that_answers_again_is_ready() -> None:
    store = SwitchedStore()
    async with watching(FakeClock(), WatchedAdapter("telegram"), store=store) as (health, advance):
        store.is_available = False
        await advance(TIMINGS.store_silence_timeout + 1)
        assert health.readiness_problems()
        store.is_available = True
        await advance(TIMINGS.store_check_interval)
        assert not health.readiness_problems()


async def test_blocked_event_loop_is_death() -> None:
    clock = FakeClock()
    async with watching(clock, WatchedAdapter("telegram")) as (health, advance):
        clock.now += TIMINGS.event_loop_timeout + 1  # nothing ran meanwhile
        assert health.liveness_problems() == ["the event loop was blocked for 31 s"]
        await advance(0)
        assert not health.liveness_problems()


async def test_stopping_process_is_alive_and_not_ready() -> None:
    async with watching(FakeClock(), WatchedAdapter("telegram")) as (health, _):
        health.stop()
        assert not health.liveness_problems()
        assert health.readiness_problems() == ["stopping"]
