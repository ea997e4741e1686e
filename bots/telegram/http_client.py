"""The HTTP layer of python-telegram-bot, changed to preserve the status of server errors and log no content."""

import asyncio
import json
from typing import Any

import httpx
from telegram import File
from telegram.error import TelegramError
from telegram.request import HTTPXRequest

from bots.downloads import file_too_large, read_limited
from bots.telegram.errors import CONNECTION_LOST_TEXT, ServerError
from bots.telegram.receiving import sanitise_update
from bots.telegram.timings import TelegramTimings
from core.errors import DeliveryError, DeliveryFailure
from core.proxies import httpx_options


class BotApiRequest(HTTPXRequest):
    async def do_request(self, *args: Any, **options: Any) -> tuple[int, bytes]:
        status, payload = await super().do_request(*args, **options)
        if status >= 500:
            raise ServerError(status)
        return status, payload

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
        raise DeliveryError("Telegram does not provide this file", DeliveryFailure.GONE)
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
