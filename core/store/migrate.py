"""Numbered migrations, run at start; an embedded database is backed up before one."""

import contextlib
import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from core.errors import ConfigurationError

__all__ = ["back_up", "upgrade"]

STORE_DIRECTORY = Path(__file__).parent
MIGRATION_LOCK_ID = 0x5061726C6579  # any number: the same in every replica
MAX_BACKUPS = 3


def _alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(STORE_DIRECTORY / "migrations"))
    return config


def upgrade(connection: Connection) -> None:
    """Bring the schema to this version. Raises `ConfigurationError` for a newer one."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK_ID})
    config = _alembic_config()
    scripts = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection).get_current_revision()
    if current == scripts.get_current_head():
        return
    if current is not None and current not in {s.revision for s in scripts.walk_revisions()}:
        raise ConfigurationError(
            f"The database is at version {current}, which this Parley does not know: it was "
            "written by a newer one. Install that one, or restore a backup."
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def back_up(path: Path) -> None:
    """Copy `file` beside itself before a migration changes it, and check the copy.

    Raises `ConfigurationError` when that fails: a migration without a way back is not begun.
    """
    if not path.exists() or path.stat().st_size == 0:
        return
    try:
        with contextlib.closing(sqlite3.connect(path)) as source:
            try:
                row = source.execute("SELECT version_num FROM alembic_version").fetchone()
            except sqlite3.OperationalError:
                row = None
            scripts = ScriptDirectory.from_config(_alembic_config())
            known = {script.revision for script in scripts.walk_revisions()}
            if row is None or row[0] == scripts.get_current_head() or row[0] not in known:
                return
            backup = path.with_name(f"{path.name}.{row[0]}.backup")
            backup.touch(mode=0o600)
            with contextlib.closing(sqlite3.connect(backup)) as target:
                source.backup(target)
                (integrity,) = target.execute("PRAGMA integrity_check").fetchone()
    except (sqlite3.Error, OSError) as error:
        raise ConfigurationError(f"The database cannot be backed up: {error}") from error
    if integrity != "ok":
        raise ConfigurationError(f"The backup before the migration is damaged: {integrity}")
    backups = sorted(path.parent.glob(f"{path.name}.*.backup"), key=lambda p: p.stat().st_mtime)
    for old in backups[:-MAX_BACKUPS]:
        old.unlink()
