"""A message that the bot itself writes, not a model."""

from dataclasses import dataclass

from core.port import Button, MenuItem

__all__ = ["Reply"]


@dataclass(frozen=True, slots=True)
class Reply:
    text: str
    """Markdown; plain text if `is_collapsed`."""
    buttons: tuple[Button, ...] = ()
    menu: tuple[MenuItem, ...] = ()
    edits_message: bool = False
    """Replaces the message whose button was pressed."""
    is_collapsed: bool = False
    """Hidden until the person expands it: long, and interesting to few."""
