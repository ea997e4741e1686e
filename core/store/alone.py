"""The only process that serves from an embedded database.

A lock of the operating system on a file beside it: it goes with the process, however that ends.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from core.errors import ConfigurationError, UnavailableError

try:
    import fcntl
except ImportError:  # Windows: a second process is noticed by the platforms only
    fcntl = None  # type: ignore[assignment]

__all__ = ["alone"]

log = structlog.get_logger(__name__)

PATIENCE = 25.0  # seconds: the process before this one may be ending
LOOK = 0.2


@asynccontextmanager
async def alone(database: Path) -> AsyncIterator[None]:
    """Be the one process that serves from `database` while the body runs.

    Raises `UnavailableError` when another one does and does not end.
    """
    file = database.with_name(f"{database.name}.lock")
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}") from error
    try:
        await _lock(handle)
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(handle)


async def _lock(handle: int) -> None:
    until = time.monotonic() + PATIENCE
    told = False
    while fcntl is not None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(handle, 20, 0).decode(errors="replace").strip()
        else:
            return
        if time.monotonic() > until:
            raise UnavailableError(
                f"Another process (number {holder}) serves from this database already. SQLite is "
                "for one process; several need PostgreSQL (DATABASE_URL)."
            )
        if not told:
            log.warning("waiting for the process before this one to end", process=holder)
            told = True
        await asyncio.sleep(LOOK)
