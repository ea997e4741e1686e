"""What the settings take, and what they refuse."""

import pytest

from core.errors import ConfigurationError
from core.settings import load

HOOK = "TELEGRAM_WEBHOOK_URL"
LISTEN = "TELEGRAM_WEBHOOK_LISTEN"


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (HOOK, LISTEN):
        monkeypatch.delenv(name, raising=False)


def test_without_a_webhook_the_bot_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOOK, " ")
    assert load().telegram_webhook_url is None
    assert load().telegram_webhook_listen == "127.0.0.1:8443"


@pytest.mark.parametrize("url", ["bot.example.org/hook", "https://bot.example.org", "ftp://x/y"])
def test_a_webhook_has_an_address_with_a_path(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOOK, url)
    with pytest.raises(ConfigurationError, match=HOOK):
        load()


@pytest.mark.parametrize("listen", ["127.0.0.1", "8443", "host:port", "a b:80"])
def test_a_webhook_listens_on_host_and_port(listen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LISTEN, listen)
    with pytest.raises(ConfigurationError, match=LISTEN):
        load()
