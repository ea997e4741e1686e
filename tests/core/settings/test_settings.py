"""Loading of settings: valid values, sources, and errors that name the setting and show an example."""

import re
from pathlib import Path

import pytest

from bots.adapters import SETTINGS_SECTIONS
from bots.discord.settings import DiscordSettings
from bots.telegram.settings import TelegramSettings
from core.errors import ConfigurationError
from core.settings import (
    LoadedSettings,
    Settings,
    SettingSource,
    UnknownVariable,
    find_misspelled_variables,
    load_settings,
    parse_settings,
    setting_definitions,
)

DEFINITIONS = {definition.variable: definition for definition in setting_definitions(SETTINGS_SECTIONS)}
WEBHOOK_URL = "TELEGRAM_WEBHOOK_URL"
LISTEN_ADDRESS = "TELEGRAM_WEBHOOK_LISTEN"


@pytest.fixture(autouse=True)
def _empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def load() -> LoadedSettings:
    return load_settings(SETTINGS_SECTIONS)


def load_error() -> str:
    with pytest.raises(ConfigurationError) as raised:
        load()
    return str(raised.value)


def error_for(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> str:
    monkeypatch.setenv(name, value)
    return load_error()


def test_webhook_is_off_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WEBHOOK_URL, " ")
    assert load().section(TelegramSettings).webhook_url is None
    assert load().section(TelegramSettings).webhook_listen == "127.0.0.1:8443"


@pytest.mark.parametrize(
    "url",
    [
        "bot.example.org/hook",
        "https://bot.example.org",
        "https://bot.example.org/",
        "ftp://x/y",
        "http://bot.example.org/x",
        "https://bot.example.org:9000/x",
        "https://:443/x",
    ],
)
def test_invalid_webhook_url_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert WEBHOOK_URL in error_for(monkeypatch, WEBHOOK_URL, url)


def test_own_bot_api_server_allows_any_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEGRAM_API_BASE", "http://127.0.0.1:8081")
    monkeypatch.setenv(WEBHOOK_URL, "http://127.0.0.1:9000/x")
    assert load().section(TelegramSettings).webhook_url == "http://127.0.0.1:9000/x"


