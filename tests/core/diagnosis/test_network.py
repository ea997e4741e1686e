"""Proxies that do not answer and a wrong clock are reported."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from core.diagnosis.finding import Finding, Severity
from core.diagnosis.network import check_clock, check_proxies_answer
from core.timings import Timings
from tests.clock import FixedTimeClock
from tests.ports import free_port

NOW = 1_700_000_000.0
PROXY_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
ADVICE = "Synchronise it with NTP. Daily quotas and TLS certificates depend on it."


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@asynccontextmanager
async def server(*headers: str) -> AsyncIterator[int]:
    """The port of a server that answers every request with these headers."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        head = ["HTTP/1.1 302 Found", "Location: http://127.0.0.1:1/", "Content-Length: 0", *headers, "", ""]
        writer.write("\r\n".join(head).encode())
        writer.close()

    started = await asyncio.start_server(answer, "127.0.0.1")
    try:
        yield started.sockets[0].getsockname()[1]
    finally:
        started.close()


async def check_clock_against(*headers: str) -> list[Finding]:
    async with server(*headers) as port:
        return await check_clock(f"http://127.0.0.1:{port}", Timings(clock=FixedTimeClock(NOW)))


def date_header(offset: int) -> str:
    return f"Date: {format_datetime(datetime.fromtimestamp(NOW + offset, UTC), usegmt=True)}"


async def test_no_proxy_is_no_finding() -> None:
    assert await check_proxies_answer() == []


async def test_each_proxy_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = free_port()
    async with server() as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:hunter2@127.0.0.1:{port}")
        monkeypatch.setenv("http_proxy", f"http://user:hunter2@127.0.0.1:{closed}")
        findings = await check_proxies_answer()
    advice = "Start the proxy, correct http_proxy, or unset it if this machine needs none."
    text = f"http_proxy: 127.0.0.1:{closed} cannot be reached."
    assert findings == [
        Finding("network.proxy", Severity.OK, f"HTTPS_PROXY: 127.0.0.1:{port} accepts connections."),
        Finding("network.proxy", Severity.ERROR, text, advice),
    ]


@pytest.mark.parametrize(("proxy", "address"), [("http://127.0.0.1", ":80 "), ("https://127.0.0.1", ":443 ")])
async def test_port_follows_from_the_scheme(monkeypatch: pytest.MonkeyPatch, proxy: str, address: str) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    (finding,) = await check_proxies_answer()
    assert finding.text.startswith(f"ALL_PROXY: 127.0.0.1{address}")


@pytest.mark.parametrize("offset", [0, 60, -60])
async def test_difference_of_a_minute_is_right(offset: int) -> None:
    text = "This machine's clock is right."
    assert await check_clock_against(date_header(offset)) == [Finding("machine.clock", Severity.OK, text)]


@pytest.mark.parametrize(
    ("offset", "words"), [(-61, "61 seconds fast"), (61, "61 seconds slow"), (7_200, "7,200 seconds slow")]
)
async def test_wrong_clock_is_a_warning(offset: int, words: str) -> None:
    text = f"This machine's clock is {words}."
    assert await check_clock_against(date_header(offset)) == [Finding("machine.clock", Severity.WARNING, text, ADVICE)]


@pytest.mark.parametrize("headers", [[], ["Date: yesterday"]])
async def test_server_that_does_not_tell_the_time_is_no_finding(headers: list[str]) -> None:
    assert await check_clock_against(*headers) == []


async def test_dead_server_is_no_finding() -> None:
    assert await check_clock(f"http://127.0.0.1:{free_port()}") == []
