"""One way to the database: a transaction is a plain function run on a connection."""

import asyncio
import contextlib
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import urlencode

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from core.errors import ConfigurationError, StoreError
from core.store import migrate
from core.store.process_lock import process_lock
from core.store.write_queue import WriteQueue

__all__ = ["Store"]

P = ParamSpec("P")
T = TypeVar("T")

SQLITE_BUSY_TIMEOUT_MS = 10_000
CLOSE_TIMEOUT_SECONDS = 5.0  # seconds for what runs to end
TRANSACTION_TIMEOUT_SECONDS = 15.0  # seconds a transaction on a server may take
SQLALCHEMY_URL_PARAMETERS = ("host", "port", "user", "password")
"""Parameters of an address that SQLAlchemy reads itself."""
LIBPQ_ONLY_PARAMETERS = re.compile(r"channel_binding|gssencmode|sslcompression|sslnegotiation|keepalives.*")
"""Parameters for libpq itself, which providers write into addresses and no server knows."""
ASYNCPG_VALUE_PATTERN = re.compile(r"(query argument \$\d+): .*")
"""asyncpg tells the value it cannot send: it may be what somebody wrote."""


class Store:
    """The database behind `url` (`sqlite:///path` or `postgresql://...`).

    `read` and `write` run a function `f(connection, *args)` as one transaction and raise
    `StoreError` when the database does not let them.
    """

    def __init__(self, url: str) -> None:
        parsed_url = make_url(url)
        self._write_queue = WriteQueue(1 if parsed_url.get_backend_name() == "sqlite" else 10)
        self.is_embedded = parsed_url.get_backend_name() == "sqlite"
        self._is_closed = False
        self._active_transactions = 0
        self._idle = asyncio.Event()
        self.is_exclusive = False
        """Whether no other process serves from it: leases of others are of the dead."""
        if self.is_embedded:
            self._path = Path(parsed_url.database or "").expanduser()
            self._url = URL.create("sqlite+aiosqlite", database=str(self._path))
            # One writer: SQLite has one anyway, and waiting in the pool costs nothing.
            self._write_engine = self._create_sqlite_engine("BEGIN IMMEDIATE", pool_size=1)
            self._read_engine = self._create_sqlite_engine("BEGIN", pool_size=4)
        else:
            self._url, connect_args = _asyncpg_url(parsed_url)
            self._write_engine = self._read_engine = create_async_engine(
                self._url,
                pool_size=10,
                max_overflow=0,
                pool_pre_ping=True,
                pool_timeout=30,
                connect_args=connect_args,
            )

    def _create_sqlite_engine(self, begin_statement: str, *, pool_size: int) -> AsyncEngine:
        engine = create_async_engine(
            self._url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=30,
            connect_args={"timeout": SQLITE_BUSY_TIMEOUT_MS / 1000, "isolation_level": None},
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

    async def open(self) -> None:
        """Create or migrate the database.

        Raises `ConfigurationError` for a place that cannot be written or a database from a
        newer Parley, `StoreError` when the server does not answer.
        """
        if self.is_embedded:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigurationError(
                    f"The database's folder cannot be made: {error.strerror}: {self._path.parent}"
                ) from error
            with contextlib.suppress(OSError):  # opening it tells what is wrong
                self._path.touch(mode=0o600)  # what people say is for nobody else on the machine
            await asyncio.to_thread(migrate.back_up, self._path)
            await asyncio.to_thread(_enable_wal, self._path)
        try:
            async with self._translate_errors(), self._write_engine.begin() as connection:
                await connection.run_sync(migrate.upgrade)
        except StoreError as error:
            if self.is_embedded:
                raise
            raise StoreError(f"{error} (the one of DATABASE_URL)") from None

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Serve from it: an embedded database by one process only, which then is told apart
        from those before it. Raises `UnavailableError` when another process does.
        """
        if not self.is_embedded:
            yield
            return
        async with process_lock(self._path):
            self.is_exclusive = True
            yield

    async def close(self) -> None:
        """Take nothing more, let what runs end, close the connections: one that was opened after
        that nobody would close.
        """
        self._is_closed = True
        if self._active_transactions:
            self._idle.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                    await self._idle.wait()
        await self._write_engine.dispose()
        if self._read_engine is not self._write_engine:
            await self._read_engine.dispose()

    async def write(
        self,
        function: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        # In line here: many waiting in the pool cost more than twice as much.
        async with (
            self._write_queue.slot(),
            self._translate_errors(),
            self._transaction_timeout(),
            self._write_engine.begin() as connection,
        ):
            return await connection.run_sync(function, *args, **kwargs)

    async def write_with_priority(
        self,
        function: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """As `write`, before all that waits: for what a platform waits for."""
        async with (
            self._write_queue.slot(priority=True),
            self._translate_errors(),
            self._transaction_timeout(),
            self._write_engine.begin() as connection,
        ):
            return await connection.run_sync(function, *args, **kwargs)

    async def read(
        self,
        function: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        async with (
            self._translate_errors(),
            self._transaction_timeout(),
            self._read_engine.begin() as connection,
        ):
            return await connection.run_sync(function, *args, **kwargs)

    def _transaction_timeout(self) -> asyncio.Timeout:
        """A server that went silent would hold its connections for a quarter of an hour."""
        return asyncio.timeout(None if self.is_embedded else TRANSACTION_TIMEOUT_SECONDS)

    @asynccontextmanager
    async def _translate_errors(self) -> AsyncIterator[None]:
        if self._is_closed:
            raise StoreError("The database is closed")
        self._active_transactions += 1
        try:
            yield
        except (SQLAlchemyError, OSError) as error:
            cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
            # The driver's own words, without the statement and its parameters. A traceback, which
            # others may log, would tell these of whatever this was raised from.
            raise StoreError(f"The database cannot be used: {_driver_message(cause)}") from None
        finally:
            self._active_transactions -= 1
            if not self._active_transactions:
                self._idle.set()


def _enable_wal(path: Path) -> None:
    """Let readers and a writer work at the same time. The file remembers it."""
    deadline = time.monotonic() + SQLITE_BUSY_TIMEOUT_MS / 1000
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as database:
        while True:
            try:
                database.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError as error:
                # For this SQLite does not wait by itself: another process may be opening it.
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return


def _driver_message(error: BaseException) -> str:
    message = ASYNCPG_VALUE_PATTERN.sub(r"\1", str(error).partition("\n")[0])
    return message.rpartition(">: ")[2][:200] or type(error).__name__


def _asyncpg_url(url: URL) -> tuple[URL, dict[str, Any]]:
    """The address, and what goes to the driver beside it.

    SQLAlchemy makes every parameter an argument of the driver, which has other names for those
    that the rest of the world writes, but reads them in an address of its own: `sslrootcert`,
    `application_name`. Only the timeout it knows in no address.
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
