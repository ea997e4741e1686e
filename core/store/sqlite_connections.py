"""The connections to an SQLite database. Each has a thread, in which whole transactions run: a transaction takes one
hop to the thread and one back, however many statements it has.

SQLite has one writer. Writes that wait while it is busy form a group, which runs as one transaction with one commit.
Each is isolated by a savepoint, so that one that fails undoes only its own changes:

    waiting    a, b, c
    thread     BEGIN    SAVEPOINT, a, RELEASE    SAVEPOINT, b fails, ROLLBACK TO    SAVEPOINT, c, RELEASE    COMMIT
    callers    a and c return, b raises

No caller hears of success before the commit. If the commit fails, all of the group fail. Writes with priority form
groups of their own, so that they wait for the commit of no other. `compact` rewrites the file between two groups: a
connection of its own would make the writes fail that wait for it too long.
"""

import asyncio
import contextlib
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from sqlalchemy import Connection, NullPool, create_engine

from core.errors import StoreError
from core.timings import Timings

T = TypeVar("T")

READERS = 4
MAX_GROUP_SIZE = 32
"""Writes that share one commit: the first of them waits for the last."""


@dataclass(slots=True, eq=False)
class _Transaction:
    function: Callable[[Connection], Any]
    ended: "asyncio.Future[None]"
    is_running: bool = False
    result: Any = None
    error: BaseException | None = None

    async def wait(self) -> Any:
        """The function's result, or its error. A transaction that has begun ends before this does, even if this is
        cancelled: whoever cancels it may rely on its changes, or undo them.
        """
        try:
            await self.ended
        except asyncio.CancelledError:
            if self.is_running:
                self.ended = asyncio.get_running_loop().create_future()
                await self.ended
            raise
        if self.error is not None:
            raise self.error
        return self.result

    def end(self) -> None:
        self.is_running = False
        if not self.ended.done():
            self.ended.set_result(None)


@dataclass(frozen=True, slots=True)
class _Group:
    """Transactions that run as one."""

    transactions: list[_Transaction]
    loop: asyncio.AbstractEventLoop
    on_end: Callable[["_Group"], None]
    begins: bool = True
    """Whether it is a transaction; `VACUUM` runs outside of any."""


