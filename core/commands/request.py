"""A command as it was given, and how to write what comes from people."""

from dataclasses import dataclass

from core.conversation.preferences import Preferences
from core.port import Capabilities, Incoming
from core.scopes import Scope, ScopeKind

__all__ = ["CommandRequest", "escape_markdown", "pluralize", "progress_bar"]

SPECIAL_CHARS = "\\`*_]<>#~|$!&"
"""Not brackets that open and no round ones: with a backslash they begin and end formulas."""
SCOPE_LABELS = {
    ScopeKind.THREAD: "this thread",
    ScopeKind.CHAT: "this chat",
    ScopeKind.PERSON: "you, everywhere",
    ScopeKind.SERVER: "this server",
}
BAR_WIDTH_CHARS = 12  # characters of a bar


@dataclass(frozen=True, slots=True)
class CommandRequest:
    incoming: Incoming
    turn_id: int
    conversation_id: int
    choices: Preferences
    capabilities: Capabilities

    @property
    def argument(self) -> str:
        return self.incoming.text.strip()

    @property
    def sender_name(self) -> str:
        """Who chooses, as it is kept with the choice."""
        return self.incoming.sender.name[:100]


def scope_label(scope: Scope) -> str:
    return SCOPE_LABELS[scope.kind]


def escape_markdown(text: str) -> str:
    """Somebody's text inside Markdown, as it is."""
    return "".join(f"\\{c}" if c in SPECIAL_CHARS else c for c in text)


def pluralize(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


def progress_bar(share: float, width: int = BAR_WIDTH_CHARS) -> str:
    """A bar of `width` characters, filled by `share` (0 to 1); anything used shows."""
    filled = min(width, max(int(share > 0), round(share * width)))
    return "█" * filled + "░" * (width - filled)
