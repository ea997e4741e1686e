"""The background task that deletes what has been kept long enough, and what people see of it."""

import asyncio
import itertools
import os
import sqlite3
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
import structlog
from pydantic import SecretStr
from sqlalchemy import Connection, create_engine, func, insert, select, text, update

import core.retention
from bots.sandbox.model import ModelStandIn
from core.api.events import UsageReport
from core.app import open_services
from core.errors import StoreError
from core.port import Place
from core.retention import DAY_SECONDS, batch_deletions, sweep_periodically
from core.settings import Settings
from core.store.answer_parts import PartState, SentPart, save_part
from core.store.answers import store_answer
from core.store.claims import claim_turns, has_open_turns
from core.store.database import Store
from core.store.erasure import erase_person, has_traces
from core.store.people import Person
from core.store.schema import (
    conversations,
    daily_usage,
    leases,
    memory_entries,
    messages,
    metadata,
    summaries,
    turns,
)
from core.store.token_usage import add_daily_usage
from core.store.turns import TurnState, finish_turn
from core.texts import answers as texts
from core.timings import Timings
from tests.clock import FakeClock
from tests.core.store.turn_helpers import ACCOUNT, accept_event, message_event
from tests.core.turns.fake_adapter import running_engine
from tests.sqlite import sqlite_url
from tests.waiting import wait_until

QUESTIONS_A_DAY = 2
CHATS = 20
YEAR_DAYS = 365
SWEEP_DAYS = 7
EPOCH = 1_700_000_000.0
QUESTION, ANSWER, REASONING = "question " * 20, "answer " * 150, "thought " * 300


def simulate_day(connection: Connection, day: int, questions: int = QUESTIONS_A_DAY) -> None:
    """Questions of people in several chats, each answered with reasoning."""
    newest = connection.scalar(select(func.max(turns.c.id))) or 0
    now = EPOCH + day * DAY_SECONDS
    today = datetime.fromtimestamp(now, UTC).date().isoformat()
    for number in range(questions):
        person = (day * questions + number) % CHATS
        place = Place("telegram", "1", f"{person}", is_private=True)
        event = message_event(f"{day}.{number}", QUESTION, place=place)
        accept_event(connection, event, conversation_key=f"telegram:1:{person}", person_key=f"telegram:{person}")
        (turn,) = claim_turns(connection, "me", [ACCOUNT], lease_seconds=6, limit=1)
        save_part(connection, turn, 0, SentPart(PartState.SENT, f"{turn.id}", "d" * 64))
        usage = UsageReport(900, 400)
        answer = partial(store_answer, connection, turn, prompt=QUESTION, answer=ANSWER, note="A note", model="m")
        answer(usage=usage, reasoning=REASONING)
        add_daily_usage(connection, [f"person:telegram:{person}"], today, 1300, 1)
        finish_turn(connection, turn, TurnState.DONE)
    times = {"created_at": now, "finished_at": now}
    connection.execute(update(turns).where(turns.c.id > newest).values(**times))
    connection.execute(update(messages).where(messages.c.turn_id > newest).values(created_at=now))


def sweep_all(connection: Connection, settings: Settings, now: float) -> None:
    for delete_batch in batch_deletions(settings, now, now):
        while delete_batch(connection):
            pass


def simulate_year(connection: Connection, settings: Settings, questions: int = QUESTIONS_A_DAY) -> dict[str, int]:
    """The rows of each table after a year; the most there were before a sweep."""
    most: dict[str, int] = {}
    for day in range(YEAR_DAYS):
        simulate_day(connection, day, questions)
        if day % SWEEP_DAYS:
            continue
        for table in metadata.sorted_tables:
            rows = connection.scalar(select(func.count()).select_from(table)) or 0
            most[table.name] = max(most.get(table.name, 0), rows)
        sweep_all(connection, settings, EPOCH + (day + 1) * DAY_SECONDS)
    return most


