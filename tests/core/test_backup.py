"""Backups of both databases, restored to both."""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select

from core.backup import back_up, restore
from core.errors import ConfigurationError, UnavailableError
from core.store import migrate
from core.store.backup import MANIFEST_TABLE, has_content, write_backup
from core.store.database import Store
from core.store.key_values import get_value, set_value
from core.store.leases import delete_leases, try_acquire
from core.store.schema import metadata, turns
from tests.core.store import sample_database
from tests.postgresql import empty_postgresql_url
from tests.sqlite import sqlite_url

pytestmark = pytest.mark.slow
ENGINES = ("sqlite", "postgresql")
OpenStore = Callable[[str, str], Store]


@pytest.fixture
async def open_store(tmp_path: Path) -> AsyncIterator[OpenStore]:
    """Opens a new database of an engine, under a name."""
    stores: list[Store] = []

    def create(engine: str, name: str) -> Store:
        is_sqlite = engine == "sqlite"
        store = Store(f"sqlite:///{tmp_path / name}.sqlite3" if is_sqlite else empty_postgresql_url())
        stores.append(store)
        return store

    yield create
    for store in stores:
        await store.close()


async def create_sample(store: Store) -> None:
    await store.open()
    await sample_database.fill(store)


def all_rows(connection: Connection) -> dict[str, set[str]]:
    return {
        table.name: {repr(tuple(row)) for row in connection.execute(select(table))} for table in metadata.sorted_tables
    }


def insert_turn(connection: Connection) -> int:
    """Returns its ID, which the database chooses."""
    values = {"event_key": "new", "state": "queued", "incoming_json": "{}", "person_key": "fake:9", "created_at": 0}
    return int(connection.scalars(insert(turns).values(values).returning(turns.c.id)).one())


@pytest.mark.parametrize("target_engine", ENGINES)
@pytest.mark.parametrize("source_engine", ENGINES)
async def test_restored_database_is_like_the_source(
    open_store: OpenStore, tmp_path: Path, source_engine: str, target_engine: str
) -> None:
    source, target = open_store(source_engine, "source"), open_store(target_engine, "target")
    await create_sample(source)
    file = tmp_path / "copy.parley"
    manifest = await back_up(source, file)
    assert file.stat().st_mode & 0o777 == 0o600
    expected = await source.read(all_rows)
    assert manifest.row_count == sum(map(len, expected.values()))

    await restore(target, file, replaces=False)
    assert await target.read(all_rows) == expected
    newest = max(int(row.partition(",")[0].removeprefix("(")) for row in expected["turns"])
    assert await target.write(insert_turn) > newest, "IDs are not used again"


@pytest.mark.parametrize("engine", ENGINES)
async def test_backup_sees_one_state(open_store: OpenStore, tmp_path: Path, engine: str) -> None:
    """What others write while the backup runs is in none of its tables."""
    store = open_store(engine, "source")
    await create_sample(store)
    before = await store.read(all_rows)
    loop = asyncio.get_running_loop()
    backup_began, written = asyncio.Event(), asyncio.Event()

    async def write_meanwhile() -> None:
        await backup_began.wait()
        await store.write(set_value, "later", "1")
        written.set()

    def back_up_slowly(connection: Connection) -> None:
        connection.execute(select(turns)).all()  # the transaction begins
        loop.call_soon_threadsafe(backup_began.set)
        if engine == "sqlite":
            asyncio.run_coroutine_threadsafe(written.wait(), loop).result()
        else:
            from sqlalchemy.util import await_only

            await_only(written.wait())
        write_backup(connection, tmp_path / "copy")

    writer = asyncio.create_task(write_meanwhile())
    await store.read_snapshot(back_up_slowly)
    await writer
    assert await store.read(get_value, "later") == "1"
    restored = open_store("sqlite", "restored")
    await restore(restored, tmp_path / "copy", replaces=False)
    assert await restored.read(all_rows) == before


@pytest.fixture
async def backup_file(open_store: OpenStore, tmp_path: Path) -> Path:
    source = open_store("sqlite", "source")
    await create_sample(source)
    file = tmp_path / "copy.parley"
    await back_up(source, file)
    return file


