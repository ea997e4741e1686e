"""The stand-in for Discord: REST and the gateway on loopback, as strict as the real ones."""

from bots.sandbox.discord.gateway import ScriptedReply
from bots.sandbox.discord.limits import Limits
from bots.sandbox.discord.server import DiscordStandIn
from bots.sandbox.discord.state import Call, Channel, Interaction, Message, User
from bots.sandbox.stand_in import Fault, FaultKind

__all__ = [
    "Call",
    "Channel",
    "DiscordStandIn",
    "Fault",
    "FaultKind",
    "Interaction",
    "Limits",
    "Message",
    "ScriptedReply",
    "User",
]
