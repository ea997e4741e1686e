"""What commands say about settings that are wrong, and what `parley config show` prints."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from bots.adapters import SETTINGS_SECTIONS
from bots.tables import print_settings
from core.settings import SettingSource, parse_settings, setting_definitions
from tests.bots.cli.conftest import Parley, Result


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


def test_config_show_hides_password_parameter(parley: Parley) -> None:
    url = "postgresql://host/x?user=u&password=topsecret"
    result = parley("config", "show", DATABASE_URL=url)
    assert result.exit_code == 0
    assert "topsecret" not in result.stdout


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
