"""What people send, fetched from Telegram. The address holds the token: nobody may see it."""

import asyncio

import httpx
from telegram import File

from core.errors import DeliveryError, Fault

__all__ = ["download"]

TIMEOUT = httpx.Timeout(30.0, connect=10.0)
LONGEST = 120.0  # seconds for all of it: bytes that come one by one are no download


async def download(file: File, most: int) -> bytes:
    """The content of `file`, of `most` bytes at most. Raises `DeliveryError`."""
    if (file.file_size or 0) > most:
        raise _too_large()
    if not (file.file_path or "").startswith(("http://", "https://")):
        raise DeliveryError("Telegram does not hand out the file", Fault.GONE)
    content = bytearray()
    try:
        async with (
            asyncio.timeout(LONGEST),
            httpx.AsyncClient(timeout=TIMEOUT) as client,
            client.stream("GET", str(file.file_path)) as answer,
        ):
            if answer.status_code != 200:
                raise _refused(answer.status_code)
            async for piece in answer.aiter_bytes():
                content += piece
                if len(content) > most:
                    raise _too_large()
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
        # Without its cause: the words of it can name the address.
        raise DeliveryError("The connection to Telegram broke off", Fault.TRANSIENT) from None
    return bytes(content)


def _too_large() -> DeliveryError:
    return DeliveryError("The file is too large", Fault.REJECTED)


def _refused(status: int) -> DeliveryError:
    fault = Fault.TRANSIENT if status >= 500 else Fault.GONE
    return DeliveryError(f"Telegram answered with status {status}", fault)
