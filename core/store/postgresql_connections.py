"""The connections to a PostgreSQL server: for writes, for reads and for leases, so that none waits for another."""

import asyncio
import re
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlencode

from sqlalchemy import Connection
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from core.errors import StoreError
from core.store.write_queue import WriteQueue
from core.timings import Timings

T = TypeVar("T")

WRITERS = 6
LEASE_WRITERS = 2
"""Two, because one may have to wait for a row that another process has locked."""
READERS = 4
SQLALCHEMY_URL_PARAMETERS = ("host", "port", "user", "password")
"""URL parameters that SQLAlchemy reads itself."""
LIBPQ_ONLY_PARAMETERS = re.compile(r"channel_binding|gssencmode|sslcompression|sslnegotiation|keepalives.*")
"""URL parameters for libpq, which database providers add and the server does not know."""


class PostgresqlConnections:
    """Every method runs `function` as one transaction and raises its error, `SQLAlchemyError` or `OSError`."""

    def __init__(self, url: URL, *, timings: Timings = Timings()) -> None:
        self._timings = timings
        self._is_closed = False
        asyncpg_url, connect_args = _asyncpg_url(url)

        def create_engine(pool_size: int, **options: Any) -> AsyncEngine:
            return create_async_engine(
                asyncpg_url,
                pool_size=pool_size,
                max_overflow=0,
                pool_pre_ping=True,
                pool_timeout=timings.connection_pool_timeout,
                connect_args=connect_args,
                **options,
            )

        self._write_engine, self._write_queue = create_engine(WRITERS), WriteQueue(WRITERS)
        self._lease_engine, self._lease_queue = create_engine(LEASE_WRITERS), WriteQueue(LEASE_WRITERS)
        # Each statement of a transaction sees the newest state anyway, and BEGIN and COMMIT would take a request each.
        self._read_engine = create_engine(READERS, isolation_level="AUTOCOMMIT")

    async def read(self, function: Callable[[Connection], T]) -> T:
        return await self._run(self._read_engine, function)

    async def write(self, function: Callable[[Connection], T], *, priority: bool = False) -> T:
        async with self._write_queue.slot(priority=priority):
            return await self._run(self._write_engine, function)

    async def write_leases(self, function: Callable[[Connection], T]) -> T:
        async with self._lease_queue.slot():
            return await self._run(self._lease_engine, function)

    async def read_snapshot(self, function: Callable[[Connection], T]) -> T:
        """All statements see the same state. Without a limit of time."""
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        async with self._write_engine.execution_options(**options).begin() as connection:
            return await connection.run_sync(function)

    async def write_without_limit(self, function: Callable[[Connection], T]) -> T:
        """For migrations and the like, which may take long."""
        async with self._write_engine.begin() as connection:
            return await connection.run_sync(function)

    async def compact(self) -> None:
        """Nothing: the server does it by itself."""

    async def _run(self, engine: AsyncEngine, function: Callable[[Connection], T]) -> T:
        if self._is_closed:
            raise StoreError("The database is closed")
        # Otherwise an unresponsive server would block its connections for a quarter of an hour.
        async with asyncio.timeout(self._timings.transaction_timeout), engine.begin() as connection:
            return await connection.run_sync(function)

    async def close(self) -> None:
        self._is_closed = True
        for engine in (self._write_engine, self._lease_engine, self._read_engine):
            await engine.dispose()


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
