"""Splits an answer that may take only some messages. The rest of a longer one is not split at all.

With 2 messages of 10 characters each:

    update("Hi. You are here")             ->  "Hi. You", "are here"    complete
    update("Hi. You are here. I am, too")  ->  "Hi. You", "are here."   incomplete, and so it stays
"""

from dataclasses import dataclass

from core.delivery.splitter import Splitter
from core.markdown.document import Document
from core.port import Dialect, Part

STEP_RATIO = 2
"""Characters of source per unit of a message's limit that are split at once."""
NOTE_RESERVE = 1000
"""The room, in a dialect's unit, for what is written under an answer that has one message."""


@dataclass(frozen=True, slots=True)
class OneMessageDialect:
    """A dialect for an answer that has only one message: leaves room for a note under it."""

    dialect: Dialect

    @property
    def limit(self) -> int:
        return self.dialect.limit - NOTE_RESERVE

    def render(self, document: Document) -> Part:
        return self.dialect.render(document)

    def size(self, part: Part) -> int:
        return self.dialect.size(part)


def scale_max_parts(messages: int | None, plain: Dialect, dialect: Dialect) -> int | None:
    """How many parts of `dialect` hold about as much text as `messages` parts of `plain`."""
    return None if messages is None else max(1, round(messages * plain.limit / dialect.limit))


@dataclass(frozen=True, slots=True)
class FirstParts:
    parts: tuple[Part, ...]
    is_complete: bool
    """Whether they show the whole text. If not, none of them changes when the text grows."""


class CappedSplitter:
    """`max_parts`: None for no limit."""

    def __init__(self, dialect: Dialect, max_parts: int | None) -> None:
        self.dialect = dialect
        self.splitter = Splitter(dialect)
        self.max_parts = max_parts
        self._step = dialect.limit * STEP_RATIO
        self._end = 0
        self._full_text = ""
        """The beginning of the text that has too many parts."""
        self._first_parts: tuple[Part, ...] = ()

    async def update_async(self, text: str, *, is_growing: bool = False) -> FirstParts:
        """The first parts of `text`, the whole text so far. Starts again if it does not continue the previous text.

        `is_growing`: see `Splitter.update`.
        """
        if self.max_parts is None:
            return FirstParts(await self.splitter.update_async(text, is_growing=is_growing), is_complete=True)
        if self._full_text and text.startswith(self._full_text):
            return FirstParts(self._first_parts, is_complete=False)
        self._full_text = ""
        while True:
            self._end = min(self._end + self._step, len(text))
            has_more = is_growing or self._end < len(text)
            parts = await self.splitter.update_async(text[: self._end], is_growing=has_more)
            if len(parts) > self.max_parts:
                self._full_text, self._first_parts = text[: self._end], parts[: self.max_parts]
                return FirstParts(self._first_parts, is_complete=False)
            if self._end == len(text):
                return FirstParts(parts, is_complete=True)
