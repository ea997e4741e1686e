"""Thoughts written into the answer as `<think>...</think>`: told apart while they stream.

Tags may be split anywhere, the opening one missing (the model's template wrote it) or the closing
one. An opening tag counts only where the answer begins, so that a text about tags stays whole. A
closing tag without an opening one makes all before it thought (`Reconsidered`), of models that
are known to think: of others it is part of what they say.
"""

import re
from dataclasses import dataclass
from typing import TypeAlias

from core.api.events import Reasoning, Reconsidered, Text

__all__ = ["Thoughts"]

Piece: TypeAlias = Reasoning | Reconsidered | Text

OPENING = ("<think>", "<thinking>", "<thought>")
CLOSING = re.compile(r"</(?:think|thinking|thought)>")
LONGEST = len("</thinking>")


@dataclass(slots=True)
class Thoughts:
    reasons: bool = False
    _inside: bool = False
    _opened: bool = False
    _begun: bool = False
    """Some text of the answer was given out."""
    _held: str = ""

    def feed(self, piece: str) -> list[Piece]:
        self._held += piece
        out: list[Piece] = []
        if not self._begun and not self._inside:
            start = self._held.lstrip()
            tag = next((tag for tag in OPENING if start.startswith(tag)), None)
            if tag is not None:
                self._inside = self._opened = True
                self._held = start[len(tag) :]
            elif any(tag.startswith(start) for tag in OPENING):
                self._held = start  # an answer begins with its first word
                return out  # nothing, or the beginning of a tag
        if self._inside:
            found = CLOSING.search(self._held)
            if found is None:
                keep = _partial(self._held)
                thought = self._held[: len(self._held) - keep]
                self._held = self._held[len(thought) :]
                if thought:
                    out.append(Reasoning(thought))
                return out
            if found.start():
                out.append(Reasoning(self._held[: found.start()]))
            self._held = self._held[found.end() :]
            self._inside = False
        if not self._begun:
            # A closing tag whose opening one the template wrote.
            stray = CLOSING.match(self._held.lstrip())
            if stray is not None:
                self._held = self._held.lstrip()[stray.end() :]
            self._held = self._held.lstrip()
        return out + self._said()

    def _said(self) -> list[Piece]:
        """What is held, as far as it is certain what it is."""
        text, kept, out = self._held, 0, list[Piece]()
        if self.reasons and not self._opened:
            found = CLOSING.search(text)
            if found is not None:
                self._opened = True
                out = [Text(text[: found.start()]), Reconsidered()]
                text = text[found.end() :].lstrip()
                self._begun = bool(text)
            else:
                kept = _partial(text)
        self._held = text[len(text) - kept :]
        if shown := text[: len(text) - kept]:
            self._begun = True
            out.append(Text(shown))
        return out

    def end(self) -> list[Piece]:
        """The rest, when the stream is over."""
        held, self._held = self._held, ""
        if not held.strip() and not self._begun:
            return []
        return [Reasoning(held) if self._inside else Text(held)] if held else []


def _partial(text: str) -> int:
    """How many characters at the end may be the beginning of a closing tag."""
    start = text.rfind("<", max(0, len(text) - LONGEST))
    if start < 0:
        return 0
    tail = text[start:]
    closing = ("</think>", "</thinking>", "</thought>")
    return len(tail) if any(tag.startswith(tail) for tag in closing) else 0
