"""Sends the openai package's requests through aiohttp, whose parser is written in C.

The package's own transport needs more than twice the processor time for a stream. A stream's body is also in the
response's extensions (`BODY_EXTENSION`), so that a reader can skip the layers that httpx2 adds.
"""

import contextlib
from collections.abc import AsyncIterator, Iterator

import aiohttp
import httpx2
from yarl import URL

from core.http_session import open_session

BODY_EXTENSION = "aiohttp_body"
MAX_CONNECTIONS = 1000


class AiohttpTransport(httpx2.AsyncBaseTransport):
    """For requests to `base_url`. Time limits for reading belong to the caller; `connect_timeout` is in seconds."""

    def __init__(self, base_url: str, *, connect_timeout: float) -> None:
        self._base_url = base_url
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout)
        self._session: aiohttp.ClientSession | None = None
        self._is_closed = False

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self._is_closed:  # while the request was on its way here: nobody would close the session
            raise httpx2.ConnectError("The client is closed")
        if self._session is None:
            self._session = open_session(self._base_url, max_connections=MAX_CONNECTIONS)
        with _translate_errors():
            response = await self._session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers.multi_items(),
                data=await request.aread() or None,
                allow_redirects=False,
                auto_decompress=False,  # httpx2 does
                timeout=self._timeout,
            )
        body = ResponseBody(response)
        return httpx2.Response(
            response.status, headers=response.raw_headers, stream=body, extensions={BODY_EXTENSION: body}
        )

    async def aclose(self) -> None:
        self._is_closed = True
        if self._session is not None:
            await self._session.close()


class ResponseBody(httpx2.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def read(self) -> bytes:
        """All bytes that have arrived, at least one; empty at the end. Raises `httpx2.TransportError`."""
        content = self._response.content
        # After a failure, `readany` would not return what had arrived before.
        if content.exception() is not None and (rest := content._read_nowait(-1)):  # noqa: SLF001
            return rest
        with _translate_errors():
            return await content.readany()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Receive nothing until the block ends: what arrives meanwhile is then received at once.

        A connection with TLS receives on: uvloop loses what a paused one received before the other end closed it
        without a `close_notify`.
        """
        connection = self._response.connection
        transport = connection.transport if connection is not None else None
        if transport is None or transport.is_closing() or transport.get_extra_info("ssl_object") is not None:
            yield
            return
        transport.pause_reading()
        try:
            yield
        finally:
            if not transport.is_closing():
                transport.resume_reading()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await self.read():
            yield chunk

    async def aclose(self) -> None:
        """Close the connection, or keep it for the next request if the body was read to its end."""
        self._response.close()


@contextlib.contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError) as error:
        raise httpx2.ProxyError(str(error)) from error
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx2.ConnectTimeout(str(error)) from error
    except aiohttp.ClientConnectorError as error:
        raise httpx2.ConnectError(str(error)) from error
    except aiohttp.ClientResponseError as error:
        raise httpx2.RemoteProtocolError(error.message) from error
    except aiohttp.InvalidURL as error:
        raise httpx2.UnsupportedProtocol(str(error)) from error
    except (aiohttp.ClientError, OSError) as error:
        raise httpx2.ReadError(str(error)) from error