def used_bytes(connection: Connection) -> int:
    pages, free, size = (
        connection.execute(text(f"PRAGMA {name}")).scalar_one()
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


@pytest.mark.slow
def test_year_of_a_busy_bot_stays_bounded(tmp_path: Path) -> None:
    """Everything but conversations has a bound without any setting, and conversations have with one."""
    engine = create_engine(sqlite_url(tmp_path))
    with engine.begin() as connection:
        rows = simulate_year(connection, Settings(history_days=0))
        month, week = 37 * QUESTIONS_A_DAY, 14 * QUESTIONS_A_DAY  # with the days until the next sweep
        assert rows["turns"] <= month
        assert rows["answer_parts"] <= month
        assert rows["reasoning"] <= week
        assert rows["daily_usage"] <= 97 * QUESTIONS_A_DAY
        assert rows["conversations"] == CHATS
        assert rows["messages"] == 2 * YEAR_DAYS * QUESTIONS_A_DAY
        text_bytes = YEAR_DAYS * QUESTIONS_A_DAY * (len(QUESTION) + len(ANSWER))
        assert used_bytes(connection) < 1.7 * text_bytes + 1_000_000
        sweep_all(connection, Settings(history_days=30), EPOCH + YEAR_DAYS * DAY_SECONDS)
        assert used_bytes(connection) < 1_000_000
    engine.dispose()


def test_inactive_conversations_are_deleted(tmp_path: Path) -> None:
    engine = create_engine(sqlite_url(tmp_path))
    with engine.begin() as connection:
        for key, ages in (("inactive", (40, 31)), ("active", (40, 1)), ("newest", (35,))):
            statement = insert(conversations).values(key=key).returning(conversations.c.id)
            conversation = connection.scalars(statement).one()
            for days in ages:
                row = {"conversation_id": conversation, "text": key, "created_at": EPOCH - days * DAY_SECONDS}
                connection.execute(insert(messages).values(row | {"turn_id": 0, "role": "user"}))
            note = {"conversation_key": key, "number": 1, "kind": "note", "name": key, "digest": "", "chunk_count": 0}
            connection.execute(insert(memory_entries).values(note | {"created_at": EPOCH}))
        sweep_all(connection, Settings(), EPOCH)
        assert connection.scalar(select(func.count()).select_from(messages)) == 5
        sweep_all(connection, Settings(inactive_days=30), EPOCH)
        remaining = connection.scalars(select(messages.c.text).distinct().order_by("text")).all()
        assert remaining == ["active", "newest"], "the newest message of all keeps its ID from being used again"
        assert connection.scalars(select(memory_entries.c.name).order_by("name")).all() == ["active", "newest"]
        assert connection.scalars(select(conversations.c.key).order_by("key")).all() == ["active", "newest"]
    engine.dispose()


def insert_old_content(connection: Connection, now: float, days: float) -> None:
    """A message, a summary and a note of this age, in a conversation of their own."""
    created_at = now - days * DAY_SECONDS
    conversation = connection.scalar(insert(conversations).values(key=f"{days}").returning(conversations.c.id))
    row = {"conversation_id": conversation, "text": f"{days}", "created_at": created_at}
    connection.execute(insert(messages).values(row | {"turn_id": 0, "role": "user"}))
    connection.execute(insert(summaries).values(row | {"up_to_message": 0, "model": "m"}))
    note = {"conversation_key": "c", "number": days, "kind": "note", "name": f"{days}", "digest": "", "chunk_count": 1}
    connection.execute(insert(memory_entries).values(note | {"created_at": created_at}))


def test_content_is_deleted_at_its_age(tmp_path: Path) -> None:
    engine = create_engine(sqlite_url(tmp_path))
    with engine.begin() as connection:
        for days in (21, 19, 11, 9):
            insert_old_content(connection, EPOCH, days)
        sweep_all(connection, Settings(history_days=10, memory_days=20), EPOCH)
        assert connection.scalars(select(messages.c.text)).all() == ["9"]
        assert connection.scalars(select(summaries.c.text)).all() == ["9"]
        assert connection.scalars(select(memory_entries.c.name).order_by("id")).all() == ["19", "11", "9"]
        sweep_all(connection, Settings(history_days=0, memory_days=0), EPOCH + 1000 * DAY_SECONDS)
        assert connection.scalars(select(summaries.c.text)).all() == ["9"]
    engine.dispose()


def test_usage_figures_are_deleted_at_their_age(tmp_path: Path) -> None:
    engine = create_engine(sqlite_url(tmp_path))
    with engine.begin() as connection:
        for days in (41, 40, 39):
            day = datetime.fromtimestamp(EPOCH - days * DAY_SECONDS, UTC).date().isoformat()
            add_daily_usage(connection, ["person:telegram:1"], day, days, 1)
        sweep_all(connection, Settings(usage_days=40), EPOCH)
        assert sorted(connection.scalars(select(daily_usage.c.tokens))) == [39, 40]
    engine.dispose()


def age_turns(connection: Connection, days: float) -> None:
    connection.execute(update(turns).values(finished_at=turns.c.finished_at - days * DAY_SECONDS))


def age_leases(connection: Connection, seconds: float) -> None:
    connection.execute(update(leases).values(expires_at=leases.c.expires_at - seconds))


def count_turns(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(turns)) or 0


@pytest.mark.slow
async def test_one_process_at_a_time_deletes(tmp_path: Path, model: ModelStandIn) -> None:
    settings = Settings(api_key=SecretStr(model.api_key), base_url=model.base_url, database_url=sqlite_url(tmp_path))
    first_clock, second_clock = FakeClock(EPOCH), FakeClock(EPOCH)
    first_timings, second_timings = Timings(clock=first_clock), Timings(clock=second_clock)
    async with (
        open_services(settings, timings=first_timings) as first,
        open_services(settings, timings=second_timings) as second,
    ):
        store = first.store
        await store.write(simulate_day, -100)
        first_task = asyncio.create_task(sweep_periodically(first))
        await wait_until(partial(has_turns, store, 1), 30)
        await store.write(simulate_day, -99)
        await first_clock.wait_for_timer()
        second_task = asyncio.create_task(sweep_periodically(second))
        await second_clock.wait_for_timer()  # the other process waits for the next time
        assert await store.read(count_turns) == 1 + QUESTIONS_A_DAY
        await first_clock.advance(first_timings.retention_interval)
        await first_clock.wait_for_timer()
        await first_clock.advance(first_timings.retention_pause)
        await wait_until(partial(has_turns, store, 1), 30)
        for task in (first_task, second_task):
            task.cancel()
        await asyncio.wait([first_task, second_task])


@pytest.mark.parametrize("is_finished", [True, False], ids=["finished", "endless"])
async def test_file_is_rewritten_when_no_turn_is_open(tmp_path: Path, model: ModelStandIn, is_finished: bool) -> None:
    """Whatever is stored waits meanwhile. A turn that never ends delays it for a limited time."""
    settings = Settings(api_key=SecretStr(model.api_key), base_url=model.base_url, database_url=sqlite_url(tmp_path))
    clock = FakeClock(EPOCH)
    timings = Timings(clock=clock)
    async with open_services(settings, timings=timings) as services:
        store = services.store
        await store.write(partial(accept_event, incoming=message_event("open")))
        await store.write(erase_person, Person("telegram", "6"))
        sweep = asyncio.create_task(sweep_periodically(services))
        await wait_until(lambda: timings.claim_interval in clock.pending(), 30)
        assert await store.read(has_traces)
        if is_finished:
            await store.write(lambda connection: connection.execute(update(turns).values(finished_at=0)))

        async def is_rewritten() -> bool:
            await clock.advance(timings.claim_interval)
            return not await store.read(has_traces)

        await wait_until(is_rewritten, 60)
        assert (clock.monotonic() < timings.max_compaction_delay) is is_finished
        sweep.cancel()
        await asyncio.wait([sweep])


async def test_next_process_does_not_repeat_a_failed_rewrite_at_once(tmp_path: Path, model: ModelStandIn) -> None:
    """A rewrite that fills the disk may end its process; the next one would do the same."""
    settings = Settings(api_key=SecretStr(model.api_key), base_url=model.base_url, database_url=sqlite_url(tmp_path))

    async def sweep() -> None:
        clock = FakeClock(EPOCH)
        async with open_services(settings, timings=Timings(clock=clock, sqlite_busy_timeout=0.05)) as services:
            task = asyncio.create_task(sweep_periodically(services))
            await clock.wait_for_timer()  # until the next search for traces
            task.cancel()
            await asyncio.wait([task])

    async with open_services(settings) as services:
        store = services.store
        await store.write(erase_person, Person("telegram", "6"))
        with structlog.testing.capture_logs() as logs, sqlite3.connect(store.path) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM key_values").fetchall()  # keeps the log of changes from being emptied
            await sweep()
        assert "retention.failed" in [entry["event"] for entry in logs]
        await store.write(age_leases, 1800)
        await sweep()
        assert await store.read(has_traces)
        await store.write(age_leases, 1801)
        await sweep()
        assert not await store.read(has_traces)


async def test_reserved_rewrite_is_not_waited_for_and_a_cancelled_one_is_not_reserved(
    tmp_path: Path, model: ModelStandIn
) -> None:
    settings = Settings(api_key=SecretStr(model.api_key), base_url=model.base_url, database_url=sqlite_url(tmp_path))
    first_clock, second_clock = FakeClock(EPOCH), FakeClock(EPOCH)
    timings = Timings(clock=second_clock)
    async with (
        open_services(settings, timings=Timings(clock=first_clock)) as first,
        open_services(settings, timings=timings) as second,
    ):
        store = first.store
        await store.write(partial(accept_event, incoming=message_event("open")))
        await store.write(erase_person, Person("telegram", "6"))
        first_task = asyncio.create_task(sweep_periodically(first))
        await wait_until(lambda: timings.claim_interval in first_clock.pending(), 30)
        second_task = asyncio.create_task(sweep_periodically(second))
        await second_clock.wait_for_timer()
        assert timings.claim_interval not in second_clock.pending()
        first_task.cancel()
        await asyncio.wait([first_task])
        await store.write(lambda connection: connection.execute(update(turns).values(finished_at=0)))
        await second_clock.advance(timings.trace_search_interval)

        async def is_rewritten() -> bool:
            return not await store.read(has_traces)

        await wait_until(is_rewritten, 30)
        second_task.cancel()
        await asyncio.wait([second_task])


async def test_rewrite_is_tried_again_soon_if_it_had_not_begun_when_the_database_failed(
    tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = itertools.count(1)

    def fail_first(connection: Connection) -> bool:
        if next(reads) == 1:
            raise StoreError("The database is unavailable")
        return has_open_turns(connection)

    monkeypatch.setattr(core.retention, "has_open_turns", fail_first)
    settings = Settings(api_key=SecretStr(model.api_key), base_url=model.base_url, database_url=sqlite_url(tmp_path))
    clock = FakeClock(EPOCH)
    async with open_services(settings, timings=Timings(clock=clock)) as services:
        store = services.store
        await store.write(erase_person, Person("telegram", "6"))
        task = asyncio.create_task(sweep_periodically(services))
        await clock.wait_for_timer()
        assert await store.read(has_traces)
        await clock.advance(services.timings.trace_search_interval)

        async def is_rewritten() -> bool:
            return not await store.read(has_traces)

        await wait_until(is_rewritten, 30)
        task.cancel()
        await asyncio.wait([task])


async def test_shutdown_during_the_rewrite_waits_for_nothing_behind_it(
    tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_begun = asyncio.Event()

    async def rewrite(_store: Store) -> None:
        has_begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(core.retention, "remove_traces", rewrite)
    settings = Settings(api_key=SecretStr(model.api_key), base_url=model.base_url, database_url=sqlite_url(tmp_path))
    async with open_services(settings, timings=Timings(clock=FakeClock(EPOCH))) as services:
        await services.store.write(erase_person, Person("telegram", "6"))
        task = asyncio.create_task(sweep_periodically(services))
        async with asyncio.timeout(30):
            await has_begun.wait()
        task.cancel()
        await asyncio.wait([task])
        assert await services.store.read(
            lambda connection: connection.scalars(select(leases.c.name).order_by(leases.c.name)).all()
        ) == [
            "reserved:retention",
            "reserved:traces",
        ], "releasing it would be another write"


async def has_turns(store: Store, number: int) -> bool:
    return await store.read(count_turns) == number


@pytest.mark.slow
async def test_copies_from_before_an_update_are_deleted_after_two_weeks(tmp_path: Path, model: ModelStandIn) -> None:
    settings = Settings(api_key=SecretStr(model.api_key), base_url=model.base_url, database_url=sqlite_url(tmp_path))
    clock = FakeClock(EPOCH)
    async with open_services(settings, timings=Timings(clock=clock)) as services:
        database = services.store.path
        old, new, foreign, own = (
            database.with_name(f"{name}.backup")
            for name in (f"{database.name}.0022", f"{database.name}.0023", "mine", f"{database.name}.before-move")
        )
        for path, days in ((old, 14.1), (new, 13.9), (foreign, 99.0), (own, 99.0)):
            path.write_bytes(b"a copy")
            os.utime(path, (EPOCH - days * DAY_SECONDS,) * 2)
        sweep = asyncio.create_task(sweep_periodically(services))
        await clock.wait_for_timer()  # until the next deletion
        sweep.cancel()
        assert sorted(tmp_path.glob("*.backup")) == sorted([new, foreign, own])


async def test_old_button_says_what_happened(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, timings=Timings(retention_pause=0)) as chat:
        await chat.ask("repeat: one")
        await chat.ask("repeat: two")
        await chat.wait_for_states("done", "done")
        await chat.store.write(age_turns, 31)
        await chat.store.write(sweep_all, chat.services.settings, chat.services.timings.clock.time())
        for action in ("retry:1", "more:1", "again:1", "think:1", "stop:1"):
            count = len(chat.messages)
            await chat.press(action, "2")
            await chat.wait_until(lambda count=count: len(chat.messages) > count)  # type: ignore[misc]
            assert chat.texts[-1] == texts.ANSWER_EXPIRED, action
        assert chat.messages["2"].strip() == "one"
        await chat.ask("repeat: three")
        contents = [message["content"] for message in model.requests[-1].body["messages"]]
        assert contents[1:] == ["repeat: one", "one", "repeat: two", "two", "repeat: three"]
