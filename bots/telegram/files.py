"""Downloads files. A file's URL contains the bot's token and must not appear in logs or errors."""

import asyncio

import httpx
from telegram import File

from bots.downloads import file_too_large, read_limited
from bots.telegram.errors import CONNECTION_LOST_TEXT
from bots.telegram.timings import TelegramTimings
from core.errors import DeliveryError, DeliveryFailure


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
            httpx.AsyncClient(timeout=timeout) as client,
            client.stream("GET", str(file.file_path)) as response,
        ):
            if response.status_code != 200:
                raise _status_error(response.status_code)
            return await read_limited(response.aiter_bytes(), max_bytes)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
        # Without its cause, whose text may contain the URL.
        raise DeliveryError(CONNECTION_LOST_TEXT, DeliveryFailure.TRANSIENT) from None


def _status_error(status: int) -> DeliveryError:
    failure = DeliveryFailure.TRANSIENT if status >= 500 else DeliveryFailure.GONE
    return DeliveryError(f"Telegram answered with status {status}", failure)
