"""What people send, fetched from Telegram. The address holds the token: nobody may see it."""

import asyncio

import httpx
from telegram import File

from core.errors import DeliveryError, DeliveryFailure

__all__ = ["download"]

HTTP_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
DOWNLOAD_TIMEOUT_SECONDS = 120.0  # seconds for all of it: bytes that come one by one are no download


async def download(file: File, max_bytes: int) -> bytes:
    """The content of `file`, of `most` bytes at most. Raises `DeliveryError`."""
    if (file.file_size or 0) > max_bytes:
        raise _too_large()
    if not (file.file_path or "").startswith(("http://", "https://")):
        raise DeliveryError("Telegram does not hand out the file", DeliveryFailure.GONE)
    content = bytearray()
    try:
        async with (
            asyncio.timeout(DOWNLOAD_TIMEOUT_SECONDS),
            httpx.AsyncClient(timeout=HTTP_TIMEOUT) as client,
            client.stream("GET", str(file.file_path)) as response,
        ):
            if response.status_code != 200:
                raise _status_error(response.status_code)
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > max_bytes:
                    raise _too_large()
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
        # Without its cause: the words of it can name the address.
        raise DeliveryError("The connection to Telegram broke off", DeliveryFailure.TRANSIENT) from None
    return bytes(content)


def _too_large() -> DeliveryError:
    return DeliveryError("The file is too large", DeliveryFailure.REJECTED)


def _status_error(status: int) -> DeliveryError:
    failure = DeliveryFailure.TRANSIENT if status >= 500 else DeliveryFailure.GONE
    return DeliveryError(f"Telegram answered with status {status}", failure)
