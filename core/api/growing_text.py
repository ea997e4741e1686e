"""Finds what is new in texts that are either pieces of an answer, or repeat it from its beginning.

"Hel", "lo"                    "Hel", "lo"
"Hel", "Hello", "Hello."       "Hel", "lo", "."
"Hel", "lo", "Hello"           "Hel", "lo", ""
"""

from dataclasses import dataclass

BEGINNING_CHARS = 1000


@dataclass(slots=True)
class GrowingText:
    chars: int = 0
    """Characters of the answer so far, without white space before it."""
    _beginning: str = ""

    def feed(self, text: str, *, is_last: bool) -> str:
        """What `text` adds. `is_last`: nothing follows, so a text that begins like the answer repeats it."""
        whole = text.lstrip()
        repeats = is_last or len(whole) >= self.chars
        if self.chars and repeats and whole.startswith(self._beginning.rstrip()):
            text = whole[self.chars :]
        elif not self.chars:
            text = whole
        self.chars += len(text)
        if len(self._beginning) < BEGINNING_CHARS:
            self._beginning += text[: BEGINNING_CHARS - len(self._beginning)]
        return text
