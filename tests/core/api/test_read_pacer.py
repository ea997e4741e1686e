import asyncio
from contextlib import ExitStack

import pytest

from core.api.read_pacer import MAX_PAUSE, ReadPacer


@pytest.mark.parametrize(("streams", "seconds"), [(1, 0.005), (10, 0.05), (100, MAX_PAUSE)])
def test_pauses_grow_with_the_number_of_streams(streams: int, seconds: float) -> None:
    pacer = ReadPacer()
    with ExitStack() as stack:
        for _ in range(streams):
            stack.enter_context(pacer.stream())
        assert pacer.pause_seconds == pytest.approx(seconds)
    assert pacer.pause_seconds == 0


async def test_pauses_end_together_and_begin_anew() -> None:
    pacer = ReadPacer()
    with pacer.stream():
        for _ in range(2):
            started_at = asyncio.get_running_loop().time()
            first = asyncio.create_task(pacer.pause())
            cancelled = asyncio.create_task(pacer.pause())
            asyncio.get_running_loop().call_soon(cancelled.cancel)
            await pacer.pause()
            await first
            assert cancelled.cancelled()
            assert asyncio.get_running_loop().time() - started_at >= pacer.pause_seconds - 0.001
