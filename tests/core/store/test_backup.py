"""The file of a backup: what it contains, how damage is noticed, and into which databases it is loaded."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select

from core.errors import ConfigurationError
from core.store.backup import copy_for_migration, has_content, load_backup, read_manifest, write_backup
from core.store.database import Store
from core.store.grants import Role, grant
from core.store.key_values import get_value, set_value
from core.store.leases import RESERVATION_PREFIX, try_acquire
from core.store.migrate import newest_revision
from core.store.schema import metadata, turns
from tests.core.store import sample_database
from tests.postgresql import empty_postgresql_url
from tests.sqlite import sqlite_url

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sample_backup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a database with rows in all tables, which takes a while."""
    folder = tmp_path_factory.mktemp("backup")

    async def write() -> None:
        source = Store(sqlite_url(folder))
        await source.open()
        await sample_database.fill(source)
        await source.read_snapshot(write_backup, folder / "copy.parley")
        await source.close()

    asyncio.run(write())
    return folder / "copy.parley"


@pytest.fixture
def backup_file(sample_backup: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(sample_backup, tmp_path))


def all_rows(connection: Connection) -> dict[str, set[str]]:
    return {
        table.name: {repr(tuple(row)) for row in connection.execute(select(table))} for table in metadata.sorted_tables
    }


def insert_turn(connection: Connection) -> int:
    """Returns its ID, which the database chooses."""
    values = {"event_key": "new", "state": "queued", "incoming_json": "{}", "person_key": "fake:9", "created_at": 0}
    return int(connection.scalars(insert(turns).values(values).returning(turns.c.id)).one())


async def load(store: Store, file: Path, *, replaces: bool = False) -> None:
    async with store.exclusive():
        await store.write_without_limit(load_backup, file, replaces=replaces)


async def test_copy_of_a_loaded_backup_is_the_same(store: Store, backup_file: Path, tmp_path: Path) -> None:
    manifest = read_manifest(backup_file)
    assert manifest.revision == newest_revision()
    assert set(manifest.tables) == set(metadata.tables)
    await load(store, backup_file)
    rows = await store.read(all_rows)
    assert {name: table.rows for name, table in manifest.tables.items()} == {name: len(rows[name]) for name in rows}
    assert manifest.row_count == sum(map(len, rows.values()))
    again = await store.read_snapshot(write_backup, tmp_path / "again")
    assert again.tables == manifest.tables
    newest = max(int(row.partition(",")[0].removeprefix("(")) for row in rows["turns"])
    assert await store.write(insert_turn) > newest, "IDs are not used again"


def change_row(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE messages SET text = 'another' WHERE id = (SELECT min(id) FROM messages)")


def delete_row(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("DELETE FROM preferences")


def cut_off(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def replace_by_text(file: Path) -> None:
    file.write_text("no backup")


def name_no_table(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        summary = "json_object('rows', 0, 'checksum', '')"
        database.execute(f"""UPDATE parley_backup SET json = json_set(json, '$.tables."a b"', {summary})""")


def make_newer(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE parley_backup SET json = json_set(json, '$.revision', '9999')")


@pytest.mark.parametrize("damage", [change_row, delete_row, cut_off, replace_by_text, name_no_table, make_newer])
def test_damage_is_noticed(backup_file: Path, damage: Callable[[Path], None]) -> None:
    damage(backup_file)
    with pytest.raises(ConfigurationError, match="newer version" if damage is make_newer else "damaged"):
        read_manifest(backup_file)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"There is no file .*missing"):
        read_manifest(tmp_path / "missing")


async def test_used_database_is_only_replaced_if_asked(store: Store, backup_file: Path) -> None:
    await store.write(set_value, "later", "1")
    assert not await store.read(has_content), "it has not been used"
    await store.write(grant, "telegram:person:5", Role.MEMBER, "Ann")
    assert await store.read(has_content)
    with pytest.raises(ConfigurationError, match="--force"):
        await load(store, backup_file)
    assert await store.read(get_value, "later") == "1"
    await load(store, backup_file, replaces=True)
    assert await store.read(get_value, "later") is None


@pytest.mark.parametrize(
    ("lease", "seconds", "is_refused"),
    [("process:telegram:1:a", 60, True), ("process:telegram:1:a", -1, False), (f"{RESERVATION_PREFIX}a", 60, False)],
    ids=["held", "expired", "reservation"],
)
async def test_database_that_is_served_is_left_alone(
    backup_file: Path, lease: str, seconds: float, is_refused: bool
) -> None:
    """An SQLite file has a lock for that."""
    store = Store(empty_postgresql_url())
    await store.open()
    await store.write(try_acquire, lease, "a", seconds)
    if is_refused:
        with pytest.raises(ConfigurationError, match="Stop it"):
            await load(store, backup_file, replaces=True)
    else:
        await load(store, backup_file)
    assert await store.read(has_content) is not is_refused
    await store.close()


def test_copy_for_migration_is_a_database(backup_file: Path, tmp_path: Path) -> None:
    copy_for_migration(backup_file, tmp_path / "copy.sqlite3")
    with closing(sqlite3.connect(tmp_path / "copy.sqlite3")) as database:
        names = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert set(metadata.tables) <= names
    assert "parley_backup" not in names
