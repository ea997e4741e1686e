"""Opens aiohttp sessions, which need much less processor time than the HTTP clients of the platforms' packages."""

import os
import ssl
from functools import lru_cache

import aiohttp
import httpx2

from core.proxies import find_proxy


def open_session(base_url: str, *, max_connections: int) -> aiohttp.ClientSession:
    """A session for requests to `base_url`, through its proxy if it has one. Needs a running event loop.

    It stores no cookies and has no time limits: those belong to each request.
    """
    tls = _trusted_certificates() if base_url.startswith("https:") else True
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=max_connections, ssl=tls),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        proxy=find_proxy(base_url),
    )


def _trusted_certificates() -> ssl.SSLContext:
    """What every other connection trusts."""
    return _load_certificates(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@lru_cache(maxsize=1)
def _load_certificates(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    """All sessions share them, because they take almost a megabyte."""
    return httpx2.create_ssl_context()  # which reads these variables
