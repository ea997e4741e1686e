"""What the settings take, and how they refuse: by the name they were given by, with an example."""

import re
from pathlib import Path

import pytest

from core.configuration import FIELD_BY_VARIABLE, find_misspelled_variables, load, load_with_sources
from core.errors import ConfigurationError
from core.settings import SECRETS, Settings

WEBHOOK_URL = "TELEGRAM_WEBHOOK_URL"
LISTEN_ADDRESS = "TELEGRAM_WEBHOOK_LISTEN"


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*FIELD_BY_VARIABLE, *(f"{name}_FILE" for name in SECRETS), "PARLEY_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def refusal(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> str:
    """What is said of a variable with a wrong value."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load()
    return str(caught.value)


def test_default_is_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WEBHOOK_URL, " ")
    assert load().telegram_webhook_url is None
    assert load().telegram_webhook_listen == "127.0.0.1:8443"


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
    assert WEBHOOK_URL in refusal(monkeypatch, WEBHOOK_URL, url)


def test_own_bot_api_server_allows_any_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEGRAM_API_BASE", "http://127.0.0.1:8081")
    monkeypatch.setenv(WEBHOOK_URL, "http://127.0.0.1:9000/x")
    assert load().telegram_webhook_url == "http://127.0.0.1:9000/x"


@pytest.mark.parametrize(
    "listen",
    ["127.0.0.1", "8443", "host:port", "a b:80", "127.0.0.1:99999", "127.0.0.1:0", "::1:80"],
)
def test_a_webhook_listens_on_host_and_port(listen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert LISTEN_ADDRESS in refusal(monkeypatch, LISTEN_ADDRESS, listen)


@pytest.mark.parametrize("listen", ["0.0.0.0:80", ":8443", "[::1]:65535", "localhost:8080"])
def test_a_webhook_can_listen_on(listen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LISTEN_ADDRESS, listen)
    assert load().telegram_webhook_listen == listen


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PARLEY_QUOTAS", "meta/x=-5", "whole numbers from 0"),
        ("PARLEY_QUOTAS", "*=many", '"*=many"'),
        ("PARLEY_QUOTAS", "500000", "MODEL=TOKENS"),
        ("PARLEY_QUOTAS", "a=1,a=2", "each model once"),
        ("PARLEY_CONTEXTS", "a=0", "from 256"),
        ("PARLEY_CONTEXTS", "a=", "MODEL=TOKENS"),
        ("PARLEY_SUCCESSORS", "a", "OLD=NEW"),
        ("PARLEY_SUCCESSORS", "a=b,=c", "OLD=NEW"),
        ("PARLEY_SUCCESSORS", "a=a", "another model"),
        ("PARLEY_FALLBACKS", "a model", "a list of models"),
        ("PARLEY_DEFAULT_MODEL", "two words", "the whole name of a model"),
        ("PARLEY_PERSONAS", "pirate=Talk", "JSON"),
        ("PARLEY_PERSONAS", '{"a b": "x"}', '"a b"'),
        ("PARLEY_PERSONAS", '{"a": 1}', '"a"'),
        ("PARLEY_PERSON_TOKENS", "-1", "from 0 to"),
        ("PARLEY_QUOTA_RESET_HOUR", "24", "from 0 to 23"),
        ("PARLEY_TURNS_AT_ONCE", "many", 'not "many"'),
        ("PARLEY_OPEN_TURNS", "1000000000", "to 10,000"),
        ("PARLEY_TOO_OLD", "nan", "number from 1 to"),
        ("PARLEY_STALL_TIMEOUT", "inf", "number from 0.1 to 3,600"),
        ("PARLEY_MAX_ANSWER_TOKENS", "3", "0 or 16"),
        ("PARLEY_ACCESS", "everybody", "one of pairing, open"),
        ("TELEGRAM_PREVIEW", "fast", "one of auto, draft, edit, off"),
        ("DISCORD_MESSAGE_CONTENT", "perhaps", "true or false"),
        ("IOINTELLIGENCE_BASE_URL", "api.example.org", "begins with https://"),
        ("IOINTELLIGENCE_BASE_URL", "https://api.example.org:99999", "begins with https://"),
        ("DISCORD_GATEWAY_URL", "https://x", "wss://"),
        ("DATABASE_URL", "mysql://x", "sqlite:///"),
        ("DATABASE_URL", "sqlite:///", "a file"),
    ],
)
def test_invalid_value_error_has_name_and_example(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = refusal(monkeypatch, name, value)
    assert told.startswith(f"{name} ({FIELD_BY_VARIABLE[name]} in parley.toml) ")
    assert said in told
    assert f"For example: {name}=" in told
    assert len(told.splitlines()) == 1


def test_examples_are_valid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Those in errors: for the environment and for the file."""
    for alias, name in FIELD_BY_VARIABLE.items():
        if alias in SECRETS:
            continue
        told = refusal(monkeypatch, alias, f"\x07 ://:no/such {20_000 * '!'}")
        right = re.search(rf"For example: {alias}=(.*)", told)
        assert right, alias
        monkeypatch.setenv(alias, right[1].strip("'"))
        from_environment = getattr(load(), name)
        monkeypatch.delenv(alias, raising=False)
        (tmp_path / "parley.toml").write_text(f"{name} = [[]]")
        with pytest.raises(ConfigurationError) as caught:
            load()
        assert str(caught.value).startswith(f"{name} in parley.toml ({alias}) "), alias
        (tmp_path / "parley.toml").write_text(str(caught.value).partition("For example: ")[2])
        assert getattr(load(), name) == from_environment
        (tmp_path / "parley.toml").unlink()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("IOINTELLIGENCE_API_KEY", "io-key with-a-space"),
        ("TELEGRAM_BOT_TOKEN", "not-a-token"),
        ("DISCORD_BOT_TOKEN", "Bot abc.def.ghi"),
        ("PARLEY_SECRET_KEY", "short"),
        ("DATABASE_URL", "postgresql://u:hidden@host:port/x"),
        ("DATABASE_URL", "postgresql://u:hidden@host:99999/x"),
        ("IOINTELLIGENCE_BASE_URL", "https://u:hidden@host:port/"),
    ],
)
def test_secret_values_are_not_shown(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = refusal(monkeypatch, name, value)
    assert name in told
    assert value not in told
    assert "hidden" not in told


def test_all_errors_are_reported_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "parley.toml").write_text("queue_length = 0")
    told = refusal(monkeypatch, "PARLEY_QUOTA_RESET_HOUR", "24")
    assert "2 settings are wrong" in told
    assert "queue_length in parley.toml (PARLEY_QUEUE_LENGTH)" in told
    assert "PARLEY_QUOTA_RESET_HOUR (quota_reset_hour in parley.toml)" in told


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("acess = 'open'", "is access meant?"),
        ("PARLEY_ACCESS = 'open'", "is called access here"),
        ("TELEGRAM_BOT_TOKEN = '1:hidden'", "a secret"),
        ("telegram_token = '1:hidden'", "a secret"),
        ("discord_message_content = 'si'", "true or false"),
        ("queue_length = true", "a number"),
        ("[quotas]\na = -1", "quotas in parley.toml (PARLEY_QUOTAS)"),
        ("[successors]\na = 1", "another model"),
    ],
)
def test_unknown_file_key_is_reported(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "parley.toml").write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        load()
    assert said in str(caught.value)
    assert "parley.toml" in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_only_parley_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable ACCESS of something else lets nobody in."""
    for name in Settings.model_fields:
        if name.upper() not in FIELD_BY_VARIABLE:
            monkeypatch.setenv(name.upper(), "open")
    assert load() == Settings()


def test_an_empty_variable_is_unset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "parley.toml").write_text("queue_length = 7")
    for name in FIELD_BY_VARIABLE:
        monkeypatch.setenv(name, "")
    assert load_with_sources().settings.queue_length == 7
    assert load_with_sources().sources["queue_length"] == "parley.toml"


def test_origin_of_each_setting_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "parley.toml").write_text("queue_length = 7\ntoo_old = 30")
    (tmp_path / "token").write_text("1:token\n")
    monkeypatch.setenv("PARLEY_TOO_OLD", "40")
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN_FILE", str(tmp_path / "token"))
    sources = load_with_sources().sources
    assert sources["queue_length"] == "parley.toml"
    assert sources["too_old"] == "environment"
    assert sources["telegram_token"] == "secret file"
    assert sources["access"] == "default"
    assert set(sources) == set(Settings.model_fields)


def test_secret_given_as_file_path_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    told = refusal(monkeypatch, "IOINTELLIGENCE_API_KEY_FILE", "io-hidden")
    assert "IOINTELLIGENCE_API_KEY_FILE must be the path of a file" in told
    assert "hidden" not in told


def test_misspelt_variable_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_QUOTA", "*=1")
    monkeypatch.setenv("PARLEY_PORT_8080_TCP_ADDR", "10.0.0.1")  # as container platforms set them
    assert ("PARLEY_QUOTA", "PARLEY_QUOTAS") in find_misspelled_variables()
    assert "PARLEY_PORT_8080_TCP_ADDR" not in dict(find_misspelled_variables())
