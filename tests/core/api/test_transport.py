from typing import Any

import httpx2
import pytest

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
