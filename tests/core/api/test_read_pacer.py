from contextlib import ExitStack

import pytest

from core.api.read_pacer import MAX_PAUSE, ReadPacer


@pytest.mark.parametrize(("streams", "seconds"), [(1, 0.003), (20, 0.06), (100, MAX_PAUSE)])
async def test_pauses_grow_with_the_number_of_streams(streams: int, seconds: float) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    pacer = ReadPacer(sleep)
    with ExitStack() as stack:
        for _ in range(streams):
            stack.enter_context(pacer.stream())
        await pacer.pause()
    with pacer.stream():
        await pacer.pause()
    assert pauses == pytest.approx([seconds, 0.003])
