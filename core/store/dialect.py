"""SQL that differs between SQLite and PostgreSQL."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Function, Table, func, select
from sqlalchemy.dialects import postgresql, sqlite

__all__ = ["advisory_lock", "greatest", "insert", "upsert"]

T = TypeVar("T")


def insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An `INSERT` that supports `ON CONFLICT`."""
    return sqlite.insert(table) if _is_sqlite(connection) else postgresql.insert(table)


def upsert(
    connection: Connection,
    table: Table,
    values: Mapping[str, Any],
    update: Mapping[str, Any],
    *,
    unique: Sequence[str] = (),
    where: ColumnElement[bool] | None = None,
) -> sqlite.Insert | postgresql.Insert:
    """Insert a row of `values`, or set `update` in the row with the same `unique` columns (default: the primary key).

    With `where`, an existing row that does not match is not changed.
    """
    columns = unique or [column.name for column in table.primary_key.columns]
    statement = insert(connection, table).values(**values)
    return statement.on_conflict_do_update(index_elements=columns, set_=update, where=where)


def greatest(connection: Connection, *values: ColumnElement[T]) -> Function[T]:
    return func.max(*values) if _is_sqlite(connection) else func.greatest(*values)


def advisory_lock(connection: Connection, key: int | ColumnElement[int]) -> None:
    """Wait until no other transaction has locked this key. SQLite has a single writer anyway."""
    if not _is_sqlite(connection):
        connection.execute(select(func.pg_advisory_xact_lock(key)))


def _is_sqlite(connection: Connection) -> bool:
    return connection.dialect.name == "sqlite"
