"""Prepares pictures in a separate process, and caches recent ones for follow-up questions."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from weakref import WeakValueDictionary

from core.api.images import MessageImage
from core.memory.file_reader import FileReader
from core.memory.images import MEDIA_TYPE

MAX_CACHED_BYTES = 32_000_000


class ImageReader:
    """`max_side` is the longest side that models get, in pixels."""

    def __init__(self, reader: FileReader, max_side: int) -> None:
        self._reader = reader
        self._max_side = max_side
        self._cache: OrderedDict[str, MessageImage] = OrderedDict()
        self._cached_bytes = 0
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """Each exists while its picture is being loaded."""

    async def load(self, key: str, fetch: Callable[[], Awaitable[bytes]], *, person: str) -> MessageImage:
        """The cached picture, or the one that `fetch` downloads. Raises `DocumentError` and what `fetch` does."""
        async with self._locks.setdefault(key, asyncio.Lock()):
            return self._cached(key) or await self.read(key, await fetch(), person=person)

    def _cached(self, key: str) -> MessageImage | None:
        image = self._cache.get(key)
        if image is not None:
            self._cache.move_to_end(key)
        return image

    async def read(self, key: str, content: bytes, *, person: str) -> MessageImage:
        """Prepare a picture that `person` sent. `key` identifies it. Raises `DocumentError`."""
        read = await self._reader.read_image(content, self._max_side, person=person)
        image = MessageImage(f"data:{MEDIA_TYPE};base64,{read.base64}", read.width, read.height)
        self._forget(key)
        self._cache[key] = image
        self._cached_bytes += len(image.data_url)
        while self._cached_bytes > MAX_CACHED_BYTES:
            self._forget(next(iter(self._cache)))
        return image

    def _forget(self, key: str) -> None:
        if (image := self._cache.pop(key, None)) is not None:
            self._cached_bytes -= len(image.data_url)