class SqliteConnections:
    """Every method runs `function` as one transaction and raises its error, `SQLAlchemyError` or `sqlite3.Error`."""

    def __init__(self, path: Path, *, timings: Timings = Timings()) -> None:
        self._readers = _ConnectionThreads(path, "BEGIN", READERS, timings)
        self._writer = _ConnectionThreads(path, "BEGIN IMMEDIATE", 1, timings)
        self._is_writing = False
        self._priority_writes: deque[_Transaction] = deque()
        self._writes: deque[_Transaction] = deque()
        self._compactions: deque[_Transaction] = deque()

    async def read(self, function: Callable[[Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        transaction = _Transaction(function, loop.create_future(), is_running=True)
        self._readers.submit(_Group([transaction], loop, _end_all))
        result: T = await transaction.wait()
        return result

    async def write(self, function: Callable[[Connection], T], *, priority: bool = False) -> T:
        loop = asyncio.get_running_loop()
        transaction = _Transaction(function, loop.create_future())
        (self._priority_writes if priority else self._writes).append(transaction)
        if not self._is_writing:
            self._start_next_group(loop)
        result: T = await transaction.wait()
        return result

    async def write_leases(self, function: Callable[[Connection], T]) -> T:
        return await self.write(function, priority=True)

    async def read_snapshot(self, function: Callable[[Connection], T]) -> T:
        return await self.read(function)  # in WAL mode, a transaction sees the state in which it began

    async def write_without_limit(self, function: Callable[[Connection], T]) -> T:
        return await self.write(function)

    async def compact(self) -> None:
        """Rewrite the file and empty the log of changes when no write waits; later ones wait. Raises `StoreError`."""
        loop = asyncio.get_running_loop()
        compaction = _Transaction(_compact, loop.create_future())
        self._compactions.append(compaction)
        if not self._is_writing:
            self._start_next_group(loop)
        await compaction.ended  # not `wait`: the process can end meanwhile
        if compaction.error is not None:
            raise compaction.error

    def _start_next_group(self, loop: asyncio.AbstractEventLoop) -> None:
        group: list[_Transaction] = []
        for waiting, max_size in (
            (self._priority_writes, MAX_GROUP_SIZE),
            (self._writes, MAX_GROUP_SIZE),
            (self._compactions, 1),
        ):
            while waiting and len(group) < max_size:
                transaction = waiting.popleft()
                if not transaction.ended.cancelled():
                    transaction.is_running = True
                    group.append(transaction)
            if group:
                self._writer.submit(_Group(group, loop, self._end_writes, begins=waiting is not self._compactions))
                break
        self._is_writing = bool(group)

    def _end_writes(self, group: _Group) -> None:
        self._start_next_group(group.loop)
        _end_all(group)

    async def close(self) -> None:
        """Close the connections once their transactions have ended."""
        await asyncio.gather(self._readers.close(), self._writer.close())


def _end_all(group: _Group) -> None:
    for transaction in group.transactions:
        transaction.end()


class _ConnectionThreads:
    """Up to `max_threads` threads with a connection each, started when they are needed."""

    def __init__(self, path: Path, begin: str, max_threads: int, timings: Timings) -> None:
        # SQLAlchemy begins and commits nothing: `_run_group` does.
        self._engine = create_engine(
            "sqlite://",
            creator=lambda: _connect(path, timings.sqlite_busy_timeout),
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
        )
        self._begin = begin
        self._max_threads = max_threads
        self._groups: SimpleQueue[_Group | None] = SimpleQueue()
        self._unfinished = 0
        self._threads: list[threading.Thread] = []

    def submit(self, group: _Group) -> None:
        self._unfinished += 1
        if len(self._threads) < min(self._unfinished, self._max_threads):
            # A daemon, because what ends the process must not wait for a lock of the database.
            thread = threading.Thread(target=self._run, name="sqlite", daemon=True)
            thread.start()
            self._threads.append(thread)
        self._groups.put(group)

    async def close(self) -> None:
        for _ in self._threads:
            self._groups.put(None)
        if not self._unfinished:  # otherwise a transaction hangs
            await asyncio.gather(*(asyncio.to_thread(thread.join) for thread in self._threads))
        self._threads.clear()

    def _run(self) -> None:
        connection: Connection | None = None
        has_next = True
        while has_next:
            has_next, connection = self._run_next(connection)

    def _run_next(self, connection: Connection | None) -> tuple[bool, Connection | None]:
        """Run one group. Returns whether there may be more, and the connection for them."""
        group = self._groups.get()
        if group is None:
            _close(connection)
            return False, None
        try:
            connection = connection or self._open_connection()
            if group.begins:
                _run_group(connection, self._begin, group.transactions)
            else:
                _run_function(group.transactions[0], connection)
        except BaseException as error:  # noqa: BLE001 (the callers raise it)
            for transaction in group.transactions:
                transaction.error = transaction.error or error
            _close(connection)
            connection = None
        with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody waits
            group.loop.call_soon_threadsafe(self._end_group, group)
        return True, connection

    def _open_connection(self) -> Connection:
        connection = self._engine.connect()
        connection.begin()  # for SQLAlchemy only, and for as long as the connection
        return connection

    def _end_group(self, group: _Group) -> None:
        self._unfinished -= 1
        group.on_end(group)


def _connect(path: Path, busy_timeout: float) -> sqlite3.Connection:
    driver = sqlite3.connect(path, timeout=busy_timeout, isolation_level=None)
    try:
        driver.execute("PRAGMA synchronous=FULL")
        driver.execute("PRAGMA foreign_keys=ON")
    except sqlite3.Error:
        driver.close()
        raise
    return driver


def _close(connection: Connection | None) -> None:
    if connection is not None:
        with contextlib.suppress(Exception):
            connection.close()


def _run_group(connection: Connection, begin: str, transactions: list[_Transaction]) -> None:
    """Run transactions as one. Raises `sqlite3.Error` if none of them took effect."""
    driver: Any = connection.connection.driver_connection
    driver.execute(begin)
    if len(transactions) == 1:
        _run_function(transactions[0], connection)
        if transactions[0].error is not None:
            driver.rollback()
            return
    else:
        for transaction in transactions:
            driver.execute("SAVEPOINT member")
            _run_function(transaction, connection)
            if not driver.in_transaction:
                raise sqlite3.OperationalError("SQLite rolled back all simultaneous writes after one had failed")
            if transaction.error is not None:
                driver.execute("ROLLBACK TO member")
            driver.execute("RELEASE member")
    driver.execute("COMMIT")


def _compact(connection: Connection) -> None:
    driver: Any = connection.connection.driver_connection
    driver.execute("VACUUM")
    # Deleted rows are also in the log of changes.
    (is_busy, *_) = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if is_busy:
        raise StoreError("A process, such as a backup, has been reading the database for too long")


def _run_function(transaction: _Transaction, connection: Connection) -> None:
    try:
        transaction.result = transaction.function(connection)
    except BaseException as error:  # noqa: BLE001 (the caller raises it)
        transaction.error = error
