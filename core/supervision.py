"""Supervision of an adapter: restart it when it fails or falls silent, give up when a restart cannot help."""

import asyncio

import structlog

from core.backoff import Backoff
from core.clock import wait_for_any
from core.errors import ConfigurationError, UnavailableError
from core.port import Adapter, Inbox, SupportsLiveness
from core.timings import Timings

log = structlog.get_logger(__name__)


async def supervise(adapter: Adapter, inbox: Inbox, timings: Timings) -> None:
    """Run `adapter` until it returns or this is cancelled.

    Raises `ConfigurationError` if only the operator can help, and `UnavailableError` if only a new process can.
    """
    clock = timings.clock
    backoff = Backoff(timings.first_restart_delay, timings.max_restart_delay)
    while True:
        started_at = clock.monotonic()
        try:
            if await _run_until_silent(adapter, inbox, timings):
                return
        except (ConfigurationError, UnavailableError):
            raise
        except Exception:
            log.exception("adapter.failed", platform=adapter.platform)
        if clock.monotonic() - started_at > timings.max_restart_delay:
            backoff.reset()
        await clock.sleep(backoff.next_delay())


async def _run_until_silent(adapter: Adapter, inbox: Inbox, timings: Timings) -> bool:
    """Whether the adapter returned by itself; False: it fell silent and was cancelled."""
    run_task = asyncio.create_task(adapter.run(inbox), name=adapter.platform)
    try:
        if await _wait_until_done_or_silent(run_task, adapter, timings):
            await run_task
            return True
    finally:  # also when this is cancelled: the adapter must not outlive its supervision
        run_task.cancel()
        await wait_for_any({run_task}, timings.adapter_cancel_timeout, timings.clock)
    if not run_task.done():
        raise UnavailableError(f"The {adapter.platform} adapter hangs and cannot be stopped.")
    return False


async def _wait_until_done_or_silent(run_task: "asyncio.Task[None]", adapter: Adapter, timings: Timings) -> bool:
    """Whether the task is done; False: its adapter is silent."""
    clock = timings.clock
    started_at = clock.monotonic()
    while not await wait_for_any({run_task}, timings.liveness_check_interval, clock):
        last_activity = adapter.last_activity if isinstance(adapter, SupportsLiveness) else None
        if last_activity is not None and (
            clock.monotonic() - max(last_activity, started_at) > timings.adapter_silence_timeout
        ):
            log.error("adapter.silent", platform=adapter.platform)
            return False
    return True
