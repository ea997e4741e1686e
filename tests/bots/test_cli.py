"""What an operator gets to see when something is wrong, and the exit codes supervisors read."""

import asyncio
import io
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from bots.adapters import SETTINGS_SECTIONS
from bots.sandbox.model import ModelStandIn
from bots.settings_table import print_settings
from core.settings import parse_settings
from core.settings.loading import setting_definitions

CLEAN_ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("PARLEY_", "TELEGRAM_", "DISCORD_", "IOINTELLIGENCE_", "DATABASE_"))
}
TOKEN = "123456789:AAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"


def parley(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    given = {"DATABASE_URL": f"sqlite:///{folder / 'parley.sqlite3'}", **environment}
    return subprocess.run(
        [sys.executable, "-m", "bots.cli", *arguments],
        env={**CLEAN_ENVIRONMENT, "PYTHONPATH": str(Path(__file__).parents[2]), **given},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_missing_key_is_reported(tmp_path: Path) -> None:
    done = parley(tmp_path, "run")
    assert done.returncode == 78
    assert "IOINTELLIGENCE_API_KEY" in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_platform_is_reported(tmp_path: Path) -> None:
    done = parley(tmp_path, "run", IOINTELLIGENCE_API_KEY="k")
    assert done.returncode == 78
    assert "TELEGRAM_BOT_TOKEN" in done.stderr


def test_malformed_token_is_refused_without_showing_it(tmp_path: Path) -> None:
    done = parley(tmp_path, "run", IOINTELLIGENCE_API_KEY="k", TELEGRAM_BOT_TOKEN="not-a-token")
    assert done.returncode == 78
    assert "TELEGRAM_BOT_TOKEN" in done.stderr
    assert "not-a-token" not in done.stderr


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ('colour = "red"', "colour"),
        ('access = "everybody"', "access"),
        ("turns_at_once = 0", "turns_at_once"),
        ("access = ", "parley.toml"),
        ('telegram_token = "123:abc"', "TELEGRAM_BOT_TOKEN"),
    ],
)
def test_invalid_settings_file_names_keys(tmp_path: Path, content: str, named: str) -> None:
    (tmp_path / "parley.toml").write_text(content)
    done = parley(tmp_path, "config", "show")
    assert done.returncode == 78
    assert named in done.stderr
    assert "123:abc" not in done.stderr


def settings_table(done: "subprocess.CompletedProcess[str]") -> dict[str, list[str]]:
    """The columns of `config show`, by variable."""
    assert done.returncode == 0, done.stderr
    rows = [re.split(r"\s{2,}", line.strip()) for line in done.stdout.splitlines()]
    return {name: columns for name, *columns in rows[1:]}


def test_environment_overrides_file(tmp_path: Path) -> None:
    (tmp_path / "parley.toml").write_text("queue_length = 7\ntoo_old = 30")
    rows = settings_table(parley(tmp_path, "config", "show", PARLEY_QUEUE_LENGTH="9"))
    assert rows["PARLEY_QUEUE_LENGTH"][:3] == ["9", "environment", "queue_length"]
    assert rows["PARLEY_TOO_OLD"][:3] == ["30", "parley.toml", "too_old"]


