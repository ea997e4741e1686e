"""Deletes in the background what has been kept long enough: on one process at a time, in small batches.

A reservation in the database decides which process works until the next sweep. A sweep that takes longer stops, and
the next one continues.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import structlog
from sqlalchemy import Connection

from core.errors import StoreError
from core.services import Services
from core.settings import Settings
from core.store.claims import has_open_turns
from core.store.erasure import finish_erasures, has_traces, remove_traces
from core.store.migrate import delete_copies
from core.store.retention import (
    Time,
    delete_access_requests,
    delete_inactive_conversations,
    delete_memories,
    delete_messages,
    delete_reasoning,
    delete_suggested_questions,
    delete_summaries,
    delete_turns,
    delete_usage,
)
from core.store.schema import database_now
from core.store.suggested_questions import LIFETIME_SECONDS

log = structlog.get_logger(__name__)

DAY_SECONDS = 86_400
RESERVATION = "retention"
TRACES_RESERVATION = "traces"
REQUEST_DAYS = 7
"""How long a stranger's request to use the bot waits for a decision. Then they may ask again."""
DECISION_DAYS = 90
"""How long a stranger who was refused, or lost access, cannot ask again."""
COPY_DAYS = 14
"""How long a copy of the database from before an update is kept."""

BatchDeletion = Callable[[Connection], int]
"""Deletes one batch of rows and returns their number; 0: nothing is left to delete."""


async def sweep_periodically(services: Services) -> None:
    """Delete until cancelled. While the database is unavailable, nothing is deleted."""
    timings, clock = services.timings, services.timings.clock
    next_sweep = next_rewrite = clock.monotonic()
    while True:
        try:
            if clock.monotonic() >= next_sweep:
                next_sweep = clock.monotonic() + timings.retention_interval
                if await services.leases.try_reserve(RESERVATION, timings.retention_interval):
                    await _sweep(services)
            is_due = clock.monotonic() >= next_rewrite and await services.store.read(has_traces)
            if is_due and await _reserve_rewrite(services):
                # If it fails, not again each minute: writes wait for it, and the disk may be full. If the failure ends
                # this process, the next one finds the reservation and waits, too.
                next_rewrite = clock.monotonic() + timings.retention_interval
                await remove_traces(services.store)
                await services.leases.cancel_reservation(TRACES_RESERVATION)
                log.info("retention.compacted")
                next_rewrite = clock.monotonic()
        except StoreError as error:
            log.error("retention.failed", error=str(error))
        await clock.sleep(timings.trace_search_interval)


async def _sweep(services: Services) -> None:
    """Delete what is old enough. Raises `StoreError`."""
    timings, clock = services.timings, services.timings.clock
    deadline = clock.monotonic() + timings.retention_interval
    rows = 0
    for delete_batch in batch_deletions(services.settings, database_now(), clock.time()):
        while clock.monotonic() < deadline and (deleted := await services.store.write(delete_batch)):
            rows += deleted
            await clock.sleep(timings.retention_pause)  # others have to write, too
    if rows:
        log.info("retention.finished", rows=rows)
    if services.store.is_embedded:
        await _delete_copies(services.store.path, clock.time() - COPY_DAYS * DAY_SECONDS)
    await services.store.write(finish_erasures)


async def _reserve_rewrite(services: Services) -> bool:
    """Wait for a moment in which this process may remove what erased rows have left in the database's files.

    False if another process does so, or has failed to within the hour.
    """
    if not await services.leases.try_reserve(TRACES_RESERVATION, services.timings.retention_interval):
        return False
    try:
        await _wait_until_idle(services)
    except (asyncio.CancelledError, StoreError):
        with suppress(StoreError):
            await services.leases.cancel_reservation(TRACES_RESERVATION)  # the next process need not wait an hour
        raise
    return True


async def _delete_copies(database: Path, before: float) -> None:
    """Those that updates have made: they contain people who have deleted their data since."""
    try:
        if deleted := await asyncio.to_thread(delete_copies, database, before):
            log.info("retention.copies_deleted", copies=deleted)
    except OSError as error:
        log.error("retention.failed", error=str(error))


async def _wait_until_idle(services: Services) -> None:
    """Wait for a moment without open turns, for a limited time: whatever is stored then waits for the whole rewrite."""
    if not services.store.is_embedded:
        return
    timings, clock = services.timings, services.timings.clock
    deadline = clock.monotonic() + timings.max_compaction_delay
    while clock.monotonic() < deadline and await services.store.read(has_open_turns):
        await clock.sleep(timings.claim_interval)


def batch_deletions(settings: Settings, now: Time, wall_clock_now: float) -> Iterator[BatchDeletion]:
    """What to delete: `now` is the time by the database's clock, `wall_clock_now` by this process's, which counts days.

    Turns come first, because messages are needed while their turn is.
    """
    history_days = settings.history_days
    turn_days = min(settings.button_days, history_days or settings.button_days)
    yield partial(delete_turns, before=now - turn_days * DAY_SECONDS)
    yield partial(delete_reasoning, before=now - settings.reasoning_days * DAY_SECONDS)
    yield partial(
        delete_access_requests,
        pending_before=now - REQUEST_DAYS * DAY_SECONDS,
        decided_before=now - DECISION_DAYS * DAY_SECONDS,
    )
    yield partial(delete_suggested_questions, before=now - LIFETIME_SECONDS)
    if history_days:
        yield partial(delete_messages, before=now - history_days * DAY_SECONDS)
        yield partial(delete_summaries, before=now - history_days * DAY_SECONDS)
    if settings.inactive_days:
        yield partial(delete_inactive_conversations, before=now - settings.inactive_days * DAY_SECONDS)
    if settings.memory_days:
        yield partial(delete_memories, before=now - settings.memory_days * DAY_SECONDS)
    first_day = datetime.fromtimestamp(wall_clock_now, UTC) - timedelta(days=settings.usage_days)
    yield partial(delete_usage, before_day=first_day.date().isoformat())
