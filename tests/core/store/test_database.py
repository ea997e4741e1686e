"""Opening, migrating and closing databases, and what an operator sees when that fails."""

import asyncio
import contextlib
import gc
import sqlite3
import subprocess
import sys
import traceback
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, insert, text

from core.errors import ConfigurationError, StoreError, UnavailableError
from core.store import migrate
from core.store.database import Store
from core.store.key_values import get_value, set_value
from core.store.process_lock import process_lock
from core.store.schema import key_values, metadata
from core.timings import Timings
from tests.clock import FakeClock
from tests.postgresql import postgresql_url

PREVIOUS_VERSION = Path(__file__).parent / "data" / "previous_version.sql"


def schema_differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


async def test_migrations_match_schema(store: Store) -> None:
    assert await store.read(schema_differences) == []


@pytest.mark.slow
async def test_concurrent_starts_migrate_once(tmp_path: Path) -> None:
    stores = [Store(f"sqlite:///{tmp_path / 'x.sqlite3'}") for _ in range(6)]
    await asyncio.gather(*(store.open() for store in stores))
    for store in stores:
        await store.close()


@pytest.mark.slow
async def test_libpq_url_parameters_are_accepted() -> None:
    parameters = "application_name=parley&connect_timeout=5&sslmode=disable&channel_binding=prefer"
    store = Store(f"{postgresql_url()}&{parameters}")
    await store.open()

    def application_name(connection: Connection) -> str:
        return str(connection.scalar(text("SHOW application_name")))

    assert await store.read(application_name) == "parley"
    await store.close()


async def test_sslrootcert_is_loaded(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    store = Store(f"postgresql://a:pw@127.0.0.1:9/c?sslmode=verify-full&sslrootcert={missing}")
    with pytest.raises(StoreError, match="No such file"):
        await store.open()
    await store.close()


async def test_locked_new_file_delays_start(tmp_path: Path) -> None:
    file = tmp_path / "x.sqlite3"
    clock = FakeClock()
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        store = Store(f"sqlite:///{file}", timings=Timings(clock=clock))
        opening = asyncio.create_task(store.open())
        await clock.wait_for_timer()
        other.execute("COMMIT")
        await clock.advance(Timings().sqlite_poll_interval)
        await opening
    await store.write(set_value, "key", "value")
    await store.close()


async def test_newer_database_is_refused_unchanged(store: Store) -> None:
    def set_newer_revision(connection: Connection) -> None:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    await store.write(set_newer_revision)
    with pytest.raises(ConfigurationError, match="newer"):
        await store.open()


async def test_upgrade_makes_readable_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "parley.sqlite3"
    store = Store(f"sqlite:///{file}")
    await store.open()
    await store.write(set_value, "key", "value")
    await store.close()
    monkeypatch.setattr(migrate, "newest_revision", lambda: "9999")
    migrate.back_up(file)
    (backup,) = tmp_path.glob("*.backup")
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}, "only the owner can read it"
    with sqlite3.connect(backup) as connection:
        assert connection.execute("SELECT value FROM key_values").fetchone() == ("value",)
    connection.close()


async def test_database_in_use_is_not_migrated(tmp_path: Path) -> None:
    """The other process may be of the version that wrote it."""
    path = tmp_path / "parley.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(PREVIOUS_VERSION.read_text())
    store = Store(f"sqlite:///{path}", timings=Timings(process_lock_timeout=0.1, process_lock_poll_interval=0.02))
    async with process_lock(path):
        with pytest.raises(UnavailableError, match="Another process"):
            await store.open()
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0005",)
    await store.open()
    await store.close()
    assert list(tmp_path.glob("*.backup"))


async def test_uncreatable_folder_is_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(f"sqlite:///{tmp_path / 'file' / 'below' / 'parley.sqlite3'}")
    with pytest.raises(ConfigurationError, match="folder"):
        await store.open()
    await store.close()


