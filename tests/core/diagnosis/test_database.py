"""What the check of the database reports, with what the operator can do."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import SecretStr

from core.conversation.vault import open_vault
from core.diagnosis.database import DatabaseCheck, check_database
from core.diagnosis.finding import Finding, Severity
from core.settings import AccessMode, Settings
from core.store.database import Store
from core.store.grants import Role, grant
from core.store.migrate import newest_revision
from core.store.personal_keys import save_encrypted_key
from core.store.process_lock import process_lock
from tests.ports import free_port
from tests.sqlite import sqlite_url

OPEN = Settings(access=AccessMode.OPEN)
RESTORE = "Stop Parley, move the file away, and fill a new database with `parley restore`."
INTACT = Finding("database.schema", Severity.OK, f"Schema version {newest_revision()}, intact.")


async def check(url: str, settings: Settings = OPEN, *, min_free_bytes: int = 0) -> DatabaseCheck:
    """Without the finding about the disk, which differs from machine to machine."""
    store = Store(url)
    try:
        result = await check_database(settings, store, min_free_bytes=min_free_bytes)
    finally:
        await store.close()
    findings = [finding for finding in result.findings if finding.check != "database.disk"]
    return DatabaseCheck(findings, result.is_usable)


def execute(folder: Path, statement: str) -> str:
    """The URL of a database that a statement has changed."""
    url = sqlite_url(folder)
    with closing(sqlite3.connect(folder / "parley.sqlite3")) as database, database:
        database.execute("PRAGMA writable_schema = ON")
        database.execute(statement)
    return url


async def test_intact_database_is_usable(tmp_path: Path) -> None:
    assert await check(sqlite_url(tmp_path)) == DatabaseCheck([INTACT], is_usable=True)


async def test_missing_database_is_not_created(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "parley.sqlite3"
    text = f"There is no database yet; `parley run` creates {path}."
    expected = DatabaseCheck([Finding("database.schema", Severity.OK, text)], is_usable=False)
    assert await check(f"sqlite:///{path}") == expected
    assert list(tmp_path.iterdir()) == []


async def test_free_space_is_that_of_the_folder_that_exists(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/a/b/parley.sqlite3")
    (enough, _) = (await check_database(OPEN, store, min_free_bytes=0)).findings
    (short, _) = (await check_database(OPEN, store, min_free_bytes=shutil.disk_usage(tmp_path).total + 1)).findings
    await store.close()
    assert (enough.check, enough.severity, enough.advice) == ("database.disk", Severity.OK, "")
    assert enough.text.endswith(f" MiB are free on the disk of {tmp_path}.")
    assert abs(int(enough.text.split()[0].replace(",", "")) - (shutil.disk_usage(tmp_path).free >> 20)) < 1_000
    assert (short.check, short.severity) == ("database.disk", Severity.WARNING)
    assert short.text.startswith("Only ")
    assert short.text.endswith(f" MiB are free on the disk of {tmp_path}.")
    assert short.advice == "Free space. A full disk stops the bot, and backups need space, too."


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
async def test_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    tmp_path.chmod(0o500)
    (finding, *_) = (await check(url)).findings
    tmp_path.chmod(0o700)
    advice = "Let the user that runs Parley write it, or set DATABASE_URL to another path."
    text = f"No permission to write the folder {tmp_path}."
    assert finding == Finding("database.folder", Severity.ERROR, text, advice)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
async def test_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    path = tmp_path / "parley.sqlite3"
    path.chmod(0o400)
    (finding, *_) = (await check(url)).findings
    advice = f"chown the file to the user that runs Parley: {path}"
    text = f"No permission to read and write {path}."
    assert finding == Finding("database.file", Severity.ERROR, text, advice)


async def test_open_file_is_a_warning(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    (tmp_path / "parley.sqlite3").chmod(0o644)
    (finding, schema) = (await check(url)).findings
    assert (finding.check, finding.severity) == ("database.file", Severity.WARNING)
    assert finding.text == f"Every user of this machine can read conversations in {tmp_path / 'parley.sqlite3'}."
    assert schema == INTACT


async def test_running_bot_is_named(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    async with process_lock(tmp_path / "parley.sqlite3"):
        result = await check(url)
    text = f"A running bot (PID {os.getpid()}) serves from the database."
    assert result == DatabaseCheck([Finding("database.process", Severity.OK, text), INTACT], is_usable=True)


async def test_empty_database_is_filled_later(tmp_path: Path) -> None:
    path = tmp_path / "parley.sqlite3"
    path.touch(mode=0o600)
    expected = Finding("database.schema", Severity.OK, "The database is empty; `parley run` fills it.")
    assert await check(f"sqlite:///{path}") == DatabaseCheck([expected], is_usable=False)


async def test_older_schema_is_migrated_later(tmp_path: Path) -> None:
    result = await check(execute(tmp_path, "UPDATE alembic_version SET version_num = '0001'"))
    text = f"The database has schema version 0001; this version of Parley needs {newest_revision()}."
    advice = "Stop the older processes and start `parley run`: it migrates the database."
    assert result == DatabaseCheck([Finding("database.schema", Severity.WARNING, text, advice)], is_usable=False)


async def test_newer_schema_needs_the_newer_version(tmp_path: Path) -> None:
    result = await check(execute(tmp_path, "UPDATE alembic_version SET version_num = '9999'"))
    text = (
        "The database has schema version 9999, which this version of Parley does not know: a newer version "
        "wrote it. Install that version or restore a backup."
    )
    advice = "Install the version of Parley that wrote it, or restore a backup."
    assert result == DatabaseCheck([Finding("database.schema", Severity.ERROR, text, advice)], is_usable=False)


async def test_damaged_structure_is_found(tmp_path: Path) -> None:
    url = execute(tmp_path, "CREATE TABLE damaged (number INTEGER)")
    execute(tmp_path, "INSERT INTO damaged VALUES (NULL)")
    execute(tmp_path, "UPDATE sqlite_master SET sql = 'CREATE TABLE damaged (number INTEGER NOT NULL)' "
                      "WHERE name = 'damaged'")  # fmt: skip
    result = await check(url)
    text = "The database is damaged: NULL value in damaged.number."
    assert result == DatabaseCheck([Finding("database.schema", Severity.ERROR, text, RESTORE)], is_usable=False)


async def test_file_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    (tmp_path / "parley.sqlite3").write_bytes(b"no database" * 1000)
    result = await check(url)
    (finding,) = result.findings
    assert (finding.check, finding.severity, finding.advice) == ("database.schema", Severity.ERROR, RESTORE)
    assert not result.is_usable


async def test_path_that_cannot_be_opened_may_come_back(tmp_path: Path) -> None:
    (tmp_path / "parley.sqlite3").mkdir(mode=0o700)
    result = await check(f"sqlite:///{tmp_path}/parley.sqlite3")
    (finding,) = result.findings
    assert (finding.check, finding.severity) == ("database.schema", Severity.UNAVAILABLE)
    assert finding.advice == "Check the permissions of the file and its folder, and the disk."
    assert not result.is_usable


async def test_dead_server_may_come_back() -> None:
    result = await check(f"postgresql://parley:hunter2@127.0.0.1:{free_port()}/parley")
    (finding,) = result.findings
    assert (finding.check, finding.severity) == ("database.schema", Severity.UNAVAILABLE)
    assert finding.advice == "Check DATABASE_URL, and that the database server runs and can be reached."
    assert "hunter2" not in finding.text
    assert not result.is_usable


@pytest.mark.parametrize(
    ("access", "role", "has_warning"),
    [
        (AccessMode.PAIRING, None, True),
        (AccessMode.PAIRING, Role.BANNED, True),
        (AccessMode.PAIRING, Role.MEMBER, False),
        (AccessMode.OPEN, None, False),
    ],
)
async def test_bot_that_nobody_may_use(
    tmp_path: Path, access: AccessMode, role: Role | None, *, has_warning: bool
) -> None:
    store = Store(sqlite_url(tmp_path))
    if role:
        await store.write(grant, "telegram:person:1", role, "Ann")
    await store.close()
    result = await check(sqlite_url(tmp_path), Settings(access=access))
    advice = "`parley pair` creates a code: whoever sends it to the bot becomes the operator."
    nobody = Finding("access.operator", Severity.WARNING, "Nobody may use the bot yet.", advice)
    assert result == DatabaseCheck([INTACT, nobody] if has_warning else [INTACT], is_usable=True)


async def add_key(url: str, owner: str, encrypted: str) -> None:
    store = Store(url)
    await store.write(save_encrypted_key, owner, encrypted)
    await store.close()


async def test_personal_keys_need_a_secret(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    await add_key(url, "telegram:1", "v2:x")
    text = "PARLEY_SECRET_KEY is not set, so 1 stored personal API keys cannot be used."
    advice = "Set it to the text with which they were stored."
    assert (await check(url)).findings == [INTACT, Finding("settings.secret_key", Severity.WARNING, text, advice)]


async def test_personal_keys_need_their_secret(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    settings = Settings(access=AccessMode.OPEN, secret_key=SecretStr("a" * 32))
    store = Store(url)
    vault = await open_vault(store, "a" * 32)
    await store.close()
    for owner in ("telegram:1", "telegram:2"):
        await add_key(url, owner, vault.encrypt("io-v2-own", owner))
    text = "2 stored personal API keys can be read."
    assert (await check(url, settings)).findings == [INTACT, Finding("settings.secret_key", Severity.OK, text)]
    await add_key(url, "telegram:3", "v2:x")
    text = "1 of 3 stored personal API keys were encrypted with another PARLEY_SECRET_KEY."
    advice = "Set the earlier text again, or ask their owners to send /key again."
    expected = [INTACT, Finding("settings.secret_key", Severity.WARNING, text, advice)]
    assert (await check(url, settings)).findings == expected
