"""Which proxy a connection uses: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, in upper or lower case.

The HTTP libraries read these variables differently, or not at all. All connections therefore ask `find_proxy`.
"""

import ipaddress
import os
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]  # not in typeshed

from core.errors import ConfigurationError

PROXY_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
PROXY_SCHEMES = ("http", "https")
VARIABLE_SCHEMES = {"ws": "http", "wss": "https"}
"""A WebSocket begins as an HTTP request."""
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
DIRECT_TRANSPORTS = {"http://": None, "https://": None}


def find_proxy(url: str) -> str | None:
    """The URL of the proxy for `url`; None: connect directly. This machine's own addresses never use a proxy."""
    target = urlsplit(url)
    proxies = getproxies_environment()
    proxy = proxies.get(VARIABLE_SCHEMES.get(target.scheme, target.scheme)) or proxies.get("all")
    host = target.netloc.rpartition("@")[2]
    if not proxy or proxy_bypass_environment(host, proxies):
        return None
    address = _parse_address(target.hostname or "")
    if target.hostname == "localhost" or (address and (address.is_loopback or _is_bypassed(address, proxies))):
        return None
    return _normalise(proxy)


def configured_proxies() -> dict[str, str]:
    """The proxies of the environment by the name of their variable."""
    proxies: dict[str, str] = {}
    for variable in PROXY_VARIABLES:
        for name in (variable, variable.lower()):
            if value := os.environ.get(name, "").strip():
                proxies[name] = _normalise(value)
    return proxies


def httpx_options(url: str) -> dict[str, Any]:
    """Arguments of an httpx client for `url`, so that it uses the same proxy as all other connections."""
    proxy = find_proxy(url)
    return {"proxy": proxy} if proxy else {"mounts": DIRECT_TRANSPORTS}


def check_proxies() -> None:
    """Raises `ConfigurationError` if a variable cannot be used.

    Its text shows no address of a proxy, which may hold a password.
    """
    for name in PROXY_VARIABLES:
        for variable in (name, name.lower()):
            if value := os.environ.get(variable, "").strip():
                _check_proxy(variable, _normalise(value))
    for variable in ("NO_PROXY", "no_proxy"):
        _check_no_proxy(variable, os.environ.get(variable, ""))


def _check_proxy(variable: str, value: str) -> None:
    try:
        url = urlsplit(value)
        is_valid = bool(url.hostname) and url.port != 0 and value.isprintable() and not set(" \"'") & set(value)
    except ValueError:
        raise ConfigurationError(f"{variable} is not a valid URL. For example: {variable}=http://host:3128") from None
    if url.scheme.startswith("socks"):
        raise ConfigurationError(
            f"{variable} names a SOCKS proxy ({url.scheme}://), which Parley does not support. Use an HTTP proxy, "
            f"or put one in front of it. For example: {variable}=http://host:3128"
        )
    if not is_valid or url.scheme not in PROXY_SCHEMES:
        raise ConfigurationError(
            f"{variable} must be a URL that begins with http:// or https://. For example: {variable}=http://host:3128"
        )


def _normalise(proxy: str) -> str:
    proxy = proxy.strip()
    return proxy if "://" in proxy else f"http://{proxy}"


def _parse_address(host: str) -> Address | None:
    """None for a name, which is not looked up."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_bypassed(address: Address, proxies: dict[str, str]) -> bool:
    """Whether NO_PROXY names a network with `address`."""
    return any(address in ipaddress.ip_network(entry, strict=False) for entry in _networks(proxies.get("no", "")))


def _networks(no_proxy: str) -> list[str]:
    return [entry.strip() for entry in no_proxy.split(",") if "/" in entry]


def _check_no_proxy(variable: str, value: str) -> None:
    example = f"For example: {variable}=example.org,192.0.2.0/24"
    if any(set(entry.strip()) & set(" \t\"'") for entry in value.split(",")):
        raise ConfigurationError(f"{variable} must be hosts and networks with commas between them. {example}")
    for entry in _networks(value):
        try:
            ipaddress.ip_network(entry, strict=False)
        except ValueError:
            raise ConfigurationError(f"{variable} names no host and no network: {entry!r}. {example}") from None
