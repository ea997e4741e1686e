"""The command line: what an operator sees when something is wrong, and the exit codes supervisors read."""

import asyncio
import io
import logging
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import structlog
from rich.console import Console

from bots.adapters import SETTINGS_SECTIONS
from bots.cli import common
from bots.cli import main as cli
from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.refusals import refuse
from bots.tables import print_settings
from core.settings import SettingSource, parse_settings, setting_definitions

TOKEN = "123456789:AAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"


class Result(NamedTuple):
    exit_code: int
    stdout: str
    stderr: str


def parley_process(folder: Path, *arguments: str, **environment: str) -> Result:
    """Run a command as a process, in `folder`."""
    completed = subprocess.run(
        [sys.executable, "-m", "bots.cli", *arguments],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "DATABASE_URL": f"sqlite:///{folder / 'parley.sqlite3'}",
            **environment,
        },
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Result(completed.returncode, completed.stdout, completed.stderr)


Parley = Callable[..., Result]


@pytest.fixture
def parley(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Parley:
    """Run a command in this process, in `tmp_path`."""
    configure_logging = structlog.configure

    def configure(**options: Any) -> None:
        configure_logging(**options | {"cache_logger_on_first_use": False})

    def run(*arguments: str, **environment: str) -> Result:
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", ["parley", *arguments])
            patch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'parley.sqlite3'}")
            for name, value in environment.items():
                patch.setenv(name, value)
            # Loggers that are cached now would keep this configuration in all later tests of this process.
            patch.setattr(structlog, "configure", configure)
            handlers, level = logging.root.handlers[:], logging.root.level
            with pytest.raises(SystemExit) as exit_info:
                cli.main()
            logging.root.handlers[:] = handlers
            logging.root.setLevel(level)
            structlog.reset_defaults()
        return Result(int(exit_info.value.code or 0), *capsys.readouterr())

    return run


