"""Access to the database: a transaction is a plain function that runs on a connection.

    turns = await store.write(claim_turns, owner, accounts, lease_seconds=6, limit=10)

The function is a plain one. On SQLite it runs in the thread of a connection, so it must not touch what belongs to the
event loop's thread and changes meanwhile; what it needs are its arguments.
"""

import asyncio
import contextlib
import os
import re
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from core.clock import wait_for_event
from core.errors import ConfigurationError, DamagedStoreError, StoreError
from core.metrics import NO_METRICS, Metrics
from core.store import migrate
from core.store.process_lock import process_lock
from core.timings import Timings

if TYPE_CHECKING:
    from core.store.postgresql_connections import PostgresqlConnections
    from core.store.sqlite_connections import SqliteConnections

P = ParamSpec("P")
T = TypeVar("T")

DAMAGE_CODES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
ASYNCPG_VALUE_PATTERN = re.compile(r"(query argument \$\d+): .*")
"""asyncpg quotes values that it cannot send, which may contain private text."""


class Store:
    """The database at `url`: `sqlite:///path` or `postgresql://...`.

    `read`, `write`, `write_with_priority` and `write_leases` run `function(connection, ...)` as one transaction and
    raise `StoreError` when the database fails.
    """

    def __init__(self, url: str, *, timings: Timings = Timings(), metrics: Metrics = NO_METRICS) -> None:
        parsed_url = make_url(url)
        self._clock = timings.clock
        self._timings = timings
        self._metrics = metrics
        self.is_embedded = parsed_url.get_backend_name() == "sqlite"
        self.is_exclusive = False
        """Whether no other process uses this database, so that all other owners' leases belong to dead processes."""
        self._is_closed = False
        self._active_transactions = 0
        self._idle = asyncio.Event()
        self.path = Path(parsed_url.database or "").expanduser()
        """The file of an embedded database; without meaning for a database server."""
        self._connections = self._create_connections(parsed_url)

    def _create_connections(self, url: URL) -> "SqliteConnections | PostgresqlConnections":
        if self.is_embedded:
            from core.store.sqlite_connections import SqliteConnections

            return SqliteConnections(self.path, timings=self._timings)
        from core.store.postgresql_connections import PostgresqlConnections

        return PostgresqlConnections(url, timings=self._timings)

    async def open(self, *, migrates: bool = True) -> None:
        """Create or migrate the database. With `migrates=False`, an older database is refused: a process of the version
        that wrote it may be serving from it.

        Raises `ConfigurationError` if the file cannot be written or the database has another version, `StoreError` if
        the server does not answer, and `UnavailableError` if another process uses a file that must be migrated.
        """
        async with AsyncExitStack() as stack:
            if self.is_embedded:
                self._create_file()
                if migrates and await asyncio.to_thread(migrate.is_outdated, self.path):
                    # A process of the older version may be serving: it must not lose its tables.
                    await stack.enter_async_context(process_lock(self.path, timings=self._timings))
                    await asyncio.to_thread(migrate.back_up, self.path)
                await self._wait_for_wal()
            try:
                async with self._transaction("maintenance"):
                    await self._connections.write_without_limit(
                        migrate.create_or_upgrade if migrates else migrate.create_or_check
                    )
            except DamagedStoreError:
                raise
            except StoreError as error:
                raise StoreError(f"{error} ({self.path if self.is_embedded else 'see DATABASE_URL'})") from None

    def _create_file(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"The database's folder cannot be created: {error.strerror}: {self.path.parent}"
            ) from error
        with contextlib.suppress(OSError):  # `_check_writable` reports the error
            self.path.touch(mode=0o600)  # other users of the machine must not read conversations
        _check_writable(self.path)

    async def _wait_for_wal(self) -> None:
        # SQLite's own timeout does not cover this while another process opens the file.
        deadline = self._clock.monotonic() + self._timings.sqlite_busy_timeout
        while not await asyncio.to_thread(_enable_wal, self.path) and self._clock.monotonic() < deadline:
            await self._clock.sleep(self._timings.sqlite_poll_interval)

    def check_exists(self) -> None:
        """For commands that look for something in the database: `open` would create it. Raises `ConfigurationError`."""
        if self.is_embedded and not self.path.exists():
            raise ConfigurationError(f"There is no database at {self.path}.")

    async def compact(self) -> None:
        """Leave no trace of deleted rows in an embedded database's file, and shrink it. Writes wait meanwhile.

        A database server does this by itself. Raises `StoreError`.
        """
        async with self._transaction("maintenance"):
            await self._connections.compact()

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Lock an embedded database for this process. Raises `UnavailableError` if another process uses it.

        Any number of processes may share a PostgreSQL database.
        """
        if not self.is_embedded:
            yield
            return
        async with process_lock(self.path, timings=self._timings):
            self.is_exclusive = True
            yield

    async def close(self) -> None:
        """Refuse new transactions, wait for the running ones, and close the connections."""
        self._is_closed = True
        if self._active_transactions:
            self._idle.clear()
            await wait_for_event(self._idle, self._timings.store_close_timeout, self._clock)
        await self._connections.close()

    async def write(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        async with self._transaction("write"):
            return await self._connections.write(lambda connection: function(connection, *args, **kwargs))

    async def write_with_priority(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like `write`, but ahead of all queued writes. For writes that a platform waits for."""
        async with self._transaction("write"):
            return await self._connections.write(
                lambda connection: function(connection, *args, **kwargs), priority=True
            )

    async def write_leases(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like `write_with_priority`, but on a database server nothing else uses its connections. For renewals of
        leases, which must not run out while other transactions are slow.
        """
        async with self._transaction("write"):
            return await self._connections.write_leases(lambda connection: function(connection, *args, **kwargs))

    async def read_snapshot(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like `read`, but all statements see one state of the database, and there is no limit of time."""
        async with self._transaction("maintenance"):
            return await self._connections.read_snapshot(lambda connection: function(connection, *args, **kwargs))

    async def write_without_limit(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like `write`, but without a limit of time. For maintenance."""
        async with self._transaction("maintenance"):
            return await self._connections.write_without_limit(lambda connection: function(connection, *args, **kwargs))

    async def read(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        async with self._transaction("read"):
            return await self._connections.read(lambda connection: function(connection, *args, **kwargs))

    async def ping(self) -> None:
        """Raise `StoreError` if the database does not answer."""
        await self.read(lambda connection: connection.scalar(select(1)))

    @asynccontextmanager
    async def _transaction(self, operation: str) -> AsyncIterator[None]:
        """Count and measure a transaction, and translate its errors."""
        if self._is_closed:
            raise StoreError("The database is closed")
        started_at = self._clock.monotonic()
        self._active_transactions += 1
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
            if getattr(cause, "sqlite_errorcode", None) in DAMAGE_CODES:
                raise DamagedStoreError(
                    f"The database {self.path} is damaged or is no database: {_driver_message(cause)}. "
                    "Restore a backup, or move the file away to begin with an empty database."
                ) from None
            # Only the driver's message: a traceback would show the statement's parameters, which are private.
            raise StoreError(f"The database cannot be used: {_driver_message(cause)}") from None
        finally:
            self._metrics.transaction_ended(operation, self._clock.monotonic() - started_at)
            self._active_transactions -= 1
            if not self._active_transactions:
                self._idle.set()


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
