"""Numbered migrations, run at start. An embedded database is backed up before they change it."""

import contextlib
import sqlite3
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from core.errors import ConfigurationError
from core.store.dialect import advisory_lock

MIGRATIONS_DIRECTORY = Path(__file__).parent / "migrations"
MIGRATION_LOCK_ID = 0x5061726C6579
"""Arbitrary, but the same in every version."""
MAX_BACKUPS = 3


def _alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS_DIRECTORY))
    return config


@cache
def _load_migrations() -> ScriptDirectory:
    return ScriptDirectory.from_config(_alembic_config())


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Migrate the schema to `revision`. Raises `ConfigurationError` if a newer version has written the database."""
    advisory_lock(connection, MIGRATION_LOCK_ID)
    scripts = _load_migrations()
    current = _current_revision(connection, scripts)
    if current == scripts.get_current_head():
        return
    config = _alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def create_or_check(connection: Connection) -> None:
    """Create the schema in an empty database. Raises `ConfigurationError` if another version wrote the database."""
    scripts = _load_migrations()
    current = _current_revision(connection, scripts)
    if current is None:
        upgrade(connection)
    elif current != (head := scripts.get_current_head()):
        raise ConfigurationError(
            f"The database has schema version {current}, and this version of Parley needs {head}. Stop the older "
            "processes and start `parley run` of this version: it migrates the database. Or use the `parley` that "
            "belongs to the running bot."
        )


def _current_revision(connection: Connection, scripts: ScriptDirectory) -> str | None:
    """None: the database is empty. Raises `ConfigurationError` if a newer version has written it."""
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in _known_revisions(scripts):
        raise ConfigurationError(
            f"The database has schema version {current}, which this version of Parley does not know: a newer version "
            "wrote it. Install that version or restore a backup."
        )
    return current


def _known_revisions(scripts: ScriptDirectory) -> set[str]:
    return {script.revision for script in scripts.walk_revisions()}


def is_outdated(path: Path) -> bool:
    """Whether an older version wrote this SQLite database. Raises `ConfigurationError` if it cannot be read."""
    try:
        with contextlib.closing(sqlite3.connect(path)) as database:
            return _is_older(_read_revision(database))
    except sqlite3.Error as error:
        raise ConfigurationError(f"The database {path} cannot be read: {error}") from error


def _is_older(revision: str | None) -> bool:
    scripts = _load_migrations()
    return revision in _known_revisions(scripts) and revision != scripts.get_current_head()


def back_up(path: Path) -> None:
    """Copy the file into its folder if a migration is about to change it, and check the copy.

    The newest `MAX_BACKUPS` copies are kept. Raises `ConfigurationError` if there is no intact copy.
    """
    try:
        with contextlib.closing(sqlite3.connect(path)) as source:
            revision = _read_revision(source)
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
    backups = sorted(path.parent.glob(f"{path.name}.*.backup"), key=lambda p: p.stat().st_mtime)
    for old in backups[:-MAX_BACKUPS]:
        old.unlink()


def _read_revision(database: sqlite3.Connection) -> str | None:
    try:
        row = database.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:  # no such table
        return None
    return str(row[0]) if row else None
