"""The HTTP layer of python-telegram-bot, changed to preserve the status of server errors and log no content."""

import asyncio
import contextlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import httpx
import msgspec
from telegram import Bot, File
from telegram.error import NetworkError, TelegramError, TimedOut
from telegram.request import BaseRequest, RequestData

from bots.downloads import file_too_large, read_limited
from bots.telegram.errors import CONNECTION_LOST_TEXT, ServerError
from bots.telegram.timings import TelegramTimings
from bots.telegram.updates import sanitise_update
from core.errors import DeliveryError, DeliveryFailure
from core.http_session import open_session
from core.i18n.translation import gettext_noop
from core.proxies import httpx_options

JSON_HEADERS = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class _EncodedParameters:
    json: bytes


async def call_method(bot: Bot, method: str, parameters: Mapping[str, object]) -> Any:
    """The decoded result of a method of the Bot API; parameters that are None are left out. Raises `TelegramError`.

    For frequent requests: the library's objects for parameters and results cost several times as much as the request.
    """
    body = _EncodedParameters(
        msgspec.json.encode({key: value for key, value in parameters.items() if value is not None})
    )
    # The library hands the parameters to `do_request` and raises its exceptions.
    return await bot.request.post(f"{bot.base_url}/{method}", body)  # type: ignore[arg-type]


async def close_bot(bot: Bot) -> None:
    """Close the connections of `bot`.

    The library's `shutdown` leaves them open if `initialize` or `shutdown` itself was cancelled.
    """
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(bot.shutdown)
        for request in bot._request:  # noqa: SLF001 (there is no public way)
            stack.push_async_callback(request.shutdown)


class BotApiRequest(BaseRequest):
    """Requests to `api_base`. `read_timeout`: seconds until the next byte of a response."""

    def __init__(self, api_base: str, timings: TelegramTimings, *, read_timeout: float, max_connections: int) -> None:
        self._api_base = api_base
        self._connect_timeout = timings.connect_timeout
        self._read_timeout = read_timeout
        self._timeout = self._timeout_of(read_timeout)
        self._max_connections = max_connections
        self._session: aiohttp.ClientSession | None = None

    @property
    def read_timeout(self) -> float:
        return self._read_timeout

    async def initialize(self) -> None:
        if self._session is None or self._session.closed:
            self._session = open_session(self._api_base, max_connections=self._max_connections)

    async def shutdown(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def do_request(
        self,
        url: str,
        method: str,
        request_data: RequestData | _EncodedParameters | None = None,
        read_timeout: Any = BaseRequest.DEFAULT_NONE,
        write_timeout: Any = None,  # noqa: ARG002 (the library's signature)
        connect_timeout: Any = None,  # noqa: ARG002 (the library's signature)
        pool_timeout: Any = None,  # noqa: ARG002 (the library's signature)
    ) -> tuple[int, bytes]:
        """Of the time limits, only `read_timeout` counts: the library passes it for long polling."""
        if self._session is None or self._session.closed:
            raise RuntimeError("The client is closed")
        timeout = self._timeout if read_timeout is BaseRequest.DEFAULT_NONE else self._timeout_of(read_timeout)
        try:
            async with self._session.request(
                method, url, allow_redirects=False, timeout=timeout, **_body(request_data)
            ) as response:
                status, payload = response.status, await response.read()
        except TimeoutError as error:
            raise TimedOut from error
        except (aiohttp.ClientError, OSError) as error:
            # Some errors' texts contain the URL and thereby the token.
            raise NetworkError(type(error).__name__) from error
        if status >= 500:
            raise ServerError(status)
        return status, payload

    def _timeout_of(self, read_timeout: float | None) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(total=None, connect=self._connect_timeout, sock_read=read_timeout)

    @staticmethod
    def parse_json_payload(payload: bytes) -> dict[str, Any]:
        """Replaces the library's own parser, which logs payloads that it cannot parse."""
        try:
            response = json.loads(payload)
        except (ValueError, RecursionError):
            response = None
        if not isinstance(response, dict):
            raise TelegramError("Invalid server response") from None
        return response


def _body(request_data: RequestData | _EncodedParameters | None) -> dict[str, Any]:
    """The arguments of a request with these parameters: JSON, or a form if there are files."""
    if request_data is None:
        return {}
    if isinstance(request_data, _EncodedParameters):
        return {"data": request_data.json, "headers": JSON_HEADERS}
    if not request_data.contains_files:
        return {"data": msgspec.json.encode(request_data.parameters), "headers": JSON_HEADERS}
    form = aiohttp.FormData(request_data.json_parameters)
    for name, (filename, content, content_type) in request_data.multipart_data.items():
        # Bytes as a file object: aiohttp would send large ones in one piece.
        value = io.BytesIO(content) if isinstance(content, bytes) else content
        form.add_field(name, value, filename=filename, content_type=content_type)
    return {"data": form}


class PollingRequest(BotApiRequest):
    """For `getUpdates`: an update that the library cannot parse must not block the others."""

    @staticmethod
    def parse_json_payload(payload: bytes) -> dict[str, Any]:
        response = BotApiRequest.parse_json_payload(payload)
        updates = response.get("result")
        if isinstance(updates, list):
            sanitised = map(sanitise_update, updates)
            response["result"] = [update for update in sanitised if update is not None]
        return response


async def download(file: File, max_bytes: int, timings: TelegramTimings) -> bytes:
    """The content of `file`. Raises `DeliveryError`."""
    if (file.file_size or 0) > max_bytes:
        raise file_too_large()
    if not (file.file_path or "").startswith(("http://", "https://")):
        raise DeliveryError(gettext_noop("Telegram does not provide this file"), DeliveryFailure.GONE)
    timeout = httpx.Timeout(timings.read_timeout, connect=timings.connect_timeout)
    try:
        async with (
            asyncio.timeout(timings.download_timeout),
            httpx.AsyncClient(timeout=timeout, **httpx_options(str(file.file_path))) as client,
            client.stream("GET", str(file.file_path)) as response,
        ):
            if response.status_code != 200:
                failure = DeliveryFailure.TRANSIENT if response.status_code >= 500 else DeliveryFailure.GONE
                raise DeliveryError(f"Telegram answered with status {response.status_code}", failure)
            return await read_limited(response.aiter_bytes(), max_bytes)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
        # Without its cause, whose text may contain the URL.
        raise DeliveryError(CONNECTION_LOST_TEXT, DeliveryFailure.TRANSIENT) from None
