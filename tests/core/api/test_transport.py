import asyncio
import datetime as dt
import ipaddress
import ssl
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from core.api.transport import BODY_EXTENSION, AiohttpTransport
from tests.core.api.raw_server import chunk, raw_server
from tests.waiting import wait_until

INCOMPLETE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n"


async def test_text_that_arrived_before_the_connection_broke_off_is_read() -> None:
    text = chunk(content="Hello")
    async with raw_server(lambda _: [INCOMPLETE_HEAD, text]) as server:
        transport = AiohttpTransport(server.url, connect_timeout=5)
        response = await transport.handle_async_request(httpx2.Request("POST", server.url))
        body: Any = response.extensions[BODY_EXTENSION]
        content = body._response.content
        await wait_until(lambda: content.exception() is not None)
        assert await body.read() == text
        with pytest.raises(httpx2.ReadError):
            await body.read()
        await body.aclose()
        await transport.aclose()


async def test_request_after_the_end_opens_no_connection() -> None:
    async with raw_server(lambda _: [INCOMPLETE_HEAD]) as server:
        transport = AiohttpTransport(server.url, connect_timeout=5)
        await transport.aclose()
        with pytest.raises(httpx2.ConnectError):
            await transport.handle_async_request(httpx2.Request("POST", server.url))


def create_certificate(folder: Path) -> ssl.SSLContext:
    """For a server on this machine. Clients trust `certificate.pem`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - dt.timedelta(days=1))
    builder = builder.not_valid_after(now + dt.timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=True)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "certificate.pem").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context


async def read_with_pause(tls: ssl.SSLContext) -> bytes:
    """Read a stream that ends without a `close_notify` while it is paused."""
    is_paused = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\nfirst, ")
        await is_paused.wait()
        writer.write(b"last")
        await writer.drain()
        writer.transport.abort()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        transport = AiohttpTransport(url, connect_timeout=5)
        response = await transport.handle_async_request(httpx2.Request("GET", url))
        body: Any = response.extensions[BODY_EXTENSION]
        text: bytes = await body.read()
        with body.paused():
            is_paused.set()
            await wait_until(body._response.content.is_eof)
        while rest := await body.read():
            text += rest
        await body.aclose()
        await transport.aclose()
    return text


def test_text_that_arrives_in_a_pause_is_read_after_an_abrupt_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uvloop = pytest.importorskip("uvloop")
    tls = create_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(read_with_pause(tls)) == b"first, last"