def test_config_show_is_complete_when_piped(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("very-secret-key\n")
    rows = settings_table(
        parley(
            tmp_path,
            "config",
            "show",
            COLUMNS="80",
            IOINTELLIGENCE_API_KEY_FILE=str(tmp_path / "key"),
            PARLEY_QUOTAS="a=1,*=0",
            PARLEY_PERSONAS='{"red": "[red]You speak red"}',
        )
    )
    assert set(rows) == {definition.variable for definition in setting_definitions(SETTINGS_SECTIONS)}
    assert rows["IOINTELLIGENCE_API_KEY"][:2] == ["set", "secret file"]
    assert rows["DISCORD_BOT_TOKEN"][:2] == ["not set", "default"]
    assert rows["PARLEY_QUOTAS"][0] == "a=1,*=0"
    assert rows["PARLEY_PERSONAS"][0] == "red=[red]You speak red"
    assert rows["PARLEY_FALLBACKS"][0] == rows["PARLEY_CONTEXTS"][0] == "-"
    assert rows["TELEGRAM_WEBHOOK_URL"][0] == "-"
    assert rows["PARLEY_PERSON_TOKENS"][0] == "0"


def test_config_show_keeps_names_on_narrow_terminal() -> None:
    screen = Console(width=80, file=io.StringIO())
    print_settings(parse_settings({}, SETTINGS_SECTIONS), screen)
    printed = screen.file.getvalue()  # type: ignore[attr-defined]
    for definition in setting_definitions(SETTINGS_SECTIONS):
        assert re.search(rf"^ *{definition.variable} .* default", printed, re.MULTILINE)


def test_misspelt_variable_is_reported(tmp_path: Path) -> None:
    done = parley(tmp_path, "config", "show", TELEGRAM_TOKEN="1:hidden")
    assert "unknown variable TELEGRAM_TOKEN. Did you mean TELEGRAM_BOT_TOKEN?" in done.stderr
    assert "hidden" not in done.stderr


def test_secrets_are_hidden(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("very-secret-key\n")
    done = parley(
        tmp_path,
        "config",
        "show",
        IOINTELLIGENCE_API_KEY_FILE=str(tmp_path / "key"),
        DATABASE_URL="postgresql://parley:hidden@db/parley",
        COLUMNS="200",
    )
    assert done.returncode == 0
    assert "very-secret" not in done.stdout
    assert "hidden" not in done.stdout


def test_newer_database_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "parley.sqlite3") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    connection.close()
    done = parley(tmp_path, "run", IOINTELLIGENCE_API_KEY="k", TELEGRAM_BOT_TOKEN=TOKEN)
    assert done.returncode == 78
    assert "newer" in done.stderr


def test_uncreatable_database_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = parley(
        tmp_path,
        "run",
        IOINTELLIGENCE_API_KEY="k",
        TELEGRAM_BOT_TOKEN=TOKEN,
        DATABASE_URL=f"sqlite:///{tmp_path}/file/parley.sqlite3",
    )
    assert done.returncode in (69, 78)
    assert "database" in done.stderr
    assert "Traceback" not in done.stderr


def test_unreachable_postgresql_is_unavailable(tmp_path: Path) -> None:
    done = parley(
        tmp_path,
        "run",
        IOINTELLIGENCE_API_KEY="k",
        TELEGRAM_BOT_TOKEN=TOKEN,
        DATABASE_URL="postgresql://parley:hidden@127.0.0.1:9/parley",
    )
    assert done.returncode == 69
    assert "hidden" not in done.stderr
    assert "Traceback" not in done.stderr


def test_access_is_granted_and_revoked(tmp_path: Path) -> None:
    assert parley(tmp_path, "allow", "telegram:person:42").returncode == 0
    assert "can no longer use the bot" in parley(tmp_path, "allow", "telegram:person:42", "--remove").stdout
    assert "/start" in parley(tmp_path, "pair").stderr


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
def test_unknown_subject_is_refused(tmp_path: Path, subject: str) -> None:
    done = parley(tmp_path, "allow", subject)
    assert done.returncode == 78
    assert subject in done.stderr
    assert "telegram:person:ID" in done.stderr


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("postgresql://u:pa@db:ss@host/x", "ss"),
        ("postgresql://host:port/x?password=topsecret", "topsecret"),
    ],
)
def test_database_url_error_hides_password(tmp_path: Path, url: str, secret: str) -> None:
    done = parley(tmp_path, "pair", DATABASE_URL=url)
    assert done.returncode == 78
    assert "Traceback" not in done.stderr
    assert f"{secret}@" not in done.stderr
    assert "topsecret" not in done.stderr


