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
from core.store.alone import alone
from core.store.line import Line

__all__ = ["Store"]

P = ParamSpec("P")
T = TypeVar("T")

BUSY_MS = 10_000
CLOSING = 5.0  # seconds for what runs to end
SILENT = 15.0  # seconds a transaction on a server may take
PLACE = ("host", "port", "user", "password")
"""Parameters of an address that SQLAlchemy reads itself."""
CLIENTS = re.compile(r"channel_binding|gssencmode|sslcompression|sslnegotiation|keepalives.*")
"""Parameters for libpq itself, which providers write into addresses and no server knows."""
VALUE = re.compile(r"(query argument \$\d+): .*")
"""asyncpg tells the value it cannot send: it may be what somebody wrote."""


class Store:
    """The database behind `url` (`sqlite:///path` or `postgresql://...`).

    `read` and `write` run a function `f(connection, *args)` as one transaction and raise
    `StoreError` when the database does not let them.
    """

    def __init__(self, url: str) -> None:
        given = make_url(url)
        self._line = Line(1 if given.get_backend_name() == "sqlite" else 10)
        self.embedded = given.get_backend_name() == "sqlite"
        self._closed = False
        self._running = 0
        self._idle = asyncio.Event()
        self.only = False
        """Whether no other process serves from it: leases of others are of the dead."""
        if self.embedded:
            self._file = Path(given.database or "").expanduser()
            self._url = URL.create("sqlite+aiosqlite", database=str(self._file))
            # One writer: SQLite has one anyway, and waiting in the pool costs nothing.
            self._writer = self._sqlite("BEGIN IMMEDIATE", pool_size=1)
            self._reader = self._sqlite("BEGIN", pool_size=4)
        else:
            self._url, others = _for_asyncpg(given)
            self._writer = self._reader = create_async_engine(
                self._url,
                pool_size=10,
                max_overflow=0,
                pool_pre_ping=True,
                pool_timeout=30,
                connect_args=others,
            )

    def _sqlite(self, begin: str, *, pool_size: int) -> AsyncEngine:
        engine = create_async_engine(
            self._url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=30,
            connect_args={"timeout": BUSY_MS / 1000, "isolation_level": None},
        )

        @event.listens_for(engine.sync_engine, "connect")
        def _connect(connection: Any, _record: object) -> None:
            cursor = connection.cursor()
            cursor.execute("PRAGMA synchronous=FULL")
            cursor.execute("PRAGMA foreign_keys=ON")
            cursor.close()

        @event.listens_for(engine.sync_engine, "begin")
        def _begin(connection: Connection) -> None:
            connection.exec_driver_sql(begin)

        return engine

    async def open(self) -> None:
        """Create or migrate the database.

        Raises `ConfigurationError` for a place that cannot be written or a database from a
        newer Parley, `StoreError` when the server does not answer.
        """
        if self.embedded:
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigurationError(
                    f"The database's folder cannot be made: {error.strerror}: {self._file.parent}"
                ) from error
            with contextlib.suppress(OSError):  # opening it tells what is wrong
                self._file.touch(mode=0o600)  # what people say is for nobody else on the machine
            await asyncio.to_thread(migrate.back_up, self._file)
            await asyncio.to_thread(_write_ahead, self._file)
        try:
            async with self._guard(), self._writer.begin() as connection:
                await connection.run_sync(migrate.upgrade)
        except StoreError as error:
            if self.embedded:
                raise
            raise StoreError(f"{error} (the one of DATABASE_URL)") from None

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Serve from it: an embedded database by one process only, which then is told apart
        from those before it. Raises `UnavailableError` when another process does.
        """
        if not self.embedded:
            yield
            return
        async with alone(self._file):
            self.only = True
            yield

    async def close(self) -> None:
        """Take nothing more, let what runs end, close the connections: one that was opened after
        that nobody would close.
        """
        self._closed = True
        if self._running:
            self._idle.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSING):
                    await self._idle.wait()
        await self._writer.dispose()
        if self._reader is not self._writer:
            await self._reader.dispose()

    async def write(
        self,
        function: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        # In line here: many waiting in the pool cost more than twice as much.
        async with (
            self._line.turn(),
            self._guard(),
            self._patience(),
            self._writer.begin() as connection,
        ):
            return await connection.run_sync(function, *args, **kwargs)

    async def write_first(
        self,
        function: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """As `write`, before all that waits: for what a platform waits for."""
        async with (
            self._line.turn(first=True),
            self._guard(),
            self._patience(),
            self._writer.begin() as connection,
        ):
            return await connection.run_sync(function, *args, **kwargs)

    async def read(
        self,
        function: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        async with self._guard(), self._patience(), self._reader.begin() as connection:
            return await connection.run_sync(function, *args, **kwargs)

    def _patience(self) -> asyncio.Timeout:
        """A server that went silent would hold its connections for a quarter of an hour."""
        return asyncio.timeout(None if self.embedded else SILENT)

    @asynccontextmanager
    async def _guard(self) -> AsyncIterator[None]:
        if self._closed:
            raise StoreError("The database is closed")
        self._running += 1
        try:
            yield
        except (SQLAlchemyError, OSError) as error:
            cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
            # The driver's own words, without the statement and its parameters. A traceback, which
            # others may log, would tell these of whatever this was raised from.
            raise StoreError(f"The database cannot be used: {_words(cause)}") from None
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()


def _write_ahead(file: Path) -> None:
    """Let readers and a writer work at the same time. The file remembers it."""
    until = time.monotonic() + BUSY_MS / 1000
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(file)) as database:
        while True:
            try:
                database.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError as error:
                # For this SQLite does not wait by itself: another process may be opening it.
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
                time.sleep(0.02)
            else:
                return


def _words(error: BaseException) -> str:
    words = VALUE.sub(r"\1", str(error).partition("\n")[0])
    return words.rpartition(">: ")[2][:200] or type(error).__name__


def _for_asyncpg(given: URL) -> tuple[URL, dict[str, Any]]:
    """The address, and what goes to the driver beside it.

    SQLAlchemy makes every parameter an argument of the driver, which has other names for those
    that the rest of the world writes, but reads them in an address of its own: `sslrootcert`,
    `application_name`. Only the timeout it knows in no address.
    """
    query = {
        name: value
        for name, value in given.query.items()
        if name not in PLACE and not CLIENTS.fullmatch(name)
    }
    others: dict[str, Any] = {}
    if "connect_timeout" in query:
        others["timeout"] = float(str(query.pop("connect_timeout")))
    if "ssl" in query:
        query["sslmode"] = query.pop("ssl")
    if query:
        others["dsn"] = f"postgresql://?{urlencode(query, doseq=True)}"
    place = {name: value for name, value in given.query.items() if name in PLACE}
    return given.set(drivername="postgresql+asyncpg", query=place), others
