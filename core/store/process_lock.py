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

__all__ = ["process_lock"]

log = structlog.get_logger(__name__)

LOCK_TIMEOUT_SECONDS = 25.0  # seconds: the process before this one may be ending
LOCK_RETRY_INTERVAL = 0.2


@asynccontextmanager
async def process_lock(database: Path) -> AsyncIterator[None]:
    """Be the one process that serves from `database` while the body runs.

    Raises `UnavailableError` when another one does and does not end.
    """
    lock_path = database.with_name(f"{database.name}.lock")
    try:
        descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(f"{lock_path} cannot be written: {error.strerror}") from error
    try:
        await _acquire_lock(descriptor)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


async def _acquire_lock(descriptor: int) -> None:
    deadline = time.monotonic() + LOCK_TIMEOUT_SECONDS
    is_logged = False
    while fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder_pid = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
        else:
            return
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"Another process (number {holder_pid}) serves from this database already. "
                "SQLite is "
                "for one process; several need PostgreSQL (DATABASE_URL)."
            )
        if not is_logged:
            log.warning("waiting for the process before this one to end", process=holder_pid)
            is_logged = True
        await asyncio.sleep(LOCK_RETRY_INTERVAL)
