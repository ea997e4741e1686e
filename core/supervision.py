"""Keeping an adapter alive: run anew when it breaks or goes deaf, ended when that is no use."""

import asyncio
import random
import time
from dataclasses import dataclass

import structlog

from core.errors import ConfigurationError, UnavailableError
from core.port import Adapter, Inbox, SupportsLiveness

__all__ = ["SupervisionTimings", "supervise"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SupervisionTimings:
    """All in seconds."""

    silence_timeout: float = 120.0
    """Without a sign of life from the platform."""
    check_interval: float = 5.0
    """Between two looks."""
    initial_backoff: float = 1.0
    max_backoff: float = 60.0
    """The pauses before an adapter is run again: doubled, with jitter."""
    stop_timeout: float = 10.0
    """For an adapter to end when told to."""


async def supervise(adapter: Adapter, inbox: Inbox, timings: SupervisionTimings | None = None) -> None:
    """Run `chat` until it ends by itself or is cancelled.

    Raises `ConfigurationError`, where running it again is no use, and `UnavailableError`, where
    another process has to.
    """
    timings = timings or SupervisionTimings()
    backoff = timings.initial_backoff
    while True:
        started_at = time.monotonic()
        try:
            if await _run_until_silent(adapter, inbox, timings):
                return
        except (ConfigurationError, UnavailableError):
            raise
        except Exception:
            log.exception("adapter broke", platform=adapter.platform)
        if time.monotonic() - started_at > timings.max_backoff:
            backoff = timings.initial_backoff
        await asyncio.sleep(backoff * random.uniform(0.5, 1.0))  # noqa: S311 (jitter, no secret)
        backoff = min(2 * backoff, timings.max_backoff)


async def _run_until_silent(adapter: Adapter, inbox: Inbox, timings: SupervisionTimings) -> bool:
    """Whether it ended by itself; else it went deaf."""
    run_task = asyncio.create_task(adapter.run(inbox), name=adapter.platform)
    started_at = time.monotonic()
    try:
        while not run_task.done():
            await asyncio.wait({run_task}, timeout=timings.check_interval)
            last_activity = adapter.last_activity if isinstance(adapter, SupportsLiveness) else None
            if (
                last_activity is not None
                and time.monotonic() - max(last_activity, started_at) > timings.silence_timeout
            ):
                log.error("adapter went deaf", platform=adapter.platform)
                return False
        await run_task
        return True
    finally:
        if not run_task.done():
            run_task.cancel()
            await asyncio.wait({run_task}, timeout=timings.stop_timeout)
            if not run_task.done():
                raise UnavailableError(f"{adapter.platform} hangs and cannot be ended.")
