"""Ensures that only one process uses an embedded database.

The operating system locks a file next to the database, and frees it whenever the process ends, even in a crash.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from core.errors import ConfigurationError, UnavailableError
from core.timings import Timings

try:
    import fcntl
except ImportError:  # Windows: without a lock, only the platforms notice a second process
    fcntl = None  # type: ignore[assignment]

log = structlog.get_logger(__name__)


@asynccontextmanager
async def process_lock(database: Path, *, timings: Timings = Timings()) -> AsyncIterator[None]:
    """Lock the database while the body runs.

    Waits for a process that is shutting down. Raises `UnavailableError` if it does not end, and `ConfigurationError`
    if the lock file cannot be written.
    """
    lock_path = database.with_name(f"{database.name}.lock")
    try:
        descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(f"{lock_path} cannot be written: {error.strerror}") from error
    try:
        await _acquire(descriptor, timings)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def find_lock_owner(database: Path) -> str | None:
    """The PID of the process that serves from the database; None if there is none."""
    try:
        descriptor = os.open(database.with_name(f"{database.name}.lock"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _read_owner(descriptor)
    finally:
        os.close(descriptor)
    return None


def _read_owner(descriptor: int) -> str:
    return os.pread(descriptor, 20, 0).decode(errors="replace").strip()


async def _acquire(descriptor: int, timings: Timings) -> None:
    clock = timings.clock
    deadline = clock.monotonic() + timings.process_lock_timeout
    is_logged = False
    while fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner_pid = _read_owner(descriptor)
        else:
            return
        if clock.monotonic() > deadline:
            raise UnavailableError(
                f"Another process (PID {owner_pid}) already serves from this database. An SQLite database is for one "
                "process; several processes need PostgreSQL (DATABASE_URL)."
            )
        if not is_logged:
            log.warning("store.waiting_for_process", pid=owner_pid)
            is_logged = True
        await clock.sleep(timings.process_lock_poll_interval)
