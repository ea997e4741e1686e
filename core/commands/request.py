"""A command, with everything its handler needs to know about the person and the place."""

from dataclasses import dataclass

from core.conversation.preferences import Preferences
from core.port import Capabilities, Incoming

__all__ = ["CommandRequest"]

MAX_SET_BY_CHARS = 100


@dataclass(frozen=True, slots=True)
class CommandRequest:
    incoming: Incoming
    turn_id: int
    conversation_id: int
    preferences: Preferences
    capabilities: Capabilities
    reads_files: bool = False
    """Whether the adapter can fetch files."""

    @property
    def argument(self) -> str:
        return self.incoming.text.strip()

    @property
    def set_by(self) -> str:
        """The sender's name, as it is stored with a preference."""
        return self.incoming.sender.name[:MAX_SET_BY_CHARS]
