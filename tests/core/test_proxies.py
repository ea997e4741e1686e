"""Which proxy a connection uses."""

import pytest

from core.errors import ConfigurationError
from core.proxies import PROXY_VARIABLES, check_proxies, find_proxy


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXY_VARIABLES, "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.telegram.org", "http://secure:1"),
        ("wss://gateway.discord.gg", "http://secure:1"),
        ("http://models.lan:8000/v1", "http://plain:2"),
        ("ws://gateway.lan", "http://plain:2"),
        ("https://api.example.org/v1", None),
        ("https://deep.in.example.org", None),
        ("https://notexample.org", "http://secure:1"),
        ("http://box:11434/v1", None),
        ("http://box:8080/v1", "http://plain:2"),
        ("http://localhost:11434/v1", None),
        ("http://127.8.0.1:1", None),
        ("http://[::1]:1", None),
    ],
)
def test_proxy_of_url(url: str, expected: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://secure:1")
    monkeypatch.setenv("http_proxy", " plain:2\r")
    monkeypatch.setenv("NO_PROXY", ".example.org, box:11434")
    check_proxies()
    assert find_proxy(url) == expected


def test_all_proxy_replaces_missing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://any:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://secure:2")
    assert find_proxy("http://models.lan") == find_proxy("ws://gateway.lan") == "http://any:1"
    assert find_proxy("https://models.lan") == "http://secure:2"


def test_no_proxy_can_mean_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://secure:1")
    monkeypatch.setenv("no_proxy", "*")
    assert find_proxy("https://api.telegram.org") is None


@pytest.mark.parametrize(
    ("url", "is_direct"),
    [
        ("http://10.1.2.3:8000/v1", True),
        ("https://10.255.255.255", True),
        ("wss://10.0.0.1", True),
        ("http://11.0.0.1", False),
        ("http://[fd00::7]:11434/v1", True),
        ("http://[fe80::7]", False),
        ("http://192.0.2.130", True),
        ("http://192.0.2.120", False),
        ("http://10.example.org", False),
    ],
)
def test_no_proxy_takes_networks(url: str, is_direct: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://any:1")
    monkeypatch.setenv("NO_PROXY", "example.net, 10.0.0.0/8,fd00::/8 , 192.0.2.129/25")
    check_proxies()
    assert (find_proxy(url) is None) == is_direct


@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
@pytest.mark.parametrize(
    "entry", ["10.0.0.0/33", "example.org/8", "http://example.org/", "10.0.0/8/8", '"localhost"', "a.example b.example"]
)
def test_malformed_entry_is_refused_by_name(variable: str, entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, f"example.net,{entry}")
    with pytest.raises(ConfigurationError) as raised:
        check_proxies()
    assert str(raised.value).startswith(f"{variable} ")
    assert entry in str(raised.value) or "commas" in str(raised.value)


@pytest.mark.parametrize("variable", [*PROXY_VARIABLES, "https_proxy"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("socks5://user:hidden@proxy:1080", "SOCKS"),
        ("socks5h://proxy:1080", "SOCKS"),
        ("socks4://proxy", "SOCKS"),
        ("ftp://proxy", "http://"),
        ('"http://proxy:3128"', "http://"),
        ("http://proxy:port", "URL"),
        ("http://", "http://"),
        ("http://user:hidden@proxy 1", "http://"),
    ],
)
def test_unusable_proxy_is_refused_by_name(
    variable: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as raised:
        check_proxies()
    assert str(raised.value).startswith(f"{variable} ")
    assert expected in str(raised.value)
    assert "hidden" not in str(raised.value)
