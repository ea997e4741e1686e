"""Which settings of Telegram are accepted."""

import pytest
from pydantic import SecretStr, ValidationError

from bots.telegram.settings import PUBLIC_API_WEBHOOK_PORTS, TelegramSettings

OWN_API = "http://127.0.0.1:8081"


@pytest.mark.parametrize("url", [None, "", " "])
def test_bot_polls_without_webhook(url: str | None) -> None:
    assert TelegramSettings(webhook_url=url).webhook_url is None


@pytest.mark.parametrize(
    ("api_base", "url"),
    [
        (None, "https://bot.example.org/telegram"),
        *[(None, f"https://bot.example.org:{port}/telegram") for port in PUBLIC_API_WEBHOOK_PORTS],
        (OWN_API, "https://bot.example.org:9000/telegram"),
        (OWN_API, "http://127.0.0.1:9000/telegram"),
    ],
)
def test_webhook_that_telegram_reaches_is_accepted(api_base: str | None, url: str) -> None:
    values = {"webhook_url": url} | ({"api_base": api_base} if api_base else {})
    assert TelegramSettings(**values).webhook_url == url  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://bot.example.org/telegram", "must begin with https://"),
        ("https://bot.example.org:9000/telegram", "must use one of Telegram's ports"),
        ("https://bot.example.org", "must have a path after the host"),
        ("https://bot.example.org/", "must have a path after the host"),
        ("bot.example.org/telegram", "https"),
    ],
)
def test_webhook_that_telegram_does_not_reach_is_refused(url: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TelegramSettings(webhook_url=url)


def test_token_begins_with_a_number() -> None:
    assert TelegramSettings().token is None
    assert TelegramSettings(token=SecretStr("")).token is None
    token = TelegramSettings(token=SecretStr("123456:AAsecret-Token_value")).token
    assert token is not None
    assert token.get_secret_value() == "123456:AAsecret-Token_value"
    with pytest.raises(ValidationError, match="is not a Telegram bot token") as caught:
        TelegramSettings(token=SecretStr("AAsecret-Token_value"))
    assert "AAsecret" not in str(caught.value)
