"""Files that hold settings or secrets and cannot be used: errors name the variable or the file, and show no secret."""

from pathlib import Path

import pytest

from bots.adapters import SETTINGS_SECTIONS
from core.errors import ConfigurationError
from core.settings import config_file_values, load_settings
from core.settings.loading import CONFIG_FILE_VARIABLE

TOKEN_FILE = "TELEGRAM_BOT_TOKEN_FILE"


@pytest.fixture(autouse=True)
def _empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def load_error() -> str:
    with pytest.raises(ConfigurationError) as raised:
        load_settings(SETTINGS_SECTIONS)
    return str(raised.value)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"\xff\xfe", f"{TOKEN_FILE} names a file that is not text"),
        (b"", f"{TOKEN_FILE} names an empty file"),
        (b" \n", f"{TOKEN_FILE} names an empty file"),
    ],
)
def test_secret_file_without_a_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes, error: str
) -> None:
    (tmp_path / "token").write_bytes(content)
    monkeypatch.setenv(TOKEN_FILE, str(tmp_path / "token"))
    assert error in load_error()


def test_missing_secret_file_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_FILE, "12345:hunter2")
    error = load_error()
    assert f"{TOKEN_FILE} must be the path of a readable file: No such file or directory" in error
    assert "hunter2" not in error


@pytest.mark.parametrize(
    ("content", "error"),
    [(b"\xff\xfe", "mine.toml is not text"), (b"a = ", "mine.toml is not valid TOML: ")],
)
def test_settings_file_that_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes, error: str
) -> None:
    (tmp_path / "mine.toml").write_bytes(content)
    monkeypatch.setenv(CONFIG_FILE_VARIABLE, "mine.toml")
    assert error in load_error()


def test_missing_settings_file_is_an_error_if_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert config_file_values(SETTINGS_SECTIONS) == {}
    monkeypatch.setenv(CONFIG_FILE_VARIABLE, "mine.toml")
    assert "mine.toml cannot be read: No such file or directory" in load_error()


def test_values_of_the_settings_file(tmp_path: Path) -> None:
    (tmp_path / "parley.toml").write_text('access = "open"\nturns_at_once = 5\ntraces_url = 7\n')
    values = config_file_values(SETTINGS_SECTIONS, except_keys={"traces_url", "log_level"})
    assert values == {"access": "open", "turns_at_once": 5}
    with pytest.raises(ConfigurationError, match=r"traces_url in parley\.toml"):
        config_file_values(SETTINGS_SECTIONS)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://x/y", "must begin with sqlite:/// or postgresql://"),
        ("sqlite:///", "must name a file after sqlite:///"),
        ("postgresql://x:99999/y", "must have a port from 1 to 65535"),
        ("postgresql://x/y?sslmode=maybe", "must have one of these as sslmode: "),
        ("postgresql://x/y?connect_timeout=soon", "must have a whole number of seconds as connect_timeout"),
    ],
)
def test_database_url_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, url: str, words: str) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    assert words in load_error()


@pytest.mark.parametrize("url", ["postgresql://x:65535/y?sslmode=require", "postgres://x/y?connect_timeout=5"])
def test_database_url_that_can_be_used(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    settings = load_settings(SETTINGS_SECTIONS).core
    assert settings.database_url == url.replace("postgres://", "postgresql://")


@pytest.mark.parametrize(("days", "is_valid"), [(0, True), (1, False), (2, True)])
def test_data_is_kept_for_two_days_or_for_ever(monkeypatch: pytest.MonkeyPatch, days: int, *, is_valid: bool) -> None:
    monkeypatch.setenv("PARLEY_HISTORY_DAYS", f"{days}")
    if is_valid:
        assert load_settings(SETTINGS_SECTIONS).core.history_days == days
    else:
        assert "must be 0 or at least 2" in load_error()
