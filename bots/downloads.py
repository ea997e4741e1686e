"""What the adapters' downloads have in common."""

from collections.abc import AsyncIterator

from core.errors import DeliveryError, DeliveryFailure
from core.i18n.translation import gettext_noop


def file_too_large() -> DeliveryError:
    return DeliveryError(gettext_noop("The file is too large"), DeliveryFailure.REJECTED)


async def read_limited(chunks: AsyncIterator[bytes], max_bytes: int) -> bytes:
    """Everything from `chunks`. Raises `DeliveryError` as soon as it exceeds `max_bytes`."""
    content = bytearray()
    async for chunk in chunks:
        content += chunk
        if len(content) > max_bytes:
            raise file_too_large()
    return bytes(content)
