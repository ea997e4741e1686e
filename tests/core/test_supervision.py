"""An adapter that breaks or goes deaf is run again; one that cannot go on ends the process."""

import asyncio
import time
from typing import cast

import pytest

from core.errors import ConfigurationError
from core.port import Adapter, Incoming
from core.supervision import SupervisionTimings, supervise

FAST_TIMINGS = SupervisionTimings(
    silence_timeout=0.2,
    check_interval=0.01,
    initial_backoff=0.01,
    max_backoff=0.02,
    stop_timeout=0.2,
)


class ScriptedAdapter:
    """An adapter as far as its supervisor knows it: each life does what the script says next."""

    platform = "scripted"

    def __init__(self, *script: Exception | str) -> None:
        self.script = list(script)
        self.run_count = 0
        self.last_activity: float | None = None

    async def run(self, _inbox: object) -> None:
        self.run_count += 1
        self.last_activity = time.monotonic()
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        if step == "deaf":
            await asyncio.get_running_loop().create_future()


async def inbox(incoming: Incoming) -> None:
    return


async def run_count(chat: ScriptedAdapter) -> int:
    async with asyncio.timeout(5):
        await supervise(cast("Adapter", chat), inbox, FAST_TIMINGS)
    return chat.run_count


async def test_failed_adapter_is_restarted() -> None:
    assert await run_count(ScriptedAdapter(ZeroDivisionError(), RuntimeError(), "end")) == 3


async def test_silent_adapter_is_restarted() -> None:
    assert await run_count(ScriptedAdapter("deaf", "end")) == 2


async def test_permanent_error_ends_supervision() -> None:
    with pytest.raises(ConfigurationError, match="token"):
        await run_count(ScriptedAdapter(ConfigurationError("the token is wrong"), "end"))