@pytest.mark.parametrize(
    "listen",
    ["127.0.0.1", "8443", "host:port", "a b:80", "127.0.0.1:99999", "127.0.0.1:0", "::1:80"],
)
def test_invalid_listen_address_is_refused(listen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert LISTEN_ADDRESS in error_for(monkeypatch, LISTEN_ADDRESS, listen)


@pytest.mark.parametrize("listen", ["0.0.0.0:80", ":8443", "[::1]:65535", "localhost:8080"])
def test_listen_address_is_accepted(listen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LISTEN_ADDRESS, listen)
    assert load().section(TelegramSettings).webhook_listen == listen


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PARLEY_QUOTAS", "meta/x=-5", "whole numbers from 0"),
        ("PARLEY_QUOTAS", "*=many", '"*=many"'),
        ("PARLEY_QUOTAS", "500000", 'MODEL=TOKENS, separated by commas; "500000" is not a pair. For'),
        ("PARLEY_QUOTAS", "a=1,a=2", "each model once"),
        ("PARLEY_CONTEXTS", "a=0", "from 256"),
        ("PARLEY_CONTEXTS", "a=", "MODEL=TOKENS"),
        ("PARLEY_SUCCESSORS", "a", "OLD=NEW"),
        ("PARLEY_SUCCESSORS", "a=b,=c", "OLD=NEW"),
        ("PARLEY_SUCCESSORS", "a=a", "another model"),
        ("PARLEY_FALLBACKS", "a model", "a list of models"),
        ("PARLEY_FALLBACKS", '"a/b", "c/d"', "is not a model's name"),
        ("PARLEY_DEFAULT_MODEL", "two words", "the full name of a model"),
        ("PARLEY_PERSONAS", "pirate=Talk", "JSON"),
        ("PARLEY_PERSONAS", '{"a b": "x"}', '"a b"'),
        ("PARLEY_PERSONAS", '{"a": 1}', '"a"'),
        ("PARLEY_PERSONAS", '{"Reset": "You reset."}', "/persona Reset removes the persona"),
        ("PARLEY_PERSON_TOKENS", "-1", "from 0 to"),
        ("PARLEY_QUOTA_RESET_HOUR", "24", "from 0 to 23"),
        ("PARLEY_TURNS_AT_ONCE", "many", 'not "many"'),
        ("PARLEY_OPEN_TURNS", "1000000000", "to 10,000"),
        ("PARLEY_TOO_OLD", "nan", "number from 1 to"),
        ("PARLEY_STALL_TIMEOUT", "inf", "number from 0.1 to 3,600"),
        ("PARLEY_MAX_ANSWER_TOKENS", "3", "0 or at least 16"),
        ("PARLEY_ACCESS", "everybody", "one of pairing, open"),
        ("TELEGRAM_PREVIEW", "fast", "one of auto, draft, edit, off"),
        ("DISCORD_MESSAGE_CONTENT", "perhaps", "true or false"),
        ("IOINTELLIGENCE_BASE_URL", "api.example.org", "begins with https://"),
        ("IOINTELLIGENCE_BASE_URL", "https://api.example.org:99999", "begins with https://"),
        ("IOINTELLIGENCE_BASE_URL", "https://me:secret@api.example.org", "must not contain a user name"),
        ("PARLEY_SPEECH_URL", "https://me@speech.example.org/v1", "must not contain a user name"),
        ("DISCORD_GATEWAY_URL", "https://x", "wss://"),
        ("DATABASE_URL", "mysql://x", "sqlite:///"),
        ("DATABASE_URL", "sqlite:///", "a file"),
    ],
)
def test_invalid_value_error_has_name_and_example(
    name: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = error_for(monkeypatch, name, value)
    assert error.startswith(f"{name} ({DEFINITIONS[name].key} in parley.toml) ")
    assert expected in error
    assert f"For example: {name}=" in error
    assert len(error.splitlines()) == 1


def test_examples_in_errors_are_valid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def loaded_value(key: str) -> object:
        return next(value for definition, value in load().values() if definition.key == key)

    for variable, definition in DEFINITIONS.items():
        if definition.is_secret:
            continue
        error = error_for(monkeypatch, variable, f"\x07 ://:no/such {20_000 * '!'}")
        example = re.search(rf"For example: {variable}=(.*)", error)
        assert example, variable
        monkeypatch.setenv(variable, example[1].strip("'"))
        from_environment = loaded_value(definition.key)
        monkeypatch.delenv(variable)
        (tmp_path / "parley.toml").write_text(f"{definition.key} = [[]]")
        error = load_error()
        assert error.startswith(f"{definition.key} in parley.toml ({variable}) "), variable
        (tmp_path / "parley.toml").write_text(error.partition("For example: ")[2])
        assert loaded_value(definition.key) == from_environment
        (tmp_path / "parley.toml").unlink()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("IOINTELLIGENCE_API_KEY", "io-key with-a-space"),
        ("TELEGRAM_BOT_TOKEN", "not-a-token"),
        ("DISCORD_BOT_TOKEN", "Bot abc.def.ghi"),
        ("DISCORD_BOT_TOKEN", "0123456789abcdef0123456789abcdef"),
        ("DISCORD_BOT_TOKEN", "MTIz.secret"),
        ("IOINTELLIGENCE_API_KEY", '"io-half-quoted'),
        ("IOINTELLIGENCE_API_KEY", "io-v2\r-key"),
        ("PARLEY_SECRET_KEY", "short"),
        ("DATABASE_URL", "postgresql://u:hidden@host:port/x"),
        ("DATABASE_URL", "postgresql://u:hidden@host:99999/x"),
        ("IOINTELLIGENCE_BASE_URL", "https://u:hidden@host:port/"),
    ],
)
def test_secret_values_are_not_shown(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    error = error_for(monkeypatch, name, value)
    assert name in error
    assert value not in error
    assert "hidden" not in error


def test_all_errors_are_reported_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "parley.toml").write_text("queue_length = 0")
    monkeypatch.setenv("DISCORD_MESSAGE_CONTENT", "perhaps")
    error = error_for(monkeypatch, "PARLEY_QUOTA_RESET_HOUR", "24")
    assert "3 settings are wrong" in error
    assert "queue_length in parley.toml (PARLEY_QUEUE_LENGTH)" in error
    assert "PARLEY_QUOTA_RESET_HOUR (quota_reset_hour in parley.toml)" in error
    assert "DISCORD_MESSAGE_CONTENT (discord_message_content in parley.toml)" in error


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("acess = 'open'", "Did you mean access?"),
        ("xyzzy = 1", "Without this file, `parley config show` lists all settings"),
        ("PARLEY_ACCESS = 'open'", "is called access in this file"),
        ("TELEGRAM_BOT_TOKEN = '1:hidden'", "a secret"),
        ("telegram_token = '1:hidden'", "a secret"),
        ("discord_message_content = 'si'", "true or false"),
        ("queue_length = true", "a number"),
        ("[quotas]\na = -1", "quotas in parley.toml (PARLEY_QUOTAS)"),
        ("[successors]\na = 1", "another model"),
    ],
)
def test_wrong_settings_file_is_reported(content: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "parley.toml").write_text(content)
    error = load_error()
    assert expected in error
    assert "parley.toml" in error
    assert "hidden" not in error