def test_config_show_hides_password_parameter(tmp_path: Path) -> None:
    url = "postgresql://host/x?user=u&password=topsecret"
    done = parley(tmp_path, "config", "show", DATABASE_URL=url)
    assert done.returncode == 0
    assert "topsecret" not in done.stdout


def test_sslmode_is_accepted(tmp_path: Path) -> None:
    url = "postgresql://a:pw@127.0.0.1:9/c?sslmode=require"
    done = parley(tmp_path, "pair", DATABASE_URL=url)
    assert done.returncode == 69
    assert "Traceback" not in done.stderr


def test_invalid_database_parameters_are_reported(tmp_path: Path) -> None:
    for wrong in ("sslmode=always", "connect_timeout=soon"):
        done = parley(tmp_path, "pair", DATABASE_URL=f"postgresql://a:pw@127.0.0.1:9/c?{wrong}")
        assert done.returncode == 78, wrong
        assert wrong.partition("=")[0] in done.stderr
        assert "Traceback" not in done.stderr


def test_unreachable_database_names_setting(tmp_path: Path) -> None:
    done = parley(tmp_path, "pair", DATABASE_URL="postgresql://a:topsecret@127.0.0.1:9/c")
    assert done.returncode == 69
    assert "DATABASE_URL" in done.stderr
    assert "topsecret" not in done.stderr


def test_unreadable_settings_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for wrong in (
        {"PARLEY_PERSONAS": "pirate=Talk"},
        {"IOINTELLIGENCE_API_KEY_FILE": str(tmp_path / "binary")},
        {"PARLEY_CONFIG": str(tmp_path / "binary")},
    ):
        done = parley(tmp_path, "config", "show", **wrong)
        assert done.returncode == 78, wrong
        assert "Traceback" not in done.stderr


def models(folder: Path, key: str, base_url: str) -> "subprocess.CompletedProcess[str]":
    given = {"IOINTELLIGENCE_API_KEY": key, "IOINTELLIGENCE_BASE_URL": base_url}
    return parley(folder, "models", "--search", "phi-4", **given)


def test_models_lists_known_models_when_service_is_down(tmp_path: Path) -> None:
    done = models(tmp_path, "key-that-is-secret", "http://127.0.0.1:9/v1/")
    assert done.returncode == 69
    assert "microsoft/phi-4" in done.stdout
    assert "cannot be reached (127.0.0.1: Connection refused)" in done.stderr
    assert "built-in list" in done.stderr
    assert len(done.stderr.splitlines()) == 1, "not even a wide line is broken"
    assert "key-that-is-secret" not in done.stderr


async def test_models_reports_wrong_key(tmp_path: Path) -> None:
    service = ModelStandIn()
    await service.start()
    try:
        right = await asyncio.to_thread(models, tmp_path, service.api_key, service.base_url)
        wrong = await asyncio.to_thread(models, tmp_path, "another", service.base_url)
    finally:
        await service.close()
    assert (right.returncode, right.stderr) == (0, "")
    assert wrong.returncode == 78
    assert "microsoft/phi-4" in wrong.stdout
    assert "does not accept the key in IOINTELLIGENCE_API_KEY" in wrong.stderr
    assert not service.requests


def test_misspelt_model_is_reported(tmp_path: Path) -> None:
    (tmp_path / "parley.toml").write_text('[contexts]\n"phi-4" = 9000\n"acme/unheard-of" = 9000\n')
    done = parley(tmp_path, "config", "show")
    assert done.returncode == 0
    assert "phi-4=9000" in done.stdout
    assert "PARLEY_CONTEXTS names phi-4" in done.stderr
    assert "is microsoft/phi-4 meant?" in done.stderr
    assert "unheard-of" not in done.stderr, "the service may have it"


def test_version_needs_no_settings(tmp_path: Path) -> None:
    done = parley(tmp_path, "--version")
    assert done.returncode == 0
    assert re.fullmatch(r"parley \d+\.\d+\.\d+\S*", done.stdout.strip())
    assert "IO Intelligence's open models" in parley(tmp_path).stdout