async def test_damaged_backup_changes_nothing(open_store: OpenStore, backup_file: Path, tmp_path: Path) -> None:
    backup_file.write_bytes(backup_file.read_bytes()[:5000])
    with pytest.raises(ConfigurationError, match="damaged"):
        await restore(open_store("sqlite", "target"), backup_file, replaces=False)
    assert not (tmp_path / "target.sqlite3").exists()


@pytest.mark.parametrize("engine", ENGINES)
async def test_full_database_is_replaced_only_by_force(open_store: OpenStore, backup_file: Path, engine: str) -> None:
    target = open_store(engine, "target")
    await create_sample(target)
    await target.write(delete_leases)
    await target.write(set_value, "later", "1")
    before = await target.read(all_rows)
    with pytest.raises(ConfigurationError, match="--force"):
        await restore(target, backup_file, replaces=False)
    assert await target.read(all_rows) == before
    await restore(target, backup_file, replaces=True)
    assert await target.read(get_value, "later") is None


async def test_running_bot_is_not_disturbed(open_store: OpenStore, backup_file: Path) -> None:
    sqlite, postgresql = open_store("sqlite", "target"), open_store("postgresql", "target")
    await sqlite.open()
    async with sqlite.exclusive():
        with pytest.raises(UnavailableError, match="Stop it"):
            await restore(sqlite, backup_file, replaces=True)
    await postgresql.open()
    await postgresql.write(try_acquire, "process:telegram:1:a", "a", 60)
    with pytest.raises(ConfigurationError, match="Stop it"):
        await restore(postgresql, backup_file, replaces=True)


async def test_simultaneous_backups_do_not_disturb_each_other(open_store: OpenStore, tmp_path: Path) -> None:
    sources = [open_store("sqlite", "source"), open_store("sqlite", "source")]
    await create_sample(sources[0])
    file = tmp_path / "copy.parley"
    outcomes = await asyncio.gather(*(back_up(source, file) for source in sources), return_exceptions=True)
    (error,) = (outcome for outcome in outcomes if isinstance(outcome, BaseException))
    assert isinstance(error, ConfigurationError)
    assert "exists already" in str(error)
    assert file.stat().st_mode & 0o777 == 0o600
    await restore(open_store("sqlite", "restored"), file, replaces=False)
    assert list(tmp_path.glob("*partial*")) == []


async def test_backup_overwrites_nothing(open_store: OpenStore, backup_file: Path, tmp_path: Path) -> None:
    store = open_store("sqlite", "source")
    with pytest.raises(ConfigurationError, match="exists already"):
        await back_up(store, backup_file)
    with pytest.raises(ConfigurationError, match="There is no database"):
        await back_up(open_store("sqlite", "missing"), tmp_path / "another")
    assert sorted(path.name for path in tmp_path.glob("*partial*")) == []


@pytest.mark.parametrize("engine", ENGINES)
async def test_older_backup_is_migrated_next_to_the_data(
    open_store: OpenStore, backup_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """There may be no room in the folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with contextlib.closing(sqlite3.connect(backup_file)) as backup:
        revision = migrate.newest_revision()
        backup.execute(f"UPDATE {MANIFEST_TABLE} SET json = replace(json, '{revision}', '0001')")
        backup.commit()
    target = open_store(engine, "target")
    await restore(target, backup_file, replaces=False)
    assert await target.read(has_content)
    assert list(tmp_path.glob("*restore*")) == []


async def test_missing_backup_is_named(open_store: OpenStore, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"There is no file .*missing"):
        await restore(open_store("sqlite", "restored"), tmp_path / "missing", replaces=False)


def test_backup_that_finds_no_space_leaves_no_file(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    url, file = sqlite_url(tmp_path), tmp_path / "copy.parley"

    def limit_file_size() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    completed = subprocess.run(
        [sys.executable, "-m", "bots.cli", "backup", str(file)],
        env={**os.environ, "DATABASE_URL": url},
        preexec_fn=limit_file_size,
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 78
    assert "The backup cannot be written" in completed.stderr
    assert list(tmp_path.glob("copy*")) == []
