"""Opens aiohttp sessions, which need much less processor time than the HTTP clients of the platforms' packages."""

import aiohttp
import httpx2

from core.proxies import find_proxy


def open_session(base_url: str, *, max_connections: int) -> aiohttp.ClientSession:
    """A session for requests to `base_url`, through its proxy if it has one. Needs a running event loop.

    It stores no cookies and has no time limits: those belong to each request.
    """
    # The certificates that every other connection trusts.
    tls = httpx2.create_ssl_context() if base_url.startswith("https:") else True
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=max_connections, ssl=tls),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        proxy=find_proxy(base_url),
    )
