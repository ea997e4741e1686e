"""Checks this machine's proxies and clock."""

import asyncio
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import aiohttp

from core.diagnosis.finding import Finding, error, ok, warning
from core.http_session import open_session
from core.proxies import configured_proxies
from core.timings import Timings

CONNECT_TIMEOUT = 10.0
MAX_CLOCK_DIFFERENCE = 60.0
DEFAULT_PORTS = {"http": 80, "https": 443}


async def check_proxies_answer() -> list[Finding]:
    """Whether the proxies of the environment accept connections. Their passwords are not shown."""
    findings: list[Finding] = []
    for variable, proxy in configured_proxies().items():
        url = urlsplit(proxy)
        host, port = url.hostname or "", url.port or DEFAULT_PORTS[url.scheme]
        if await _accepts_connections(host, port):
            findings.append(ok("network.proxy", f"{variable}: {host}:{port} accepts connections."))
        else:
            advice = f"Start the proxy, correct {variable}, or unset it if this machine needs none."
            findings.append(error("network.proxy", f"{variable}: {host}:{port} cannot be reached.", advice))
    return findings


async def _accepts_connections(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def check_clock(base_url: str, timings: Timings = Timings()) -> list[Finding]:
    """Compares this machine's clock with that of the server at `base_url`. No finding if it does not tell its time."""
    try:
        async with (
            asyncio.timeout(CONNECT_TIMEOUT),
            open_session(base_url, max_connections=1) as session,
            session.get(base_url, allow_redirects=False) as response,
        ):
            server_time = parsedate_to_datetime(response.headers["Date"]).timestamp()
    except (aiohttp.ClientError, OSError, TimeoutError, KeyError, ValueError):
        return []
    difference = timings.clock.time() - server_time
    if abs(difference) <= MAX_CLOCK_DIFFERENCE:
        return [ok("machine.clock", "This machine's clock is right.")]
    text = f"This machine's clock is {abs(difference):,.0f} seconds {'fast' if difference > 0 else 'slow'}."
    return [warning("machine.clock", text, "Synchronise it with NTP. Daily quotas and TLS certificates depend on it.")]
