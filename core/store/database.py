"""Access to the database: a transaction is a plain function that runs on a connection.

    turns = await store.write(claim_turns, owner, accounts, lease_seconds=6, limit=10)

SQLite has one writer, so writes wait in a queue here; PostgreSQL gets connections for writes, for reads and for leases,
so that none of these waits for another. Both run the same functions.
"""

import asyncio
import contextlib
import os
import re
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import urlencode

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from core.clock import wait_for_event
from core.errors import ConfigurationError, DamagedStoreError, StoreError
from core.store import migrate
from core.store.process_lock import process_lock
from core.timings import Timings

P = ParamSpec("P")
T = TypeVar("T")

POSTGRESQL_WRITERS = 6
LEASE_WRITERS = 2
"""Of a PostgreSQL database: two, because one may have to wait for a row that another process has locked."""
READERS = 4
DAMAGE_CODES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
SQLALCHEMY_URL_PARAMETERS = ("host", "port", "user", "password")
"""URL parameters that SQLAlchemy reads itself."""
LIBPQ_ONLY_PARAMETERS = re.compile(r"channel_binding|gssencmode|sslcompression|sslnegotiation|keepalives.*")
"""URL parameters for libpq, which database providers add and the server does not know."""
ASYNCPG_VALUE_PATTERN = re.compile(r"(query argument \$\d+): .*")
"""asyncpg quotes values that it cannot send, which may contain private text."""


