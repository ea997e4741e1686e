"""What operators see when they grant, revoke and list access."""

import sqlite3
from pathlib import Path

import pytest

from tests.bots.cli.conftest import Parley


def test_access_is_granted_and_revoked(parley: Parley) -> None:
    assert parley("allow", "telegram:person:42").exit_code == 0
    assert "can no longer use the bot" in parley("allow", "telegram:person:42", "--remove").stdout
    assert "/start" in parley("pair").stderr


def test_allowing_operator_does_not_demote(parley: Parley, tmp_path: Path) -> None:
    assert parley("pair").exit_code == 0  # creates the database
    with sqlite3.connect(tmp_path / "parley.sqlite3") as database:
        database.execute("INSERT INTO grants VALUES ('telegram:person:42', 'operator', 'Ann', 0)")
    database.close()
    result = parley("allow", "telegram:person:42")
    assert result.exit_code == 0
    assert "operator" in result.stdout
    assert "operator" in parley("access", "list").stdout
    assert parley("allow", "telegram:person:42", "--remove").exit_code == 0
    assert "can now use the bot" in parley("allow", "telegram:person:42").stdout
    assert "operator" not in parley("access", "list").stdout


def test_ban_outlasts_permissions_until_it_is_lifted(parley: Parley) -> None:
    assert parley("allow", "telegram:person:42").exit_code == 0
    assert "is banned" in parley("ban", "telegram:person:42").stdout
    assert "Lift the ban first" in parley("allow", "telegram:person:42").stdout
    assert "no permission to revoke" in parley("allow", "telegram:person:42", "--remove").stdout
    assert "banned" in parley("access", "list").stdout
    assert "no longer banned" in parley("ban", "telegram:person:42", "--remove").stdout
    assert "was not banned" in parley("ban", "telegram:person:42", "--remove").stdout
    assert parley("ban", "discord:role:5").exit_code == 0
    assert parley("ban", "telegram:role:5").exit_code == 2


def test_operator_is_not_banned(parley: Parley, tmp_path: Path) -> None:
    assert parley("pair").exit_code == 0  # creates the database
    with sqlite3.connect(tmp_path / "parley.sqlite3") as database:
        database.execute("INSERT INTO grants VALUES ('telegram:person:42', 'operator', 'Ann', 0)")
    database.close()
    assert "is an operator" in parley("ban", "telegram:person:42").stdout
    assert "operator" in parley("access", "list").stdout


def test_access_list_shows_every_grant(parley: Parley, tmp_path: Path) -> None:
    assert "Nobody" in parley("access", "list").stdout
    with sqlite3.connect(tmp_path / "parley.sqlite3") as database:
        database.execute(
            "INSERT INTO grants VALUES ('telegram:person:42', 'operator', '[red]Ann\n\x1b[31m', 1790000000)"
        )
    database.close()
    assert parley("allow", "discord:server:5678").exit_code == 0
    rows = [line.split() for line in parley("access", "list").stdout.splitlines()]
    assert rows[1][:4] == ["discord", "server", "5678", "member"]
    assert rows[2][:6] == ["telegram", "person", "42", "operator", "2026-09-21", "14:13"]
    assert rows[2][6].startswith("[red]Ann"), "a name is no markup"
    assert "\x1b" not in parley("access", "list").stdout
    assert "everyone" in parley("access", "list", PARLEY_ACCESS="open").stdout


@pytest.mark.parametrize("command", [["pair"], ["allow", "telegram:person:42"], ["access", "list"]])
@pytest.mark.parametrize("revision", ["0005", "9999"])
def test_commands_do_not_migrate(parley: Parley, tmp_path: Path, revision: str, command: list[str]) -> None:
    """An older process may serve from the database."""
    path = tmp_path / "parley.sqlite3"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        database.execute(f"INSERT INTO alembic_version VALUES ('{revision}')")
    database.close()
    result = parley(*command)
    assert result.exit_code == 78
    assert f"schema version {revision}" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("alembic_version",)]
    database.close()
    assert not list(tmp_path.glob("*.backup"))


@pytest.mark.parametrize(
    "subject",
    [
        "everybody",
        "telegram:42",
        "telegram:server:42",
        "telegram:person:-1",
        "telegram:person:ann",
        "discord:server:-1",
        "terminal:person:ann",
    ],
)
def test_unknown_subject_is_refused(parley: Parley, subject: str) -> None:
    result = parley("allow", subject)
    assert result.exit_code == 2
    assert subject in result.stderr
    assert "telegram:person:ID" in result.stderr
