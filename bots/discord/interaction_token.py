"""The right to answer an interaction, as a string that outlives the process."""

import time
from dataclasses import dataclass
from enum import StrEnum

from core.errors import DeliveryError, DeliveryFailure

__all__ = ["TOKEN_LIFETIME_SECONDS", "InteractionToken", "ResponseMode"]

TOKEN_LIFETIME_SECONDS = 15 * 60
"""Seconds Discord keeps an interaction's token alive."""
EXPIRY_MARGIN_SECONDS = 5
"""Seconds before the end from which a token is not relied upon any more."""


class ResponseMode(StrEnum):
    CHANNEL = "post"
    """A command answered by normal messages in the channel."""
    PUBLIC = "reply"
    """A command answered through the interaction, for everybody to see."""
    EPHEMERAL = "quiet"
    """A command answered through the interaction, for the person who asked alone."""
    COMPONENT = "press"
    """A button or menu."""


@dataclass(frozen=True, slots=True)
class InteractionToken:
    mode: ResponseMode
    application_id: str
    interaction_id: str
    token: str
    expires_at: int
    """Unix seconds."""
    can_post: bool
    """The bot may write normal messages where the interaction came from."""
    message_id: str = ""
    """The message whose button was pressed."""
    is_ephemeral: bool = False
    """That message is for one person alone: only the interaction can change it."""

    def encode(self) -> str:
        return " ".join(
            (
                self.mode,
                self.application_id,
                self.interaction_id,
                self.token,
                str(self.expires_at),
                "1" if self.can_post else "0",
                self.message_id or "-",
                "1" if self.is_ephemeral else "0",
            )
        )

    @classmethod
    def decode(cls, text: str) -> "InteractionToken":
        try:
            mode, application, interaction, token, expires, can_post, message, ephemeral = text.split(" ")
            return cls(
                mode=ResponseMode(mode),
                application_id=application,
                interaction_id=interaction,
                token=token,
                expires_at=int(expires),
                can_post=can_post == "1",
                message_id="" if message == "-" else message,
                is_ephemeral=ephemeral == "1",
            )
        except ValueError:
            raise DeliveryError("This command cannot be answered any more.", DeliveryFailure.GONE) from None

    @property
    def webhook_path(self) -> str:
        return f"/webhooks/{self.application_id}/{self.token}"

    @property
    def is_valid(self) -> bool:
        return time.time() < self.expires_at - EXPIRY_MARGIN_SECONDS
