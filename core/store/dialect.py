"""SQL that differs between SQLite and PostgreSQL."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import ColumnElement, Connection, Row, Table, func, select
from sqlalchemy.dialects import sqlite

from core.store.schema import database_now

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

Insert: TypeAlias = "sqlite.Insert | postgresql.Insert"
InsertFactory: TypeAlias = Callable[[Table], Insert]


def insert(connection: Connection, table: Table) -> Insert:
    """An `INSERT` that supports `ON CONFLICT`."""
    return insert_factory(connection)(table)


def insert_factory(connection: Connection) -> InsertFactory:
    """Creates an `INSERT` that supports `ON CONFLICT`. The key by which to cache statements."""
    if _is_sqlite(connection):
        return sqlite.insert
    from sqlalchemy.dialects import postgresql

    return postgresql.insert


@cache
def sum_statement(insert: InsertFactory, table: Table, key: tuple[str, ...], sums: tuple[str, ...]) -> Insert:
    """Adds the parameters `sums` to the row with this unique key, or inserts it. They have the names of the columns."""
    statement = insert(table)
    totals = {name: table.c[name] + statement.excluded[name] for name in sums}
    return statement.on_conflict_do_update(index_elements=list(key), set_=totals)


def upsert(
    connection: Connection,
    table: Table,
    key: Mapping[str, Any],
    values: Mapping[str, Any],
    *,
    update: Mapping[str, Any] | None = None,
    where: ColumnElement[bool] | None = None,
) -> Row[Any] | None:
    """Insert a row of `key` and `values`, or set `update` (default: `values`) in the row with this unique key.

    Returns the row; None if there is one that does not match `where`: it is not changed.
    """
    statement = insert(connection, table).values(**key, **values)
    statement = statement.on_conflict_do_update(index_elements=list(key), set_=update or values, where=where)
    return connection.execute(statement.returning(table)).first()


def advisory_lock(connection: Connection, key: int | ColumnElement[int]) -> None:
    """Wait until no other transaction has locked this key. SQLite has a single writer anyway."""
    if not _is_sqlite(connection):
        connection.execute(select(func.pg_advisory_xact_lock(key)))


def read_clock(connection: Connection) -> float:
    """Seconds since 1970 by the database's clock."""
    return float(connection.scalars(select(database_now())).one())


def _is_sqlite(connection: Connection) -> bool:
    return connection.dialect.name == "sqlite"
