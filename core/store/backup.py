"""Copies a whole database into a file and back. The file is an SQLite database, whichever database it comes from, so
that it can be restored to either.

The copy is made in one transaction, which sees one state of the database while others go on writing. Rows are copied
one by one: deleted ones, whose bytes SQLite's file may still contain, are not in the copy.

Each table has a checksum, the sum of its rows' hashes, because databases sort texts differently. The table
`parley_backup` of the file says what it contains:

    writing      rows are read, hashed and inserted      the file is read again, and its hashes are compared
    restoring    the file's hashes are compared          rows are inserted, read again, and their hashes are compared
"""

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import msgspec
from sqlalchemy import Boolean, Connection, NullPool, Table, create_engine, delete, exists, func, insert, select
from sqlalchemy.exc import DBAPIError

from core.errors import ConfigurationError
from core.store import migrate
from core.store.leases import RESERVATION_PREFIX
from core.store.schema import database_now, leases, metadata

BATCH_SIZE = 1000
HASH_MODULUS = 1 << 256
MANIFEST_TABLE = "parley_backup"
CONTENT_TABLES = ("conversations", "turns", "messages", "grants", "memory_entries", "preferences", "personal_keys")
"""A database with rows in none of them has not been used."""

Values = tuple[Any, ...]
"""A row as SQLite stores it."""


class TableSummary(msgspec.Struct, frozen=True):
    rows: int
    checksum: str


class Manifest(msgspec.Struct, frozen=True):
    """What a backup contains."""

    format: Literal[1]
    revision: str
    created_at: str
    """ISO 8601, UTC."""
    tables: dict[str, TableSummary]

    @property
    def row_count(self) -> int:
        return sum(table.rows for table in self.tables.values())


@dataclass(slots=True)
class _Checksum:
    rows: int = 0
    total: int = 0

    def add(self, values: Values) -> None:
        self.rows += 1
        digest = hashlib.sha256(msgspec.msgpack.encode(values)).digest()
        self.total = (self.total + int.from_bytes(digest, "big")) % HASH_MODULUS

    def summary(self) -> TableSummary:
        return TableSummary(self.rows, f"{self.total:064x}")


def write_backup(connection: Connection, path: Path) -> Manifest:
    """Copy the database to an empty file, and check the copy. The transaction must see one state of the database.

    Raises `ConfigurationError` if the copy cannot be written or is damaged.
    """
    _create_tables(path)
    try:
        _copy_all(connection, path)
    except sqlite3.Error as error:  # of the file: errors of `connection` are SQLAlchemy's
        raise _write_error(error) from None
    return read_manifest(path)


def _write_error(error: BaseException | None) -> ConfigurationError:
    return ConfigurationError(f"The backup cannot be written: {error}. Is there enough space?")


def _copy_all(connection: Connection, path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as target:
        target.execute("BEGIN")
        tables = {table.name: _copy_out(connection, table, target) for table in metadata.sorted_tables}
        created_at = datetime.now(UTC).isoformat(timespec="seconds")
        manifest = Manifest(1, migrate.newest_revision(), created_at, tables)
        target.execute(f"CREATE TABLE {MANIFEST_TABLE} (json TEXT NOT NULL)")
        target.execute(f"INSERT INTO {MANIFEST_TABLE} VALUES (?)", (msgspec.json.encode(manifest).decode(),))  # noqa: S608 (a constant)
        target.execute("COMMIT")


def _create_tables(path: Path) -> None:
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    try:
        with engine.begin() as connection:
            migrate.create(connection)
    except DBAPIError as error:
        raise _write_error(error.orig) from None


def _copy_out(connection: Connection, table: Table, target: sqlite3.Connection) -> TableSummary:
    checksum = _Checksum()
    placeholders = ", ".join("?" * len(table.columns))
    rows = _read_rows(connection, table)
    while batch := list(islice(rows, BATCH_SIZE)):
        for values in batch:
            checksum.add(values)
        target.executemany(f"INSERT INTO {table.name} VALUES ({placeholders})", batch)  # noqa: S608 (our own table)
    return checksum.summary()


def _read_rows(connection: Connection, table: Table) -> Iterator[Values]:
    booleans = _boolean_positions(table)
    for row in connection.execute(select(table).execution_options(yield_per=BATCH_SIZE)):
        values = list(row)
        for position in booleans:
            if values[position] is not None:
                values[position] = int(values[position])
        yield tuple(values)


def _boolean_positions(table: Table) -> list[int]:
    return [position for position, column in enumerate(table.columns) if isinstance(column.type, Boolean)]


def read_manifest(path: Path) -> Manifest:
    """Check that the file is a complete and undamaged backup that this version can read.

    Raises `ConfigurationError`.
    """
    if not path.exists():
        raise ConfigurationError(f"There is no file {path}.")
    try:
        with contextlib.closing(_open_read_only(path)) as source:
            (integrity,) = source.execute("PRAGMA integrity_check(1)").fetchone()
            (manifest_json,) = source.execute(f"SELECT json FROM {MANIFEST_TABLE}").fetchone()  # noqa: S608 (a constant)
            manifest = msgspec.json.decode(manifest_json, type=Manifest)
            damaged = [name for name, table in manifest.tables.items() if _summarise(source, name) != table]
    except (sqlite3.Error, msgspec.DecodeError, TypeError) as error:
        raise ConfigurationError(f"{path} is not a backup of Parley, or is damaged: {str(error)[:200]}") from None
    if integrity != "ok" or damaged:
        raise ConfigurationError(f"The backup {path} is damaged: {', '.join(damaged) or integrity}")
    if manifest.revision not in migrate.known_revisions():
        raise ConfigurationError(
            f"The backup {path} has schema version {manifest.revision}, which this version of Parley does not know: "
            "a newer version made it. Install that version."
        )
    return manifest


def _open_read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)


