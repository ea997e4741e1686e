"""What commands say about databases that they cannot use, and the exit codes supervisors read."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bots.cli.conftest import TOKEN, Parley, Result, parley_process


@pytest.mark.slow
def test_newer_database_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "parley.sqlite3") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    connection.close()
    result = parley_process(tmp_path, "run", IOINTELLIGENCE_API_KEY="k", TELEGRAM_BOT_TOKEN=TOKEN)
    assert result.exit_code == 78
    assert "newer" in result.stderr


def damage(path: Path, kind: str) -> None:
    if kind == "not a database":
        path.write_bytes(b"These are notes. " * 500)
        return
    content = path.read_bytes()
    path.write_bytes(content[:1024] + b"\xa5" * (len(content) - 1024))


@pytest.mark.parametrize("kind", ["not a database", "overwritten"])
@pytest.mark.parametrize("command", [["run"], ["pair"], ["access", "list"]])
def test_damaged_database_is_named(parley: Parley, tmp_path: Path, kind: str, command: list[str]) -> None:
    path = tmp_path / "parley.sqlite3"
    assert parley("pair").exit_code == 0
    damage(path, kind)
    result = parley(*command, IOINTELLIGENCE_API_KEY="k", TELEGRAM_BOT_TOKEN=TOKEN)
    assert result.exit_code == 78
    assert str(path) in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_uncreatable_database_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = parley_process(
        tmp_path,
        "run",
        IOINTELLIGENCE_API_KEY="k",
        TELEGRAM_BOT_TOKEN=TOKEN,
        DATABASE_URL=f"sqlite:///{tmp_path}/file/parley.sqlite3",
    )
    assert result.exit_code == 78
    assert "database" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_unreachable_postgresql_is_unavailable(tmp_path: Path) -> None:
    result = parley_process(
        tmp_path,
        "run",
        IOINTELLIGENCE_API_KEY="k",
        TELEGRAM_BOT_TOKEN=TOKEN,
        DATABASE_URL="postgresql://parley:hidden@127.0.0.1:9/parley",
    )
    assert result.exit_code == 69
    assert "hidden" not in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs Unix permissions")
@pytest.mark.slow
@pytest.mark.parametrize("unwritable", ["folder", "folder of database", "database", "write-ahead log"])
def test_unwritable_database_is_configuration_error(tmp_path: Path, unwritable: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    database, log = folder / "parley.sqlite3", folder / "parley.sqlite3-wal"
    if unwritable != "folder":
        database.touch()
    if unwritable == "write-ahead log":
        log.touch(mode=0o400)
    path = {"database": database, "write-ahead log": log}.get(unwritable, folder)
    path.chmod(0o500 if path is folder else 0o400)
    result = run_without_privileges(folder, "pair")
    folder.chmod(0o700)
    assert result.exit_code == 78
    assert "database" in result.stderr
    assert result.stderr.strip().endswith(str(path))


def run_without_privileges(folder: Path, *arguments: str) -> Result:
    """Run a command for which permissions count, even if the tests run as root."""
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    completed = subprocess.run(
        [*drop, sys.executable, "-m", "bots.cli", *arguments],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[3]),
            "DATABASE_URL": f"sqlite:///{folder / 'parley.sqlite3'}",
        },
        cwd=folder.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Result(completed.returncode, completed.stdout, completed.stderr)


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("postgresql://u:pa@db:ss@host/x", "ss"),
        ("postgresql://host:port/x?password=topsecret", "topsecret"),
    ],
)
def test_database_url_error_hides_password(parley: Parley, url: str, secret: str) -> None:
    result = parley("pair", DATABASE_URL=url)
    assert result.exit_code == 78
    assert "Traceback" not in result.stderr
    assert f"{secret}@" not in result.stderr
    assert "topsecret" not in result.stderr


def test_sslmode_is_accepted(parley: Parley) -> None:
    url = "postgresql://a:pw@127.0.0.1:9/c?sslmode=require"
    result = parley("pair", DATABASE_URL=url)
    assert result.exit_code == 69
    assert "Traceback" not in result.stderr


def test_invalid_database_parameters_are_reported(parley: Parley) -> None:
    for parameter in ("sslmode=always", "connect_timeout=soon"):
        result = parley("pair", DATABASE_URL=f"postgresql://a:pw@127.0.0.1:9/c?{parameter}")
        assert result.exit_code == 78, parameter
        assert parameter.partition("=")[0] in result.stderr
        assert "Traceback" not in result.stderr


def test_unreachable_database_names_setting(parley: Parley) -> None:
    result = parley("pair", DATABASE_URL="postgresql://a:topsecret@127.0.0.1:9/c")
    assert result.exit_code == 69
    assert "DATABASE_URL" in result.stderr
    assert "topsecret" not in result.stderr
