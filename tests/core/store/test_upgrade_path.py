"""A database of every earlier version, with a row in each of its tables, is migrated and answers a question."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Boolean, Connection, Float, Integer, LargeBinary, MetaData, Table, func, insert, select

from bots.sandbox.model import ModelStandIn
from core.store import migrate
from core.store.database import Store
from tests.core.store.test_upgrade import schema_differences
from tests.core.turns.fake_adapter import running_engine
from tests.postgresql import empty_postgresql_url

pytestmark = pytest.mark.slow

VALUES: dict[str, Any] = {
    "incoming": "{}",
    "incoming_json": "{}",
    "state": "done",
    "kind": "chat",
    "text": "kept",
    "finished": 1.0,
    "finished_at": 1.0,
}
"""By column, of which some were renamed. Others get a value of their type."""
ROLES = {"messages": "user", "grants": "operator"}


def insert_rows(connection: Connection, revision: str) -> None:
    """Create the schema of a version, with one row in each table."""
    migrate.upgrade(connection, revision)
    tables = MetaData()
    tables.reflect(connection)
    for table in tables.sorted_tables:
        if table.name != "alembic_version":
            connection.execute(insert(table).values(row_of(table)))


def row_of(table: Table) -> dict[str, Any]:
    required = [column for column in table.columns if not column.nullable and column.name != "id"]
    row = {column.name: VALUES.get(column.name, value_of(column.type)) for column in required}
    if "role" in row:
        row["role"] = ROLES[table.name]
    return row | {name: VALUES[name] for name in VALUES.keys() & set(table.columns.keys())}


def value_of(column_type: Any) -> Any:
    match column_type:
        case Boolean():
            return False
        case Integer():
            return 1
        case Float():
            return 1.0
        case LargeBinary():
            return b"\0\0\0\0"
        case _:
            return "1"


def count_texts(connection: Connection) -> int:
    tables = MetaData()
    tables.reflect(connection)
    messages = tables.tables["messages"]
    return connection.scalar(select(func.count()).where(messages.c.text == "kept")) or 0


@pytest.mark.parametrize("engine_name", ["sqlite", "postgresql"])
@pytest.mark.parametrize("revision", migrate.known_revisions())
async def test_database_of_every_version_is_migrated(
    tmp_path: Path, model: ModelStandIn, engine_name: str, revision: str
) -> None:
    url = f"sqlite:///{tmp_path / 'parley.sqlite3'}" if engine_name == "sqlite" else empty_postgresql_url()
    store = Store(url)
    await store.write(insert_rows, revision)
    await store.open()
    assert await store.read(schema_differences) == []
    assert await store.read(migrate.read_revision) == migrate.newest_revision()
    assert await store.read(count_texts) == 1
    await store.close()
    async with running_engine(tmp_path, model, database_url=url) as bot:
        assert "still here" in await bot.ask("repeat: still here")
