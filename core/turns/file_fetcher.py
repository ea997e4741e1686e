"""Downloads what people send, with repeated attempts."""

from core.backoff import Backoff
from core.errors import RETRYABLE_DELIVERY_FAILURES, DeliveryError, DeliveryFailure, DocumentError, DocumentFailure
from core.memory.file_document import MAX_FILE_BYTES
from core.port import Attachment, SupportsFiles
from core.turns.claimed_turn import ClaimedTurn

MAX_FETCH_ATTEMPTS = 3


async def fetch_file(claimed: ClaimedTurn, attachment: Attachment) -> bytes:
    """Raises `DocumentError` for a file that is too large, and `DeliveryError`."""
    adapter, timings = claimed.adapter, claimed.timings
    if not isinstance(adapter, SupportsFiles):
        raise DeliveryError("This platform has no files", DeliveryFailure.REJECTED)
    if attachment.size > MAX_FILE_BYTES:
        raise DocumentError("The file is too large", DocumentFailure.TOO_LARGE)
    backoff = Backoff(timings.first_fetch_retry_delay, timings.max_fetch_retry_delay)
    for _ in range(MAX_FETCH_ATTEMPTS - 1):
        try:
            return await adapter.fetch(attachment, MAX_FILE_BYTES)
        except DeliveryError as error:
            delay = max(backoff.next_delay(), error.retry_after or 0.0)
            if error.failure not in RETRYABLE_DELIVERY_FAILURES or delay > timings.max_fetch_retry_delay:
                raise
        await timings.clock.sleep(delay)
    return await adapter.fetch(attachment, MAX_FILE_BYTES)
