"""The gate keeps the platforms' limits, chat by chat."""

import asyncio

import pytest

from core.delivery.gate import Gate, Priority
from core.errors import DeliveryError, Fault
from core.port import Pace

FAST = Pace(burst=1000, rate=1000)


async def entered(*tasks: "asyncio.Task[None]") -> list[bool]:
    for _ in range(5):
        await asyncio.sleep(0)
    return [task.done() for task in tasks]


async def test_a_burst_enters_at_once_and_the_next_waits() -> None:
    gate, pace = Gate(FAST), Pace(burst=2, rate=0.001)
    tasks = [asyncio.create_task(gate.enter("a", pace, Priority.FINAL)) for _ in range(3)]
    assert await entered(*tasks) == [True, True, False]
    tasks[2].cancel()


async def test_a_final_overtakes_waiting_previews() -> None:
    gate, pace = Gate(FAST), Pace(burst=1, rate=20)
    await gate.enter("a", pace, Priority.FINAL)
    order: list[str] = []

    async def enter(name: str, priority: Priority) -> None:
        await gate.enter("a", pace, priority)
        order.append(name)

    preview = asyncio.create_task(enter("preview", Priority.PREVIEW))
    await entered(preview)
    final = asyncio.create_task(enter("final", Priority.FINAL))
    async with asyncio.timeout(2):
        await asyncio.gather(preview, final)
    assert order == ["final", "preview"]


async def test_previews_leave_the_reserve_to_finals() -> None:
    gate, pace = Gate(FAST), Pace(burst=3, rate=0.001, reserve=2)
    previews = [asyncio.create_task(gate.enter("a", pace, Priority.PREVIEW)) for _ in range(2)]
    assert await entered(*previews) == [True, False]
    finals = [asyncio.create_task(gate.enter("a", pace, Priority.FINAL)) for _ in range(2)]
    assert await entered(*finals) == [True, True]
    previews[1].cancel()


async def test_a_blocked_chat_waits_and_no_other_does() -> None:
    gate = Gate(FAST)
    gate.block("a", 60)
    blocked = asyncio.create_task(gate.enter("a", FAST, Priority.FINAL))
    free = asyncio.create_task(gate.enter("b", FAST, Priority.FINAL))
    assert await entered(blocked, free) == [False, True]
    assert gate.blocked("a") == pytest.approx(60, abs=1)
    assert gate.blocked("b") == 0
    blocked.cancel()


async def test_a_chat_blocked_before_it_was_written_to_has_its_own_pace_after() -> None:
    gate, pace = Gate(FAST), Pace(burst=5, rate=50)
    gate.block("a", 0)
    async with asyncio.timeout(1):
        for _ in range(20):
            await gate.enter("a", pace, Priority.FINAL)


async def test_the_account_is_shared_in_the_order_of_arrival() -> None:
    gate = Gate(Pace(burst=1, rate=50))
    order: list[str] = []

    async def enter(chat: str) -> None:
        await gate.enter(chat, FAST, Priority.PREVIEW)
        order.append(chat)

    async with asyncio.timeout(2):
        await asyncio.gather(*(enter(chat) for chat in "abcd"))
    assert order == list("abcd")


async def test_who_stops_waiting_takes_no_turn() -> None:
    gate, pace = Gate(FAST), Pace(burst=1, rate=10)
    await gate.enter("a", pace, Priority.FINAL)
    waiting = asyncio.create_task(gate.enter("a", pace, Priority.FINAL))
    await entered(waiting)
    waiting.cancel()
    async with asyncio.timeout(0.5):
        await gate.enter("a", pace, Priority.FINAL)


async def test_idle_chats_are_forgotten() -> None:
    gate = Gate(Pace(burst=10_000, rate=10_000))
    for number in range(3000):
        await gate.enter(str(number), FAST, Priority.FINAL)
        if number % 500 == 0:
            await asyncio.sleep(0.002)
    assert len(gate._chats) < 2000


async def test_a_wait_for_the_whole_account_holds_every_chat() -> None:
    told: list[tuple[str, float]] = []
    gate = Gate(FAST, told=lambda chat, seconds: told.append((chat, seconds)))
    gate.refused("a", DeliveryError("wait", Fault.RATE, retry_after=60, everywhere=True))
    other = asyncio.create_task(gate.enter("b", FAST, Priority.FINAL))
    assert await entered(other) == [False]
    assert gate.blocked("b") == pytest.approx(60, abs=1)
    ((chat, seconds),) = told
    assert not chat
    assert seconds == pytest.approx(60, abs=1)
    other.cancel()


async def test_processes_divide_the_account_among_them() -> None:
    gate = Gate(Pace(burst=4, rate=0.001))
    gate.share(4)
    tasks = [asyncio.create_task(gate.enter(f"{n}", FAST, Priority.FINAL)) for n in range(2)]
    assert await entered(*tasks) == [True, False]
    tasks[1].cancel()


async def test_who_is_told_to_wait_holds_those_let_in_with_it() -> None:
    now = 0.0
    gate, pace = Gate(FAST, clock=lambda: now), Pace(burst=2, rate=100)
    for _ in range(2):
        await gate.enter("a", pace, Priority.FINAL)
    passed: list[int] = []

    async def enter(number: int) -> None:
        await gate.enter("a", pace, Priority.FINAL)
        passed.append(number)
        gate.block("a", 60)

    tasks = [asyncio.create_task(enter(number)) for number in range(2)]
    await entered(*tasks)
    now = 1.0  # both are let in by the same timer
    async with asyncio.timeout(1):
        await tasks[0]
    assert await entered(tasks[1]) == [False]
    assert passed == [0]
    tasks[1].cancel()
