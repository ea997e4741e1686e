"""A command as it was given, and how to write what comes from people."""

from dataclasses import dataclass

from core.conversation.choices import Choices
from core.port import Capabilities, Incoming

__all__ = ["Asking", "bar", "literal", "plural"]

SPECIAL = "\\`*_]<>#~|$!&"
"""Not brackets that open and no round ones: with a backslash they begin and end formulas."""
WIDTH = 12  # characters of a bar


@dataclass(frozen=True, slots=True)
class Asking:
    incoming: Incoming
    turn: int
    conversation: int
    choices: Choices
    may: Capabilities

    @property
    def argument(self) -> str:
        return self.incoming.text.strip()

    @property
    def by(self) -> str:
        """Who chooses, as it is kept with the choice."""
        return self.incoming.sender.name[:100]


def literal(text: str) -> str:
    """Somebody's text inside Markdown, as it is."""
    return "".join(f"\\{c}" if c in SPECIAL else c for c in text)


def plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


def bar(share: float, width: int = WIDTH) -> str:
    """A bar of `width` characters, filled by `share` (0 to 1); anything used shows."""
    full = min(width, max(int(share > 0), round(share * width)))
    return "█" * full + "░" * (width - full)
