"""Downloads of files that people send."""

from collections.abc import AsyncIterator

import pytest

from bots.downloads import read_limited
from core.errors import DeliveryError, DeliveryFailure


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_largest_file_is_whole() -> None:
    assert await read_limited(chunks(b"abc", b"", b"def"), 6) == b"abcdef"


async def test_larger_file_ends_the_download() -> None:
    rest = chunks(b"abc", b"defg", b"never read")
    with pytest.raises(DeliveryError) as refusal:
        await read_limited(rest, 6)
    assert refusal.value.failure is DeliveryFailure.REJECTED
    assert [part async for part in rest] == [b"never read"]