def _summarise(source: sqlite3.Connection, table: str) -> TableSummary:
    if not table.isidentifier():
        raise TypeError("a table has no valid name")
    checksum = _Checksum()
    for values in source.execute(f"SELECT * FROM {table}"):  # noqa: S608 (checked above)
        checksum.add(values)
    return checksum.summary()


def copy_for_migration(path: Path, copy: Path) -> None:
    """Copy a backup to a database file that migrations can change. Raises `sqlite3.Error`."""
    with (
        contextlib.closing(_open_read_only(path)) as source,
        contextlib.closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
        target.execute(f"DROP TABLE {MANIFEST_TABLE}")


def load_backup(connection: Connection, path: Path, *, replaces: bool) -> None:
    """Replace all rows of the database by those of a backup, or a copy of it, with the newest schema.

    Raises `ConfigurationError` if the database is in use (`replaces`: or has content) or is not what was written.
    """
    if connection.dialect.name == "postgresql" and _is_served(connection):
        raise ConfigurationError("A bot serves from this database. Stop it, wait ten seconds, and try again.")
    if not replaces and has_content(connection):
        raise ConfigurationError("The database is not empty. --force replaces all that is in it.")
    tables = metadata.sorted_tables
    for table in reversed(tables):
        connection.execute(delete(table))
    with contextlib.closing(_open_read_only(path)) as source:
        for table in tables:
            expected = _copy_in(source, connection, table)
            if _summary_of(connection, table) != expected:
                raise ConfigurationError(f"The database did not store the table {table.name} as it is in the backup.")
    if connection.dialect.name == "postgresql":
        _continue_sequences(connection)


def has_content(connection: Connection) -> bool:
    return any(connection.scalar(select(exists().select_from(metadata.tables[name]))) for name in CONTENT_TABLES)


def _is_served(connection: Connection) -> bool:
    """Whether a process holds a lease, as every process on a database server does."""
    is_held = (leases.c.expires_at > database_now()) & leases.c.name.not_like(f"{RESERVATION_PREFIX}%")
    return bool(connection.scalar(select(exists().where(is_held))))


def _copy_in(source: sqlite3.Connection, connection: Connection, table: Table) -> TableSummary:
    checksum = _Checksum()
    names, booleans = [column.name for column in table.columns], _boolean_positions(table)
    rows = source.execute(f"SELECT {', '.join(names)} FROM {table.name}")  # noqa: S608 (our own table)
    while batch := rows.fetchmany(BATCH_SIZE):
        for values in batch:
            checksum.add(values)
        connection.execute(insert(table), [_to_row(names, values, booleans) for values in batch])
    return checksum.summary()


def _to_row(names: Sequence[str], values: Values, booleans: Sequence[int]) -> dict[str, Any]:
    row = dict(zip(names, values, strict=True))
    for position in booleans:
        if values[position] is not None:
            row[names[position]] = bool(values[position])
    return row


def _summary_of(connection: Connection, table: Table) -> TableSummary:
    checksum = _Checksum()
    for values in _read_rows(connection, table):
        checksum.add(values)
    return checksum.summary()


def _continue_sequences(connection: Connection) -> None:
    """Let new rows get higher IDs than those inserted."""
    for table in metadata.sorted_tables:
        if "id" in table.columns:
            last = connection.scalar(select(func.max(table.c.id)))
            sequence = func.pg_get_serial_sequence(table.name, "id")
            connection.execute(select(func.setval(sequence, last or 1, last is not None)))