@pytest.mark.slow
def test_missing_key_is_reported(tmp_path: Path) -> None:
    result = parley_process(tmp_path, "run")
    assert result.exit_code == 78
    assert "IOINTELLIGENCE_API_KEY" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_run_waits_after_configuration_error_until_stopped(tmp_path: Path) -> None:
    """Supervisors that restart whatever the exit code would restart it for ever."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bots.cli", "run", "--wait-after-configuration-error"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        assert "IOINTELLIGENCE_API_KEY" in process.stderr.readline()
        assert process.poll() is None, "it waits"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 78
        assert process.stderr.read() == "", "the error is reported once"


@pytest.mark.slow
def test_missing_platform_is_reported(tmp_path: Path) -> None:
    result = parley_process(tmp_path, "run", IOINTELLIGENCE_API_KEY="k")
    assert result.exit_code == 78
    assert "TELEGRAM_BOT_TOKEN" in result.stderr


@pytest.mark.slow
def test_malformed_token_is_refused_without_showing_it(tmp_path: Path) -> None:
    result = parley_process(tmp_path, "run", IOINTELLIGENCE_API_KEY="k", TELEGRAM_BOT_TOKEN="not-a-token")
    assert result.exit_code == 78
    assert "TELEGRAM_BOT_TOKEN" in result.stderr
    assert "not-a-token" not in result.stderr


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('colour = "red"', "colour"),
        ('access = "everybody"', "access"),
        ("turns_at_once = 0", "turns_at_once"),
        ("access = ", "parley.toml"),
        ('telegram_token = "123:abc"', "TELEGRAM_BOT_TOKEN"),
    ],
)
def test_invalid_settings_file_names_keys(parley: Parley, tmp_path: Path, content: str, expected: str) -> None:
    (tmp_path / "parley.toml").write_text(content)
    result = parley("config", "show")
    assert result.exit_code == 78
    assert expected in result.stderr
    assert "123:abc" not in result.stderr


def settings_table(result: Result) -> dict[str, list[str]]:
    """The columns of `config show`, by variable."""
    assert result.exit_code == 0, result.stderr
    rows = [re.split(r"\s{2,}", line.strip()) for line in result.stdout.splitlines()]
    return {name: columns for name, *columns in rows[1:]}


def test_environment_overrides_file(parley: Parley, tmp_path: Path) -> None:
    (tmp_path / "parley.toml").write_text("queue_length = 7\ntoo_old = 30")
    rows = settings_table(parley("config", "show", PARLEY_QUEUE_LENGTH="9"))
    assert rows["PARLEY_QUEUE_LENGTH"][:3] == ["9", "environment", "queue_length"]
    assert rows["PARLEY_TOO_OLD"][:3] == ["30", "parley.toml", "too_old"]


def test_config_show_is_complete_when_piped(parley: Parley, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("very-secret-key\n")
    rows = settings_table(
        parley(
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
    narrow = Console(width=80, file=io.StringIO())
    print_settings(parse_settings({}, SETTINGS_SECTIONS), narrow)
    output = narrow.file.getvalue()  # type: ignore[attr-defined]
    for definition in setting_definitions(SETTINGS_SECTIONS):
        assert re.search(rf"^ *{definition.variable} .* default", output, re.MULTILINE)


def test_config_show_fits_100_columns_with_file_in_deep_folder() -> None:
    console = Console(width=100, file=io.StringIO())
    path = Path("/home/someone/a/very/long/folder/of/settings/for/the/bot/of/our/house/parley-settings.toml")
    values = {"quotas": {"meta-llama/Llama-3.3-70B-Instruct": 500_000}, "queue_length": 7}
    sources = dict.fromkeys(values, SettingSource.CONFIG_FILE)
    print_settings(parse_settings(values, SETTINGS_SECTIONS, sources=sources, config_file=path), console)
    output = console.file.getvalue()  # type: ignore[attr-defined]
    table, _, file_line = output.rstrip().rpartition("\n")
    assert max(map(len, table.splitlines())) <= 100
    assert re.search(r"^ *PARLEY_QUEUE_LENGTH +7 +parley-settings.toml", output, re.MULTILINE)
    assert re.search(
        r"^ *PARLEY_QUOTAS +meta-llama/Llama-3.3-70B-Instruct=500000 +parley-settings.toml", output, re.MULTILINE
    )
    assert file_line == f"Settings file: {path}"


def test_config_show_describes_settings_on_wide_terminal() -> None:
    wide = Console(width=220, file=io.StringIO())
    print_settings(parse_settings({}, SETTINGS_SECTIONS), wide)
    output = wide.file.getvalue()  # type: ignore[attr-defined]
    header = next(line for line in output.splitlines() if line.strip())
    assert re.split(r"\s{2,}", header.strip()) == ["variable", "value", "source", "key in parley.toml", "description"]
    assert re.search(r"PARLEY_TOO_OLD .* too_old +Seconds after which", output)
    assert "widen the terminal" not in output


def test_misspelled_variable_is_reported(parley: Parley) -> None:
    result = parley("config", "show", TELEGRAM_TOKEN="1:hidden")
    assert "unknown variable TELEGRAM_TOKEN. Did you mean TELEGRAM_BOT_TOKEN?" in result.stderr
    assert "hidden" not in result.stderr


def test_secrets_are_hidden(parley: Parley, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("very-secret-key\n")
    result = parley(
        "config",
        "show",
        IOINTELLIGENCE_API_KEY_FILE=str(tmp_path / "key"),
        DATABASE_URL="postgresql://parley:hidden@db/parley",
        COLUMNS="200",
    )
    assert result.exit_code == 0
    assert "very-secret" not in result.stdout
    assert "hidden" not in result.stdout


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


@pytest.mark.parametrize("command", ["export", "forget"])
def test_person_is_looked_for_only_in_an_existing_database(parley: Parley, tmp_path: Path, command: str) -> None:
    result = parley(command, "telegram:person:5")
    assert (result.exit_code, result.stdout) == (78, "")
    assert "There is no database" in result.stderr
    assert not list(tmp_path.iterdir())


def test_nothing_is_erased_if_a_log_file_cannot_be_changed(parley: Parley, tmp_path: Path) -> None:
    parley("allow", "telegram:person:5")
    result = parley("forget", "telegram:person:5", "--log", str(tmp_path / "missing.log"))
    assert (result.exit_code, result.stdout) == (78, "")
    assert "member" in parley("access", "list").stdout


def test_ctrl_c_prints_one_line(parley: Parley, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(common, "load_settings", interrupt)
    for command in ("run", "models", "chat", "pair"):
        result = parley(command)
        assert result.exit_code == 130
        assert result.stderr == "parley: interrupted\n"


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
            "PYTHONPATH": str(Path(__file__).parents[2]),
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


def test_config_show_hides_password_parameter(parley: Parley) -> None:
    url = "postgresql://host/x?user=u&password=topsecret"
    result = parley("config", "show", DATABASE_URL=url)
    assert result.exit_code == 0
    assert "topsecret" not in result.stdout


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


def test_unreadable_settings_file_is_reported(parley: Parley, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for environment in (
        {"PARLEY_PERSONAS": "pirate=Talk"},
        {"IOINTELLIGENCE_API_KEY_FILE": str(tmp_path / "binary")},
        {"PARLEY_CONFIG": str(tmp_path / "binary")},
    ):
        result = parley("config", "show", **environment)
        assert result.exit_code == 78, environment
        assert "Traceback" not in result.stderr


def models(folder: Path, key: str, base_url: str) -> Result:
    environment = {"IOINTELLIGENCE_API_KEY": key, "IOINTELLIGENCE_BASE_URL": base_url}
    return parley_process(folder, "models", "--search", "phi-4", **environment)


@pytest.mark.slow
def test_models_lists_known_models_when_service_is_down(tmp_path: Path) -> None:
    result = models(tmp_path, "key-that-is-secret", "http://127.0.0.1:9/v1/")
    assert result.exit_code == 69
    assert "microsoft/phi-4" in result.stdout
    assert "cannot be reached (127.0.0.1: Connection refused)" in result.stderr
    assert "built-in list" in result.stderr
    assert len(result.stderr.splitlines()) == 1, "not even a wide line is broken"
    assert "key-that-is-secret" not in result.stderr


@pytest.mark.slow
async def test_models_reports_wrong_key(tmp_path: Path) -> None:
    service = ModelStandIn()
    await service.start()
    try:
        right = await asyncio.to_thread(models, tmp_path, service.api_key, service.base_url)
        wrong = await asyncio.to_thread(models, tmp_path, "another", service.base_url)
    finally:
        await service.close()
    assert (right.exit_code, right.stderr) == (0, "")
    assert wrong.exit_code == 78
    assert "microsoft/phi-4" in wrong.stdout
    assert "does not accept the key in IOINTELLIGENCE_API_KEY" in wrong.stderr
    assert not service.requests


@pytest.mark.slow
async def test_models_reports_address_without_version(tmp_path: Path) -> None:
    service = ModelStandIn()
    await service.start()
    try:
        result = await asyncio.to_thread(models, tmp_path, service.api_key, service.base_url.removesuffix("api/v1/"))
    finally:
        await service.close()
    assert result.exit_code == 78
    assert "answered 404 (127.0.0.1/)" in result.stderr
    assert "IOINTELLIGENCE_BASE_URL is probably wrong. For most services it ends in /v1." in result.stderr
    assert "microsoft/phi-4" in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("region", "does not serve the country"),
        ("credit", "has no credit left"),
        ("proxy", "A proxy or a firewall answered"),
        ("path", ""),
        ("internal", ""),
    ],
)
async def test_models_reports_what_refuses_every_question(tmp_path: Path, reason: str, advice: str) -> None:
    service = ModelStandIn()
    await service.start()
    service.fault_hook = refuse(reason)
    try:
        result = await asyncio.to_thread(models, tmp_path, service.api_key, service.base_url)
    finally:
        await service.close()
    assert result.exit_code == (78 if advice else 0)
    assert advice in result.stderr
    assert "microsoft/phi-4" in result.stdout


def test_sandbox_names_setting_that_it_cannot_use(parley: Parley, tmp_path: Path) -> None:
    (tmp_path / "parley.toml").write_text('telegram_webhook_url = "https://bot.example/hook"')
    result = parley("sandbox")
    assert result.exit_code == 78
    assert "telegram_webhook_url" in result.stderr


def test_misspelled_model_is_reported(parley: Parley, tmp_path: Path) -> None:
    (tmp_path / "parley.toml").write_text('[contexts]\n"phi-4" = 9000\n"acme/unheard-of" = 9000\n')
    result = parley("config", "show")
    assert result.exit_code == 0
    assert "phi-4=9000" in result.stdout
    assert "PARLEY_CONTEXTS: the model phi-4 is not offered." in result.stderr
    assert "Did you mean microsoft/phi-4?" in result.stderr
    assert "unheard-of" not in result.stderr, "the service may have it"


def test_version_needs_no_settings(parley: Parley) -> None:
    result = parley("--version")
    assert result.exit_code == 0
    assert re.fullmatch(r"parley \d+\.\d+\.\d+\S*", result.stdout.strip())
    assert "IO Intelligence's open models" in parley().stdout
