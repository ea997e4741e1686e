"""Time as a dependency: everything that reads a clock or waits takes a `Clock`, the core's classes in their `Timings`.

Production code passes a `SystemClock`; tests pass a clock that they move by hand. Deadlines that several processes
share are compared with the database's own clock instead (`core.store.schema.database_now`).
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Scheduled(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    def time(self) -> float:
        """Seconds since the epoch."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never goes back."""

    async def sleep(self, seconds: float) -> None: ...

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Scheduled: ...


class SystemClock:
    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Scheduled:
        return asyncio.get_running_loop().call_later(seconds, callback)


async def run_until(event: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """The result of `work`; None if `event` is set first: then `work` was cancelled and has ended."""
    if event.is_set():
        work.close()
        return None
    work_task = asyncio.create_task(work)
    event_task = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({work_task, event_task}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        event_task.cancel()
        work_task.cancel()
        (outcome,) = await asyncio.gather(work_task, return_exceptions=True)
    if isinstance(outcome, asyncio.CancelledError):
        return None
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


async def wait_for_event(event: asyncio.Event, timeout: float, clock: Clock) -> bool:
    """Whether `event` is set, after at most `timeout` seconds."""
    waiter = asyncio.ensure_future(event.wait())
    try:
        await wait_for_any({waiter}, timeout, clock)
    finally:
        waiter.cancel()
    return event.is_set()


async def wait_for_any(futures: Iterable["asyncio.Future[Any]"], timeout: float, clock: Clock) -> bool:
    """Whether one of `futures` is done, after at most `timeout` seconds. Cancels none of them."""
    expired: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    timer = clock.call_later(timeout, partial(expired.set_result, None))
    try:
        done, _ = await asyncio.wait({*futures, expired}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()
    return bool(done - {expired})
