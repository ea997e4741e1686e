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
from core.store.conversations import get_state, put_state
from core.store.database import Store
from core.store.schema import metadata, state
from tests.databases import postgresql_url


def differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


async def test_the_migrations_make_the_schema_that_the_code_uses(store: Store) -> None:
    assert await store.read(differences) == []


async def test_many_may_start_at_once(tmp_path: Path) -> None:
    stores = [Store(f"sqlite:///{tmp_path / 'x.sqlite3'}") for _ in range(6)]
    await asyncio.gather(*(store.open() for store in stores))
    for store in stores:
        await store.close()


async def test_a_servers_address_may_have_the_parameters_that_others_give_it() -> None:
    given = "application_name=parley&connect_timeout=5&sslmode=disable&channel_binding=prefer"
    store = Store(f"{postgresql_url()}&{given}")
    await store.open()

    def name(connection: Connection) -> str:
        return str(connection.scalar(text("SHOW application_name")))

    assert await store.read(name) == "parley"
    await store.close()


async def test_a_servers_certificate_is_looked_up_in_the_file_that_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    store = Store(f"postgresql://a:pw@127.0.0.1:9/c?sslmode=verify-full&sslrootcert={missing}")
    with pytest.raises(StoreError, match="No such file"):
        await store.open()
    await store.close()


async def test_who_begins_to_write_to_a_new_file_holds_up_a_start_and_does_not_end_it(
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
    await store.write(put_state, "kept", "yes")
    await store.close()


async def test_a_database_from_a_newer_version_is_refused_and_left_alone(store: Store) -> None:
    def age(connection: Connection) -> None:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    await store.write(age)
    with pytest.raises(ConfigurationError, match="newer"):
        await store.open()


async def test_an_older_database_is_backed_up_and_the_backup_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "parley.sqlite3"
    store = Store(f"sqlite:///{file}")
    await store.open()
    await store.write(put_state, "kept", "yes")
    await store.close()
    monkeypatch.setattr(ScriptDirectory, "get_current_head", lambda _self: "9999")
    migrate.back_up(file)
    (copy,) = tmp_path.glob("*.backup")
    assert {one.stat().st_mode & 0o077 for one in tmp_path.iterdir()} == {0}, "others can read it"
    with sqlite3.connect(copy) as connection:
        assert connection.execute("SELECT value FROM state").fetchone() == ("yes",)
    connection.close()


async def test_a_folder_that_can_not_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(f"sqlite:///{tmp_path / 'file' / 'below' / 'parley.sqlite3'}")
    with pytest.raises(ConfigurationError, match="folder"):
        await store.open()
    await store.close()


async def test_a_damaged_file_is_told_without_a_trace(tmp_path: Path) -> None:
    file = tmp_path / "parley.sqlite3"
    file.write_bytes(b"this is not a database, " * 100)
    store = Store(f"sqlite:///{file}")
    with pytest.raises((StoreError, ConfigurationError), match="database"):
        await store.open()
    await store.close()


async def test_closing_lets_what_runs_end_and_takes_nothing_more(store: Store) -> None:
    writes = [asyncio.create_task(store.write(put_state, f"n{n}", "kept")) for n in range(20)]
    await asyncio.sleep(0)
    await store.close()
    async with asyncio.timeout(10):
        ends = await asyncio.gather(*writes, return_exceptions=True)
    # Each is done or was told: none is left with a connection that nobody closes.
    assert all(end is None or isinstance(end, StoreError) for end in ends)
    assert ends[0] is None
    with pytest.raises(StoreError, match="closed"):
        await store.read(differences)


async def test_what_no_database_keeps_is_left_out_of_a_text(store: Store) -> None:
    await store.write(put_state, "said", "before\0after")
    assert await store.read(get_state, "said") == "beforeafter"


async def test_an_error_does_not_tell_what_was_to_be_kept() -> None:
    store = Store(postgresql_url())
    await store.open()
    try:
        with pytest.raises(StoreError) as raised:
            await store.write(put_state, "said", "my secret \ud83d")
        assert "secret" not in str(raised.value)
    finally:
        await store.close()


def twice(connection: Connection, value: str) -> None:
    for _ in range(2):
        connection.execute(insert(state).values(name="said", value=value))


async def test_a_traceback_of_an_error_does_not_tell_it_either(store: Store) -> None:
    """Libraries log what they did not expect with all that it came from."""
    with pytest.raises(StoreError) as raised:
        await store.write(twice, "said" * 3)
    assert "saidsaid" not in "".join(traceback.format_exception(raised.value))


async def test_processes_may_keep_the_same_state_at_once(store: Store) -> None:
    await asyncio.gather(*(store.write(put_state, "same", str(n)) for n in range(8)))
    assert await store.read(get_state, "same") in set("01234567")


async def test_a_server_that_goes_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
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

    monkeypatch.setattr(database, "SILENT", 0.5, raising=False)
    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    store = Store(f"postgresql://ann:x@127.0.0.1:{port}/parley")
    try:
        async with asyncio.timeout(10):
            with pytest.raises(StoreError):
                await store.write(put_state, "said", "hello")
    finally:
        await store.close()
        await ended.wait()
        await asyncio.sleep(0)
        server.close()
