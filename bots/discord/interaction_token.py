"""Encodes the data needed to answer an interaction as a string, which is stored with the turn."""

from dataclasses import dataclass
from enum import StrEnum

from bots.discord.errors import COMMAND_EXPIRED_TEXT
from core.errors import DeliveryError, DeliveryFailure

TOKEN_LIFETIME_SECONDS = 15 * 60
"""How long Discord accepts an interaction's token."""
EXPIRY_MARGIN_SECONDS = 5
"""A token is not used in its last seconds, because the request might arrive too late."""


class ResponseMode(StrEnum):
    """How an interaction is answered. The values are stored in databases."""

    CHANNEL = "post"
    """A command answered by normal messages in the channel."""
    PUBLIC = "reply"
    """A command answered through the interaction, visible to everybody."""
    EPHEMERAL = "quiet"
    """A command answered through the interaction, visible only to the person who used it."""
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
    """Whether the bot may write normal messages where the interaction happened."""
    message_id: str = ""
    """The message with the pressed button."""
    is_ephemeral: bool = False
    """Whether only one person sees that message; then only the interaction can edit it."""

    def encode(self) -> str:
        """The fields in order, separated by spaces. The order is stored in databases."""
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
        """Raises `DeliveryError` for a token that cannot be read."""
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
            raise DeliveryError(COMMAND_EXPIRED_TEXT, DeliveryFailure.GONE) from None

    @property
    def webhook_path(self) -> str:
        return f"/webhooks/{self.application_id}/{self.token}"

    def is_valid(self, now: float) -> bool:
        """Whether Discord still accepts the token; `now` in Unix seconds."""
        return now < self.expires_at - EXPIRY_MARGIN_SECONDS
