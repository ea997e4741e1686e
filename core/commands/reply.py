"""What the bot says itself."""

from dataclasses import dataclass

from core.port import Button, MenuItem

__all__ = ["Reply"]


@dataclass(frozen=True, slots=True)
class Reply:
    """Markdown, and what can be pressed under it. `replace` edits the message with the button.

    `folded`: `text` is no Markdown, long, and of interest to few.
    """

    text: str
    buttons: tuple[Button, ...] = ()
    menu: tuple[MenuItem, ...] = ()
    edits_message: bool = False
    is_collapsed: bool = False
