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


class Interruption:
    """An event that interrupts what tasks wait for. No wait needs a further task."""

    def __init__(self) -> None:
        self._is_set = False
        self._scopes: set[asyncio.Timeout] = set()

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        while self._scopes:
            self._scopes.pop().reschedule(asyncio.get_running_loop().time())

    def clear(self) -> None:
        self._is_set = False

    async def cuts_short(self, work: Coroutine[Any, Any, object]) -> bool:
        """Whether the event was set before `work` ended, which was then cancelled."""
        if self._is_set:
            work.close()
            return True
        scope = asyncio.timeout(None)
        try:
            async with scope:
                self._scopes.add(scope)
                await work
        except TimeoutError:
            if not scope.expired():
                raise
        finally:
            self._scopes.discard(scope)
        return self._is_set


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
    if event.is_set():
        return True
    interruption = Interruption()
    timer = clock.call_later(timeout, interruption.set)
    try:
        await interruption.cuts_short(event.wait())
    finally:
        timer.cancel()
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
