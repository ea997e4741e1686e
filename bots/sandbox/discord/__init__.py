"""Discord's stand-in: REST and gateway on loopback, as strict as the real one."""

from bots.sandbox.discord.limits import Limits
from bots.sandbox.discord.server import DiscordStandIn
from bots.sandbox.discord.world import (
    Call,
    Channel,
    Event,
    Fault,
    Guild,
    Interaction,
    Message,
    Person,
)

__all__ = [
    "Call",
    "Channel",
    "DiscordStandIn",
    "Event",
    "Fault",
    "Guild",
    "Interaction",
    "Limits",
    "Message",
    "Person",
]
