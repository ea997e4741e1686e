"""The right to answer an interaction, as a string that outlives the process."""

import time
from dataclasses import dataclass
from enum import StrEnum

from core.errors import DeliveryError, Fault

__all__ = ["LIFETIME", "Mode", "Ticket"]

LIFETIME = 15 * 60
"""Seconds Discord keeps an interaction's token alive."""
MARGIN = 5
"""Seconds before the end from which a token is not relied upon any more."""


class Mode(StrEnum):
    POST = "post"
    """A command answered by normal messages in the channel."""
    REPLY = "reply"
    """A command answered through the interaction, for everybody to see."""
    QUIET = "quiet"
    """A command answered through the interaction, for the person who asked alone."""
    PRESS = "press"
    """A button or menu."""


@dataclass(frozen=True, slots=True)
class Ticket:
    mode: Mode
    application: str
    interaction: str
    token: str
    expires: int
    """Unix seconds."""
    posts: bool
    """The bot may write normal messages where the interaction came from."""
    message: str = ""
    """The message whose button was pressed."""
    hidden: bool = False
    """That message is for one person alone: only the interaction can change it."""

    def encode(self) -> str:
        return " ".join(
            (
                self.mode,
                self.application,
                self.interaction,
                self.token,
                str(self.expires),
                "1" if self.posts else "0",
                self.message or "-",
                "1" if self.hidden else "0",
            )
        )

    @classmethod
    def decode(cls, text: str) -> "Ticket":
        try:
            mode, application, interaction, token, expires, posts, message, hidden = text.split(" ")
            return cls(
                mode=Mode(mode),
                application=application,
                interaction=interaction,
                token=token,
                expires=int(expires),
                posts=posts == "1",
                message="" if message == "-" else message,
                hidden=hidden == "1",
            )
        except ValueError:
            raise DeliveryError("This command cannot be answered any more.", Fault.GONE) from None

    @property
    def webhook(self) -> str:
        return f"/webhooks/{self.application}/{self.token}"

    @property
    def alive(self) -> bool:
        return time.time() < self.expires - MARGIN