def test_only_declared_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable `ACCESS` that belongs to another program does not open the bot."""
    for definition in DEFINITIONS.values():
        if definition.field_name.upper() not in DEFINITIONS:
            monkeypatch.setenv(definition.field_name.upper(), "open")
    assert load().core == Settings()
    assert load().section(TelegramSettings) == TelegramSettings()


def test_an_empty_variable_is_unset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "parley.toml").write_text("queue_length = 7")
    for name in DEFINITIONS:
        monkeypatch.setenv(name, "")
    assert load().core.queue_length == 7
    assert load().sources["queue_length"] is SettingSource.CONFIG_FILE


@pytest.mark.parametrize("wrapped", ['"{}"', "'{}'", " {} ", "{}\r", '"{}"\r', '" {} "'])
def test_value_is_unwrapped(wrapped: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`docker run --env-file` keeps quotes, and files from Windows end lines with CR."""
    for name, value in {
        "IOINTELLIGENCE_API_KEY": "io-key",
        "TELEGRAM_BOT_TOKEN": "1:token",
        "DISCORD_BOT_TOKEN_FILE": str(tmp_path / "discord token"),
        "IOINTELLIGENCE_BASE_URL": "https://api.example.org/v1",
        "PARLEY_ACCESS": "open",
        "PARLEY_QUEUE_LENGTH": "9",
        "DISCORD_MESSAGE_CONTENT": "true",
        "DATABASE_URL": "sqlite:///data.sqlite3",
    }.items():
        monkeypatch.setenv(name, wrapped.format(value))
    (tmp_path / "discord token").write_text(wrapped.format("MTIz.abc.def") + "\r\n")
    settings = load()
    telegram, discord = settings.section(TelegramSettings).token, settings.section(DiscordSettings).token
    assert settings.core.api_key is not None
    assert settings.core.api_key.get_secret_value() == "io-key"
    assert telegram is not None
    assert telegram.get_secret_value() == "1:token"
    assert discord is not None
    assert discord.get_secret_value() == "MTIz.abc.def"
    assert settings.core.base_url == "https://api.example.org/v1"
    assert settings.core.access == "open"
    assert settings.core.queue_length == 9
    assert settings.core.database_url == "sqlite:///data.sqlite3"
    assert settings.section(DiscordSettings).message_content


def test_quotes_inside_text_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ('"Yes" or "no"', 'Say "yes"', "Don't"):
        monkeypatch.setenv("PARLEY_SYSTEM_PROMPT", text)
        assert load().core.system_prompt == text


def test_socks_proxy_is_refused_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    error = error_for(monkeypatch, "HTTPS_PROXY", "socks5://proxy:1080")
    assert error.startswith("HTTPS_PROXY names a SOCKS proxy")


def test_source_of_each_setting_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "parley.toml").write_text("queue_length = 7\ntoo_old = 30")
    (tmp_path / "token").write_text("1:token\n")
    monkeypatch.setenv("PARLEY_TOO_OLD", "40")
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN_FILE", str(tmp_path / "token"))
    settings = load()
    assert settings.config_file == Path("parley.toml")
    assert settings.sources["queue_length"] is SettingSource.CONFIG_FILE
    assert settings.sources["too_old"] is SettingSource.ENVIRONMENT
    assert settings.sources["telegram_token"] is SettingSource.SECRET_FILE
    assert settings.sources["access"] is SettingSource.DEFAULT
    assert set(settings.sources) == {definition.key for definition in DEFINITIONS.values()}


def test_keys_and_variables_are_unique() -> None:
    definitions = setting_definitions(SETTINGS_SECTIONS)
    assert len({definition.key for definition in definitions}) == len(definitions)
    assert len(DEFINITIONS) == len(definitions)


def test_values_by_key_reach_their_sections() -> None:
    settings = parse_settings({"access": "open", "telegram_token": "1:token"}, SETTINGS_SECTIONS)
    assert settings.core.access == "open"
    token = settings.section(TelegramSettings).token
    assert token is not None
    assert token.get_secret_value() == "1:token"


def test_database_url_with_a_password_comes_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://u:hidden@host/x\n")
    (tmp_path / "parley.toml").write_text('database_url = "sqlite:///data.sqlite3"')
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "url"))
    settings = load()
    assert settings.core.database_url == "postgresql://u:hidden@host/x"
    assert settings.sources["database_url"] is SettingSource.SECRET_FILE
    (tmp_path / "url").write_text("postgresql://u:hidden@host:port/x")
    assert "hidden" not in load_error()


def test_secret_instead_of_a_path_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    error = error_for(monkeypatch, "IOINTELLIGENCE_API_KEY_FILE", "io-hidden")
    assert "IOINTELLIGENCE_API_KEY_FILE must be the path of a readable file" in error
    assert "hidden" not in error


def test_misspelled_variable_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_QUOTA", "*=1")
    monkeypatch.setenv("PARLEY_PORT_8080_TCP_ADDR", "10.0.0.1")  # container platforms set such variables
    misspelled = find_misspelled_variables(SETTINGS_SECTIONS)
    assert UnknownVariable("PARLEY_QUOTA", "PARLEY_QUOTAS") in misspelled
    assert "PARLEY_PORT_8080_TCP_ADDR" not in {variable.name for variable in misspelled}
