"""An adapter that fails or falls silent runs again; one that cannot go on ends the process."""

import asyncio
from dataclasses import replace
from typing import cast

import pytest

from core.errors import ConfigurationError, UnavailableError
from core.port import Adapter, ConnectionState, Incoming
from core.supervision import supervise
from core.timings import Timings
from tests.clock import FakeClock

TIMINGS = Timings()


class ScriptedAdapter:
    """As much of an adapter as its supervisor uses: each run does what the script says next."""

    platform = "scripted"
    connection_state = ConnectionState.CONNECTED

    def __init__(self, clock: FakeClock, *script: Exception | str) -> None:
        self.clock = clock
        self.script = list(script)
        self.run_count = 0
        self.last_activity: float | None = None

    async def run(self, _inbox: object) -> None:
        self.run_count += 1
        self.last_activity = self.clock.monotonic()
        match self.script.pop(0):
            case Exception() as error:
                raise error
            case "fall silent":
                await asyncio.Event().wait()
            case "hang":
                hang = asyncio.get_running_loop().create_future()
                while not hang.done():
                    try:
                        await asyncio.shield(hang)
                    except asyncio.CancelledError:
                        self.end = hang


async def inbox(incoming: Incoming) -> None:
    return


def start(adapter: ScriptedAdapter) -> "asyncio.Task[None]":
    return asyncio.create_task(supervise(cast("Adapter", adapter), inbox, replace(TIMINGS, clock=adapter.clock)))


async def test_failed_adapter_is_restarted() -> None:
    clock = FakeClock()
    adapter = ScriptedAdapter(clock, ZeroDivisionError(), RuntimeError(), "end")
    supervision = start(adapter)
    await clock.advance(TIMINGS.first_restart_delay + 2 * TIMINGS.first_restart_delay)
    await supervision
    assert adapter.run_count == 3


async def test_restart_delays_grow() -> None:
    clock = FakeClock()
    adapter = ScriptedAdapter(clock, *(ZeroDivisionError() for _ in range(20)))
    supervision = start(adapter)
    await clock.advance(10 * TIMINGS.first_restart_delay)
    assert adapter.run_count < 7
    supervision.cancel()


async def test_silent_adapter_is_restarted() -> None:
    clock = FakeClock()
    adapter = ScriptedAdapter(clock, "fall silent", "end")
    supervision = start(adapter)
    await clock.advance(TIMINGS.adapter_silence_timeout)
    assert adapter.run_count == 1
    await clock.advance(TIMINGS.liveness_check_interval + TIMINGS.first_restart_delay)
    await supervision
    assert adapter.run_count == 2


async def test_hanging_adapter_ends_supervision() -> None:
    clock = FakeClock()
    adapter = ScriptedAdapter(clock, "hang")
    supervision = start(adapter)
    await clock.advance(TIMINGS.adapter_silence_timeout + TIMINGS.liveness_check_interval)
    await clock.advance(TIMINGS.adapter_cancel_timeout)
    with pytest.raises(UnavailableError, match="hangs"):
        await supervision
    adapter.end.set_result(None)


async def test_cancelled_supervision_of_a_hanging_adapter_ends_without_an_error() -> None:
    clock = FakeClock()
    adapter = ScriptedAdapter(clock, "hang")
    supervision = start(adapter)
    await clock.advance(TIMINGS.liveness_check_interval)
    supervision.cancel()
    await clock.advance(TIMINGS.adapter_cancel_timeout)
    with pytest.raises(asyncio.CancelledError):
        await supervision
    adapter.end.set_result(None)


async def test_permanent_error_ends_supervision() -> None:
    with pytest.raises(ConfigurationError, match="token"):
        await start(ScriptedAdapter(FakeClock(), ConfigurationError("the token is wrong"), "end"))
