"""Writes that wait at the same moment share one transaction and one commit, and still succeed or fail on their own."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from core.errors import StoreError
from core.store.database import Store
from core.store.key_values import get_value, set_value
from core.timings import Timings
from tests.sqlite import sqlite_url


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(sqlite_url(tmp_path))
    yield store
    await store.close()


def driver(connection: Connection) -> Any:
    return connection.connection.driver_connection


class WriterTrace:
    """The statements of the writer, without parameters."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def start(self, connection: Connection) -> None:
        driver(connection).set_trace_callback(lambda sql: self.statements.append(sql.split()[0]))

    def count(self, statement: str) -> int:
        return self.statements.count(statement)


@asynccontextmanager
async def busy_writer(store: Store) -> AsyncIterator[WriterTrace]:
    """Writes that begin in the body wait until it ends."""
    is_released, trace = threading.Event(), WriterTrace()
    is_running = asyncio.Event()
    loop = asyncio.get_running_loop()

    def block(connection: Connection) -> None:
        loop.call_soon_threadsafe(is_running.set)
        is_released.wait(30)
        trace.start(connection)

    blocker = asyncio.create_task(store.write(block))
    await is_running.wait()
    try:
        yield trace
    finally:
        is_released.set()
        await blocker


async def start(*writes: Any) -> list["asyncio.Task[Any]"]:
    """Let these writes wait, in this order."""
    tasks = [asyncio.create_task(write) for write in writes]
    await asyncio.sleep(0)
    return tasks


def fail_after(write: Callable[..., Any], connection: Connection, *args: Any) -> None:
    write(connection, *args)
    raise ValueError("a defect")


def read_keys(connection: Connection) -> set[str]:
    return set(connection.exec_driver_sql("SELECT key FROM key_values").scalars())


async def test_waiting_writes_share_one_commit(store: Store) -> None:
    async with busy_writer(store) as trace:
        writes = await start(*(store.write(set_value, f"{n}", "value") for n in range(5)))
    await asyncio.gather(*writes)
    assert await store.read(read_keys) == set("01234")
    assert (trace.count("BEGIN"), trace.count("COMMIT")) == (1, 2)  # the first commit is the busy writer's


async def test_failing_write_undoes_only_its_own_changes(store: Store) -> None:
    async with busy_writer(store) as trace:
        good, defective, invalid, later = await start(
            store.write(set_value, "good", "value"),
            store.write(partial(fail_after, set_value), "defective", "value"),
            store.write(lambda connection: connection.exec_driver_sql("INSERT INTO key_values VALUES ('invalid')")),
            store.write(set_value, "later", "value"),
        )
    await asyncio.gather(good, later)
    with pytest.raises(ValueError, match="a defect"):
        await defective
    with pytest.raises(StoreError, match="2 columns"):
        await invalid
    assert await store.read(read_keys) == {"good", "later"}
    assert trace.count("COMMIT") == 2


async def test_nobody_hears_of_success_before_the_commit(store: Store) -> None:
    """Like a full disk, which makes SQLite undo the whole transaction."""

    def lose_transaction(connection: Connection) -> None:
        driver(connection).execute("ROLLBACK")
        raise ValueError("the cause")

    async with busy_writer(store):
        before, cause, after = await start(
            store.write(set_value, "before", "value"),
            store.write(lose_transaction),
            store.write(set_value, "after", "value"),
        )
    for write in (before, after):
        with pytest.raises(StoreError, match="rolled back"):
            await write
    with pytest.raises(ValueError, match="the cause"):
        await cause
    assert await store.read(read_keys) == set()
    await store.write(set_value, "next", "value")


async def test_failing_commit_fails_every_write_of_the_group(store: Store) -> None:
    def break_commit(connection: Connection) -> None:
        """A violation of a foreign key that SQLite looks for at the commit."""
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        connection.exec_driver_sql("INSERT INTO reasoning VALUES (4711, '')")

    async with busy_writer(store):
        writes = await start(store.write(set_value, "key", "value"), store.write(break_commit))
    for write in writes:
        with pytest.raises(StoreError, match="FOREIGN KEY"):
            await write
    assert await store.read(read_keys) == set()
    await store.write(set_value, "next", "value")
    assert await store.read(get_value, "next") == "value"


async def test_priority_writes_wait_for_no_other_commit(store: Store) -> None:
    order: list[str] = []

    def note(_connection: Connection, name: str) -> None:
        order.append(name)

    async with busy_writer(store) as trace:
        first, urgent, second = await start(
            store.write(note, "first"), store.write_with_priority(note, "urgent"), store.write(note, "second")
        )
    await urgent
    await asyncio.gather(first, second)
    assert order == ["urgent", "first", "second"]
    assert trace.count("COMMIT") == 3


async def test_cancelled_write_that_waits_does_not_run(store: Store) -> None:
    async with busy_writer(store):
        cancelled, other = await start(store.write(set_value, "cancelled", ""), store.write(set_value, "other", ""))
        cancelled.cancel()
        await asyncio.wait({cancelled}, timeout=30)
        assert cancelled.cancelled()
    await other
    assert await store.read(read_keys) == {"other"}


async def test_cancelled_write_that_runs_ends_before_its_caller_goes_on(store: Store) -> None:
    is_released, is_running = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def write(connection: Connection) -> None:
        loop.call_soon_threadsafe(is_running.set)
        is_released.wait(30)
        set_value(connection, "key", "value")

    task = asyncio.create_task(store.write(write))
    await is_running.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    is_released.set()
    await asyncio.wait({task})
    assert task.cancelled()
    assert await store.read(get_value, "key") == "value"


async def test_locked_database_fails_a_write_and_not_the_next(tmp_path: Path) -> None:
    store = Store(sqlite_url(tmp_path), timings=Timings(sqlite_busy_timeout=0.01))
    other = sqlite3.connect(tmp_path / "parley.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        await store.write(set_value, "key", "value")
    other.close()
    await store.write(set_value, "key", "value")
    await store.close()


async def test_reads_see_one_state_of_the_database(store: Store) -> None:
    """Also if a write ends between two statements of a read."""
    is_read, is_written = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def read_twice(connection: Connection) -> list[str | None]:
        values = [get_value(connection, "key")]
        loop.call_soon_threadsafe(is_read.set)
        is_written.wait(30)
        return [*values, get_value(connection, "key")]

    await store.write(set_value, "key", "old")
    read = asyncio.create_task(store.read(read_twice))
    await is_read.wait()
    await store.write(set_value, "key", "new")
    is_written.set()
    assert await read == ["old", "old"]
    assert await store.read(get_value, "key") == "new"


def fill(connection: Connection) -> None:
    connection.exec_driver_sql("CREATE TABLE large AS SELECT randomblob(4000000) AS content")


async def test_writes_wait_while_the_file_is_rewritten(tmp_path: Path) -> None:
    """On a connection of its own, the rewrite would lock them out for longer than they may wait."""
    store = Store(sqlite_url(tmp_path), timings=Timings(sqlite_busy_timeout=0))
    await store.write(fill)
    compaction, count = asyncio.create_task(store.compact()), 0
    while not compaction.done():
        await store.write(set_value, f"{count}", "value")
        count += 1
    await compaction
    assert len(await store.read(read_keys)) == count
    await store.close()
