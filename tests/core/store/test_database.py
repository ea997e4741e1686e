"""What an operator meets: migrations, a newer database, a place that cannot be written."""

import asyncio
import contextlib
import sqlite3
import traceback
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, text

from core.errors import ConfigurationError, StoreError
from core.store import database, migrate
from core.store.database import Store
from core.store.key_values import get_value, set_value
from core.store.schema import key_values, metadata
from tests.postgresql import postgresql_url


def differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


async def test_migrations_match_schema(store: Store) -> None:
    assert await store.read(differences) == []


async def test_concurrent_starts_migrate_once(tmp_path: Path) -> None:
    stores = [Store(f"sqlite:///{tmp_path / 'x.sqlite3'}") for _ in range(6)]
    await asyncio.gather(*(store.open() for store in stores))
    for store in stores:
        await store.close()


@pytest.mark.slow
async def test_libpq_url_parameters_are_accepted() -> None:
    given = "application_name=parley&connect_timeout=5&sslmode=disable&channel_binding=prefer"
    store = Store(f"{postgresql_url()}&{given}")
    await store.open()

    def name(connection: Connection) -> str:
        return str(connection.scalar(text("SHOW application_name")))

    assert await store.read(name) == "parley"
    await store.close()


async def test_sslrootcert_is_loaded(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    store = Store(f"postgresql://a:pw@127.0.0.1:9/c?sslmode=verify-full&sslrootcert={missing}")
    with pytest.raises(StoreError, match="No such file"):
        await store.open()
    await store.close()


async def test_locked_new_file_delays_start(
    tmp_path: Path,
) -> None:
    file = tmp_path / "x.sqlite3"
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        store = Store(f"sqlite:///{file}")
        opening = asyncio.create_task(store.open())
        await asyncio.wait({opening}, timeout=0.5)
        other.execute("COMMIT")
        await opening
    await store.write(set_value, "kept", "yes")
    await store.close()


async def test_newer_database_is_refused_unchanged(store: Store) -> None:
    def age(connection: Connection) -> None:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    await store.write(age)
    with pytest.raises(ConfigurationError, match="newer"):
        await store.open()


async def test_upgrade_makes_readable_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "parley.sqlite3"
    store = Store(f"sqlite:///{file}")
    await store.open()
    await store.write(set_value, "kept", "yes")
    await store.close()
    monkeypatch.setattr(ScriptDirectory, "get_current_head", lambda _self: "9999")
    migrate.back_up(file)
    (copy,) = tmp_path.glob("*.backup")
    assert {one.stat().st_mode & 0o077 for one in tmp_path.iterdir()} == {0}, "others can read it"
    with sqlite3.connect(copy) as connection:
        assert connection.execute("SELECT value FROM key_values").fetchone() == ("yes",)
    connection.close()


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
    writes = [asyncio.create_task(store.write(set_value, f"n{n}", "kept")) for n in range(20)]
    await asyncio.sleep(0)
    await store.close()
    async with asyncio.timeout(10):
        ends = await asyncio.gather(*writes, return_exceptions=True)
    # Each is done or was told: none is left with a connection that nobody closes.
    assert all(end is None or isinstance(end, StoreError) for end in ends)
    assert ends[0] is None
    with pytest.raises(StoreError, match="closed"):
        await store.read(differences)


async def test_unstorable_characters_are_removed(store: Store) -> None:
    await store.write(set_value, "said", "before\0after")
    assert await store.read(get_value, "said") == "beforeafter"


@pytest.mark.slow
async def test_error_hides_values() -> None:
    store = Store(postgresql_url())
    await store.open()
    try:
        with pytest.raises(StoreError) as raised:
            await store.write(set_value, "said", "my secret \ud83d")
        assert "secret" not in str(raised.value)
    finally:
        await store.close()


def insert_twice(connection: Connection, value: str) -> None:
    for _ in range(2):
        connection.execute(insert(key_values).values(key="said", value=value))


async def test_traceback_hides_values(store: Store) -> None:
    """Libraries log what they did not expect with all that it came from."""
    with pytest.raises(StoreError) as raised:
        await store.write(insert_twice, "said" * 3)
    assert "saidsaid" not in "".join(traceback.format_exception(raised.value))


async def test_concurrent_state_writes_succeed(store: Store) -> None:
    await asyncio.gather(*(store.write(set_value, "same", str(n)) for n in range(8)))
    assert await store.read(get_value, "same") in set("01234567")


async def test_silent_server_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
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

    monkeypatch.setattr(database, "TRANSACTION_TIMEOUT_SECONDS", 0.5)
    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    store = Store(f"postgresql://ann:x@127.0.0.1:{port}/parley")
    try:
        async with asyncio.timeout(10):
            with pytest.raises(StoreError):
                await store.write(set_value, "said", "hello")
    finally:
        await store.close()
        await ended.wait()
        await asyncio.sleep(0)
        server.close()
