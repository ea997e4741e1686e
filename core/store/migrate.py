"""Numbered migrations, run at start. An embedded database is backed up before they change it.

Alembic is imported only when there is something to migrate: a new database gets the newest schema, and the names of
the migrations' files say which versions there are.
"""

import contextlib
import sqlite3
from functools import cache
from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, insert, inspect, select

from core.errors import ConfigurationError
from core.store import schema
from core.store.dialect import advisory_lock

MIGRATIONS_DIRECTORY = Path(__file__).parent / "migrations"
MIGRATION_LOCK_ID = 0x5061726C6579
"""Arbitrary, but the same in every version."""
MAX_BACKUPS = 3

version_table = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""As Alembic creates it; it is no part of the schema that the migrations describe."""


@cache
def known_revisions() -> tuple[str, ...]:
    """All versions of the schema, oldest first: the numbers with which the names of the migrations' files begin."""
    return tuple(sorted(path.name.partition("_")[0] for path in MIGRATIONS_DIRECTORY.glob("versions/[0-9]*.py")))


def newest_revision() -> str:
    return known_revisions()[-1]


def create_or_upgrade(connection: Connection) -> None:
    """Create the schema in an empty database, or migrate it to the newest version.

    Raises `ConfigurationError` if a newer version has written the database.
    """
    advisory_lock(connection, MIGRATION_LOCK_ID)
    current = read_revision(connection)
    if current is None:
        create(connection)
    elif current != newest_revision():
        upgrade(connection)


def create_or_check(connection: Connection) -> None:
    """Create the schema in an empty database. Raises `ConfigurationError` if another version wrote the database."""
    current = read_revision(connection)
    if current is None:
        create_or_upgrade(connection)
    elif current != newest_revision():
        raise ConfigurationError(
            f"The database has schema version {current}, and this version of Parley needs {newest_revision()}. Stop "
            "the older processes and start `parley run` of this version: it migrates the database. Or use the `parley` "
            "that belongs to the running bot."
        )


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the migrations up to `revision`."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS_DIRECTORY))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def create(connection: Connection) -> None:
    """Create the newest schema in an empty database."""
    schema.metadata.create_all(connection, checkfirst=False)
    version_table.create(connection)
    connection.execute(insert(version_table).values(version_num=newest_revision()))


def read_revision(connection: Connection) -> str | None:
    """None: the database is empty. Raises `ConfigurationError` if a newer version has written it."""
    if not inspect(connection).has_table(version_table.name):
        return None
    current = connection.scalar(select(version_table.c.version_num))
    if current is not None and current not in known_revisions():
        raise ConfigurationError(
            f"The database has schema version {current}, which this version of Parley does not know: a newer version "
            "wrote it. Install that version or restore a backup."
        )
    return current


def find_damage(connection: Connection) -> str:
    """What is wrong with the structure of an SQLite database; empty if it is intact. A server checks its own."""
    if connection.dialect.name != "sqlite":
        return ""
    result = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
    return "" if result == "ok" else result[:200]


def is_outdated(path: Path) -> bool:
    """Whether an older version wrote this SQLite database. Raises `ConfigurationError` if it cannot be read."""
    try:
        with contextlib.closing(sqlite3.connect(path)) as database:
            return _is_older(_read_revision_of(database))
    except sqlite3.Error as error:
        raise ConfigurationError(f"The database {path} cannot be read: {error}") from error


def _is_older(revision: str | None) -> bool:
    return revision in known_revisions() and revision != newest_revision()


def back_up(path: Path) -> None:
    """Copy the file into its folder if a migration is about to change it, and check the copy.

    The newest `MAX_BACKUPS` copies are kept. Raises `ConfigurationError` if there is no intact copy.
    """
    try:
        with contextlib.closing(sqlite3.connect(path)) as source:
            revision = _read_revision_of(source)
            if not _is_older(revision):
                return
            backup = path.with_name(f"{path.name}.{revision}.backup")
            backup.touch(mode=0o600)
            with contextlib.closing(sqlite3.connect(backup)) as target:
                source.backup(target)
                (integrity,) = target.execute("PRAGMA integrity_check").fetchone()
    except (sqlite3.Error, OSError) as error:
        raise ConfigurationError(f"The database {path} cannot be backed up: {error}") from error
    if integrity != "ok":
        raise ConfigurationError(f"The backup before the migration is damaged: {integrity}")
    backups = sorted(list_copies(path), key=lambda p: p.stat().st_mtime)
    for old in backups[:-MAX_BACKUPS]:
        old.unlink()


def list_copies(path: Path) -> list[Path]:
    """The copies of the database that `back_up` has made, by name. An operator's own copies have other names."""
    copies = (path.with_name(f"{path.name}.{revision}.backup") for revision in known_revisions())
    return [copy for copy in copies if copy.exists()]


def delete_copies(path: Path, before: float) -> int:
    """Delete the copies made before a time, in seconds since 1970. Returns how many. Raises `OSError`."""
    old = [copy for copy in list_copies(path) if copy.stat().st_mtime < before]
    for copy in old:
        copy.unlink(missing_ok=True)
    return len(old)


def _read_revision_of(database: sqlite3.Connection) -> str | None:
    try:
        row = database.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:  # no such table
        return None
    return str(row[0]) if row else None