async def test_damaged_file_is_reported_without_traceback(tmp_path: Path) -> None:
    file = tmp_path / "parley.sqlite3"
    file.write_bytes(b"this is not a database, " * 100)
    store = Store(f"sqlite:///{file}")
    with pytest.raises((StoreError, ConfigurationError), match="database"):
        await store.open()
    await store.close()


async def test_close_finishes_running_transactions(store: Store) -> None:
    writes = [asyncio.create_task(store.write(set_value, f"key {n}", "value")) for n in range(20)]
    await asyncio.sleep(0)
    await store.close()
    async with asyncio.timeout(10):
        results = await asyncio.gather(*writes, return_exceptions=True)
    # Every write has succeeded or failed: none holds a connection that nobody closes.
    assert all(result is None or isinstance(result, StoreError) for result in results)
    assert results[0] is None
    with pytest.raises(StoreError, match="closed"):
        await store.read(schema_differences)


async def test_unstorable_characters_are_removed(store: Store) -> None:
    await store.write(set_value, "key", "before\0after")
    assert await store.read(get_value, "key") == "beforeafter"


@pytest.mark.slow
async def test_error_hides_values() -> None:
    store = Store(postgresql_url())
    await store.open()
    try:
        with pytest.raises(StoreError) as raised:
            await store.write(set_value, "key", "my secret \ud83d")
        assert "secret" not in str(raised.value)
    finally:
        await store.close()


def insert_twice(connection: Connection, value: str) -> None:
    for _ in range(2):
        connection.execute(insert(key_values).values(key="key", value=value))


async def test_traceback_hides_values(store: Store) -> None:
    """Libraries log unexpected errors with their traceback."""
    with pytest.raises(StoreError) as raised:
        await store.write(insert_twice, "secret" * 3)
    assert "secretsecret" not in "".join(traceback.format_exception(raised.value))


async def test_concurrent_state_writes_succeed(store: Store) -> None:
    await asyncio.gather(*(store.write(set_value, "key", str(n)) for n in range(8)))
    assert await store.read(get_value, "key") in set("01234567")


async def test_silent_server_times_out() -> None:
    ended = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.clear()
        try:
            while await reader.read(1000):
                pass
        except OSError:
            pass
        finally:
            writer.close()
            ended.set()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    store = Store(f"postgresql://ann:x@127.0.0.1:{port}/parley", timings=Timings(transaction_timeout=0.5))
    try:
        async with asyncio.timeout(10):
            with pytest.raises(StoreError):
                await store.write(set_value, "key", "value")
    finally:
        await store.close()
        await ended.wait()
        await asyncio.sleep(0)
        server.close()


async def test_cancelled_write_leaves_database_unlocked(tmp_path: Path) -> None:
    """A person stops an answer, or a search in the memory takes too long, while something is stored."""
    store = Store(f"sqlite:///{tmp_path / 'parley.sqlite3'}", timings=Timings(sqlite_busy_timeout=0.5))
    await store.open()
    for rounds in range(0, 400, 4):
        write = asyncio.create_task(store.write(set_value, "key", "value"))
        for _ in range(rounds):
            await asyncio.sleep(0)
        write.cancel()
        await asyncio.wait({write})
        await store.write(set_value, "other", f"{rounds}")
    await store.close()


async def test_failure_of_a_cancelled_write_is_not_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The event loop would log an error that nobody has seen, with the private parameters of its statement."""
    store = Store(f"sqlite:///{tmp_path / 'parley.sqlite3'}")
    await store.open()

    def fail(connection: Connection) -> None:
        writes[0].cancel()
        connection.exec_driver_sql("INSERT INTO nowhere VALUES (?)", ("private text",))

    writes = [asyncio.create_task(store.write(fail))]
    await asyncio.wait(writes)
    assert writes.pop().cancelled()
    gc.collect()
    await store.close()
    assert caplog.text == ""


@pytest.mark.slow
def test_sqlite_needs_no_dialect_of_postgresql(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/parley.db"
    program = f"""
import asyncio, sys
from core.store.database import Store

async def create_database() -> None:
    store = Store({url!r})
    await store.open()
    await store.close()

asyncio.run(create_database())
sys.exit("sqlalchemy.dialects.postgresql" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
