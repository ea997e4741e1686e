"""`parley backup` and `parley restore`: a copy of the database in a file, made while the bot runs."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import ConfigurationError, StoreError, UnavailableError
from core.store import migrate
from core.store.backup import Manifest, copy_for_migration, load_backup, read_manifest, write_backup
from core.store.database import Store
from core.store.process_lock import find_lock_owner


async def back_up(store: Store, path: Path) -> Manifest:
    """Write a backup to a new file, readable by its owner only. The file appears when it is complete and checked.

    Raises `ConfigurationError` and `StoreError`.
    """
    store.check_exists()
    with _new_file(path) as partial:
        await store.open(migrates=False)
        return await store.read_snapshot(write_backup, partial)


@contextmanager
def _new_file(path: Path) -> Iterator[Path]:
    """A file to write to, of its owner only. If the body succeeds, it is moved to `path`, which must not exist."""
    partial: Path | None = None
    try:
        _check_unused(path)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.", suffix=".partial")
        os.close(descriptor)
        partial = Path(name)
        yield partial
        _flush_to_disk(partial)
        _move(partial, path)
        _flush_to_disk(path.parent)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        if partial is not None:
            for file in (partial, Path(f"{partial}-journal")):
                file.unlink(missing_ok=True)


def _check_unused(path: Path) -> None:
    if path.exists():
        raise ConfigurationError(f"{path} exists already. Choose another name.")


def _move(partial: Path, path: Path) -> None:
    """Not with `rename`, which overwrites what another backup has written meanwhile."""
    _check_unused(path)
    try:
        os.link(partial, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links, such as that of a USB stick
        partial.rename(path)


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def restore(store: Store, path: Path, *, replaces: bool) -> Manifest:
    """Replace the content of the database with that of a backup. Nothing is changed if this fails.

    `replaces`: also if the database is not empty. Raises `ConfigurationError`, `StoreError` and `UnavailableError`.
    """
    manifest = read_manifest(path)
    if store.is_embedded and (owner := find_lock_owner(store.path)) is not None:
        raise UnavailableError(f"A bot (PID {owner}) serves from this database. Stop it and try again.")
    await store.open(migrates=False)
    with _migration_folder(store, path) as folder:
        source = path if manifest.revision == migrate.newest_revision() else await _migrated_copy(path, Path(folder))
        async with store.exclusive():
            await store.write_without_limit(load_backup, source, replaces=replaces)
    return manifest


def _migration_folder(store: Store, path: Path) -> "tempfile.TemporaryDirectory[str]":
    """Next to the database or the backup: the folder for temporary files may be too small, or in memory."""
    neighbour = store.path if store.is_embedded else path
    folder = neighbour.absolute().parent
    return tempfile.TemporaryDirectory(prefix="parley-restore-", dir=folder if os.access(folder, os.W_OK) else None)


async def _migrated_copy(path: Path, folder: Path) -> Path:
    copy = folder / "parley.sqlite3"
    try:
        copy_for_migration(path, copy)
    except sqlite3.Error as error:
        raise StoreError(f"The backup cannot be copied: {error}") from None
    copy_store = Store(f"sqlite:///{copy}")
    try:
        await copy_store.open()
    finally:
        await copy_store.close()
    return copy
