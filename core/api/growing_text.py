"""Finds what is new in texts that are either pieces of an answer, or repeat it from its beginning.

"Hel", "lo"                    "Hel", "lo"
"Hel", "Hello", "Hello."       "Hel", "lo", "."
"Hel", "lo", "Hello"           "Hel", "lo", ""
"1", "1", "5"                  "1", "", "15"     a text that comes twice may be a piece: the next one shows it
"""

import re
from dataclasses import dataclass

BEGINNING_CHARS = 1000
WORD_PATTERN = re.compile(r"\S+")


@dataclass(slots=True)
class GrowingText:
    chars: int = 0
    """Characters of the answer so far, without white space before it."""
    _solid_chars: int = 0
    """Those that are no white space."""
    _beginning: str = ""
    _is_repeated: bool | None = None
    """Whether texts repeat the answer from its beginning; None if that is not known yet."""
    _withheld: str = ""
    """Texts that were equal to the answer so far, while it was not known whether they repeat it."""

    def feed(self, text: str, *, is_last: bool) -> str:
        """What `text` adds. `is_last`: nothing follows, so a text that begins like the answer repeats it."""
        if not self.chars:
            text = text.lstrip()
        elif text:
            text = self._find_new(text, is_last=is_last)
        self.add(text)
        return text

    def add(self, text: str) -> None:
        """Count `text`, a piece of the answer that came otherwise."""
        self.chars += len(text)
        self._solid_chars += sum(map(len, text.split()))
        if len(self._beginning) < BEGINNING_CHARS:
            self._beginning += text[: BEGINNING_CHARS - len(self._beginning)]

    def _find_new(self, text: str, *, is_last: bool) -> str:
        whole = text.lstrip()
        may_repeat = is_last or (self._is_repeated is not False and len(whole) >= self.chars)
        if may_repeat and whole.startswith(self._beginning.rstrip()):
            new = whole[self.chars :]
            if new:
                self._is_repeated, self._withheld = True, ""
            elif self._is_repeated is None and len(self._withheld) < BEGINNING_CHARS:
                self._withheld += text
            return new
        if is_last and _without_spaces(whole).startswith(_without_spaces(self._beginning)):
            return _skip(whole, self._solid_chars)
        if self._is_repeated is None:
            self._is_repeated = False
        text, self._withheld = self._withheld + text, ""
        return text


def _without_spaces(text: str) -> str:
    return "".join(text.split())


def _skip(text: str, solid_chars: int) -> str:
    """What follows the first `solid_chars` characters that are no white space."""
    for match in WORD_PATTERN.finditer(text):
        if solid_chars < len(match[0]):
            return text[match.start() + solid_chars :]
        solid_chars -= len(match[0])
    return ""