class Store:
    """The database at `url`: `sqlite:///path` or `postgresql://...`.

    `read`, `write`, `write_with_priority` and `write_leases` run `function(connection, ...)` as one transaction and
    raise `StoreError` when the database fails.
    """

    def __init__(self, url: str, *, timings: Timings = Timings()) -> None:
        parsed_url = make_url(url)
        self._clock = timings.clock
        self._timings = timings
        self.is_embedded = parsed_url.get_backend_name() == "sqlite"
        self.is_exclusive = False
        """Whether no other process uses this database, so that all other owners' leases belong to dead processes."""
        self._is_closed = False
        self._active_transactions = 0
        self._idle = asyncio.Event()
        if self.is_embedded:
            self._path = Path(parsed_url.database or "").expanduser()
            self._url = URL.create("sqlite+aiosqlite", database=str(self._path))
            self._write_engine = self._lease_engine = self._create_sqlite_engine("BEGIN IMMEDIATE", pool_size=1)
            self._write_queue = self._lease_queue = WriteQueue(1)
            self._read_engine = self._create_sqlite_engine("BEGIN", pool_size=READERS)
        else:
            self._url, connect_args = _asyncpg_url(parsed_url)
            self._write_engine = self._create_postgresql_engine(connect_args, pool_size=POSTGRESQL_WRITERS)
            self._write_queue = WriteQueue(POSTGRESQL_WRITERS)
            self._lease_engine = self._create_postgresql_engine(connect_args, pool_size=LEASE_WRITERS)
            self._lease_queue = WriteQueue(LEASE_WRITERS)
            self._read_engine = self._create_postgresql_engine(connect_args, pool_size=READERS)

    def _create_postgresql_engine(self, connect_args: dict[str, Any], *, pool_size: int) -> AsyncEngine:
        return create_async_engine(
            self._url,
            pool_size=pool_size,
            max_overflow=0,
            pool_pre_ping=True,
            pool_timeout=self._timings.connection_pool_timeout,
            connect_args=connect_args,
        )

    def _create_sqlite_engine(self, begin_statement: str, *, pool_size: int) -> AsyncEngine:
        engine = create_async_engine(
            self._url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=self._timings.connection_pool_timeout,
            connect_args={"timeout": self._timings.sqlite_busy_timeout, "isolation_level": None},
        )

        @event.listens_for(engine.sync_engine, "connect")
        def _connect(connection: Any, _record: object) -> None:
            cursor = connection.cursor()
            cursor.execute("PRAGMA synchronous=FULL")
            cursor.execute("PRAGMA foreign_keys=ON")
            cursor.close()

        @event.listens_for(engine.sync_engine, "begin")
        def _begin(connection: Connection) -> None:
            connection.exec_driver_sql(begin_statement)

        return engine

    async def open(self, *, migrates: bool = True) -> None:
        """Create or migrate the database. With `migrates=False`, an older database is refused: a process of the version
        that wrote it may be serving from it.

        Raises `ConfigurationError` if the file cannot be written or the database has another version, `StoreError` if
        the server does not answer, and `UnavailableError` if another process uses a file that must be migrated.
        """
        async with AsyncExitStack() as stack:
            if self.is_embedded:
                self._create_file()
                if migrates and await asyncio.to_thread(migrate.is_outdated, self._path):
                    # A process of the older version may be serving: it must not lose its tables.
                    await stack.enter_async_context(process_lock(self._path, timings=self._timings))
                    await asyncio.to_thread(migrate.back_up, self._path)
                await self._wait_for_wal()
            try:
                async with self._translate_errors(), self._write_engine.begin() as connection:
                    await connection.run_sync(migrate.upgrade if migrates else migrate.create_or_check)
            except DamagedStoreError:
                raise
            except StoreError as error:
                raise StoreError(f"{error} ({self._path if self.is_embedded else 'see DATABASE_URL'})") from None

    def _create_file(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"The database's folder cannot be created: {error.strerror}: {self._path.parent}"
            ) from error
        with contextlib.suppress(OSError):  # `_check_writable` reports the error
            self._path.touch(mode=0o600)  # other users of the machine must not read conversations
        _check_writable(self._path)

    async def _wait_for_wal(self) -> None:
        # SQLite's own timeout does not cover this while another process opens the file.
        deadline = self._clock.monotonic() + self._timings.sqlite_busy_timeout
        while not await asyncio.to_thread(_enable_wal, self._path) and self._clock.monotonic() < deadline:
            await self._clock.sleep(self._timings.sqlite_poll_interval)

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Lock an embedded database for this process. Raises `UnavailableError` if another process uses it.

        Any number of processes may share a PostgreSQL database.
        """
        if not self.is_embedded:
            yield
            return
        async with process_lock(self._path, timings=self._timings):
            self.is_exclusive = True
            yield

    async def close(self) -> None:
        """Refuse new transactions, wait for the running ones, and close the connections."""
        self._is_closed = True
        if self._active_transactions:
            self._idle.clear()
            await wait_for_event(self._idle, self._timings.store_close_timeout, self._clock)
        for engine in {self._write_engine, self._lease_engine, self._read_engine}:
            await engine.dispose()

    async def write(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        async with self._write_queue.slot():
            return await self._run(self._write_engine, lambda connection: function(connection, *args, **kwargs))

    async def write_with_priority(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like `write`, but ahead of all queued writes. For writes that a platform waits for."""
        async with self._write_queue.slot(priority=True):
            return await self._run(self._write_engine, lambda connection: function(connection, *args, **kwargs))

    async def write_leases(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like `write_with_priority`, but on a database server nothing else uses its connections. For renewals of
        leases, which must not run out while other transactions are slow.
        """
        async with self._lease_queue.slot(priority=True):
            return await self._run(self._lease_engine, lambda connection: function(connection, *args, **kwargs))

    async def read(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(self._read_engine, lambda connection: function(connection, *args, **kwargs))

    async def _run(self, engine: AsyncEngine, function: Callable[[Connection], T]) -> T:
        async with self._translate_errors():
            transaction = self._transact(engine, function)
            # A connection whose transaction is cancelled would keep SQLite's lock, so that nobody could write again.
            return await (_run_to_end(transaction) if self.is_embedded else transaction)

    async def _transact(self, engine: AsyncEngine, function: Callable[[Connection], T]) -> T:
        # Otherwise an unresponsive server would block its connections for a quarter of an hour.
        timeout = asyncio.timeout(None if self.is_embedded else self._timings.transaction_timeout)
        async with timeout, engine.begin() as connection:
            return await connection.run_sync(function)

    @asynccontextmanager
    async def _translate_errors(self) -> AsyncIterator[None]:
        if self._is_closed:
            raise StoreError("The database is closed")
        self._active_transactions += 1
        try:
            yield
        except (SQLAlchemyError, OSError) as error:
            cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
            if getattr(cause, "sqlite_errorcode", None) in DAMAGE_CODES:
                raise DamagedStoreError(
                    f"The database {self._path} is damaged or is no database: {_driver_message(cause)}. "
                    "Restore a backup, or move the file away to begin with an empty database."
                ) from None
            # Only the driver's message: a traceback would show the statement's parameters, which are private.
            raise StoreError(f"The database cannot be used: {_driver_message(cause)}") from None
        finally:
            self._active_transactions -= 1
            if not self._active_transactions:
                self._idle.set()


async def _run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which ends before this does, even if this is cancelled."""
    task = asyncio.create_task(work)
    # Otherwise the event loop would log an error that no caller sees, with the statement's parameters.
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _check_writable(database: Path) -> None:
    """Raise `ConfigurationError` unless SQLite can write the file and create others next to it."""
    folder = database.parent
    for path in (folder, database, Path(f"{database}-wal"), Path(f"{database}-shm")):
        needed = os.W_OK | (os.X_OK if path == folder else os.R_OK)
        if path.exists() and not os.access(path, needed):
            raise ConfigurationError(f"The database cannot be written: no permission to write {path}")
    if database.is_dir():
        raise ConfigurationError(f"The database cannot be opened: {database} is a folder (see DATABASE_URL)")


def _enable_wal(path: Path) -> bool:
    """Let readers and a writer work at the same time (stored in the file). False if another process locks the file."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as database:
        try:
            database.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            return error.sqlite_errorcode != sqlite3.SQLITE_BUSY
    return True


def _driver_message(error: BaseException) -> str:
    message = ASYNCPG_VALUE_PATTERN.sub(r"\1", str(error).partition("\n")[0])
    return message.rpartition(">: ")[2][:200] or type(error).__name__


def _asyncpg_url(url: URL) -> tuple[URL, dict[str, Any]]:
    """The URL for SQLAlchemy and the arguments for the driver.

    SQLAlchemy passes every URL parameter to asyncpg as an argument. asyncpg does not know libpq's names
    (`sslrootcert`, `application_name`) as arguments, but accepts all of them in a DSN except `connect_timeout`.
    """
    query = {
        name: value
        for name, value in url.query.items()
        if name not in SQLALCHEMY_URL_PARAMETERS and not LIBPQ_ONLY_PARAMETERS.fullmatch(name)
    }
    connect_args: dict[str, Any] = {}
    if "connect_timeout" in query:
        connect_args["timeout"] = float(str(query.pop("connect_timeout")))
    if "ssl" in query:
        query["sslmode"] = query.pop("ssl")
    if query:
        connect_args["dsn"] = f"postgresql://?{urlencode(query, doseq=True)}"
    url_query = {name: value for name, value in url.query.items() if name in SQLALCHEMY_URL_PARAMETERS}
    return url.set(drivername="postgresql+asyncpg", query=url_query), connect_args


class WriteQueue:
    """A semaphore with two classes of waiters, each in the order of arrival."""

    def __init__(self, capacity: int) -> None:
        self._free_slots = capacity
        self._priority_waiters: deque[asyncio.Future[None]] = deque()
        self._waiters: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def slot(self, *, priority: bool = False) -> AsyncIterator[None]:
        await self._acquire(priority=priority)
        try:
            yield
        finally:
            self._release()

    async def _acquire(self, *, priority: bool) -> None:
        if self._free_slots:
            self._free_slots -= 1
            return
        waiter = asyncio.get_running_loop().create_future()
        (self._priority_waiters if priority else self._waiters).append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():  # the slot was passed on before the cancellation arrived
                self._release()
            raise

    def _release(self) -> None:
        for waiters in (self._priority_waiters, self._waiters):
            while waiters:
                waiter = waiters.popleft()
                if not waiter.done():
                    waiter.set_result(None)
                    return
        self._free_slots += 1
