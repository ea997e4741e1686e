"""Pauses of models: kept by all processes and after a restart, ended by an answer or by the operator."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from core.conversation.failover import FAILURE_THRESHOLD
from core.conversation.model_pauses import ModelPauses
from core.errors import ModelError, ModelFailure
from core.store.database import Store
from core.store.model_pauses import save_pause
from core.store.schema import database_now, model_pauses
from core.timings import Timings
from tests.clock import FakeClock
from tests.core.faulty_store import FaultyStore
from tests.sqlite import sqlite_url

PHI, GEMMA = "microsoft/phi-4", "google/gemma-2-9b-it"
URL = "https://example.org/v1"
KEY = "key"
BROKEN = ModelError("HTTP 500: broken", ModelFailure.SERVER_ERROR, status=500)


class Process:
    """The pauses of one process, with its own clock."""

    def __init__(self, store: Store, url: str = URL) -> None:
        self.clock = FakeClock()
        self.pauses = ModelPauses(store, url, timings=Timings(clock=self.clock))

    async def fail(self, model: str = PHI, times: int = FAILURE_THRESHOLD, *, error: ModelError = BROKEN) -> None:
        for _ in range(times):
            await self.pauses.record_failure(KEY, model, error)

    async def pause_seconds(self, model: str = PHI, key: str = KEY) -> float | None:
        """The remaining pause; None if the model may be asked."""
        try:
            await self.pauses.check(key, model)
        except ModelError as error:
            return error.retry_after
        return None


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(sqlite_url(tmp_path))
    await store.open()
    yield store
    await store.close()


async def test_pause_holds_in_other_processes_and_after_restart(store: Store) -> None:
    await Process(store).fail()
    other = Process(store)
    assert await other.pause_seconds() == pytest.approx(30, abs=5)
    with pytest.raises(ModelError, match="Paused: HTTP 500: broken") as caught:
        await other.pauses.check(KEY, PHI)
    assert (caught.value.failure, caught.value.status) == (ModelFailure.SERVER_ERROR, 500)
    assert await other.pause_seconds(GEMMA) is None
    assert await other.pause_seconds(key="another key") is None
    assert await Process(store, "https://example.org/v2").pause_seconds() is None


async def test_operator_sees_and_ends_pauses(store: Store) -> None:
    bot, operator = Process(store), Process(store)
    await bot.fail(PHI)
    await bot.fail(GEMMA)
    pauses = await operator.pauses.list_pauses()
    assert [(pause.model, pause.key_id, str(pause.error)) for pause in pauses] == [
        (GEMMA, KEY, "HTTP 500: broken"),
        (PHI, KEY, "HTTP 500: broken"),
    ]
    assert await bot.pause_seconds() == pytest.approx(30, abs=1)
    assert await operator.pauses.end([PHI]) == 1
    assert await operator.pause_seconds() is None
    await bot.clock.advance(9.9)
    assert await bot.pause_seconds() == pytest.approx(20, abs=1), "the database is read every 10 seconds"
    await bot.clock.advance(0.1)
    assert await bot.pause_seconds() is None
    assert await bot.pause_seconds(GEMMA) == pytest.approx(20, abs=1)
    await bot.fail(times=FAILURE_THRESHOLD - 1)
    assert await bot.pause_seconds() is None, "earlier failures do not count"


async def test_answer_ends_pause_in_other_processes(store: Store) -> None:
    first, second = Process(store), Process(store)
    await first.fail()
    assert await second.pause_seconds()
    await second.pauses.record_success(KEY, PHI)
    assert await second.pause_seconds() is None
    assert await first.pauses.list_pauses() == []
    assert await first.pause_seconds() is None


async def test_pause_that_ends_keeps_the_count_of_failures(store: Store) -> None:
    process = Process(store)
    await process.fail()
    await process.clock.advance(30)
    await store.write(_expire)
    assert await process.pause_seconds() is None, "one question tries the model"
    await process.fail(times=1)
    assert await process.pause_seconds() == pytest.approx(60)


async def test_short_waits_are_not_stored(store: Store) -> None:
    process, faulty = Process(store), FaultyStore(store)
    process.pauses = ModelPauses(faulty.as_store(), URL, timings=Timings(clock=process.clock))
    await process.fail(times=5, error=ModelError("slow down", ModelFailure.RATE_LIMITED, retry_after=9))
    assert await process.pause_seconds() == pytest.approx(9)
    await process.fail(times=5, error=ModelError("slow down", ModelFailure.RATE_LIMITED, retry_after=60))
    assert await process.pause_seconds() == pytest.approx(60)
    assert faulty.writes == {"save_pause": 1}, "many questions fail at once"


async def test_pause_holds_although_it_cannot_be_stored(store: Store) -> None:
    process, faulty = Process(store), FaultyStore(store)
    process.pauses = ModelPauses(faulty.as_store(), URL, timings=Timings(clock=process.clock))
    faulty.start_outage(save_pause)
    await process.fail()
    assert await process.pause_seconds()


def _expire(connection: Connection) -> None:
    connection.execute(update(model_pauses).values(paused_until=database_now() - 1))
