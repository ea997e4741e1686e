"""Wait for a condition that nothing announces, such as a row that another process writes."""

import asyncio
from collections.abc import Awaitable, Callable


async def wait_until(
    condition: Callable[[], bool] | Callable[[], Awaitable[bool]],
    timeout_seconds: float = 10.0,
    *,
    interval_seconds: float = 0.02,
) -> None:
    """Check `condition` until it is true. Prefer an event where there is one. Raises `TimeoutError`."""
    async with asyncio.timeout(timeout_seconds):
        while True:
            result = condition()
            if result if isinstance(result, bool) else await result:
                return
            await asyncio.sleep(interval_seconds)
