"""The stand-in for Discord: REST and the gateway on loopback, as strict as the real ones."""

from bots.sandbox.discord.limits import Limits
from bots.sandbox.discord.scripting import ScriptedReply, SessionLimit
from bots.sandbox.discord.server import DiscordStandIn
from bots.sandbox.discord.state import (
    Call,
    Channel,
    ChatEvent,
    Guild,
    Interaction,
    Message,
    User,
)
from bots.sandbox.stand_in import Fault, FaultKind

__all__ = [
    "Call",
    "Channel",
    "ChatEvent",
    "DiscordStandIn",
    "Fault",
    "FaultKind",
    "Guild",
    "Interaction",
    "Limits",
    "Message",
    "ScriptedReply",
    "SessionLimit",
    "User",
]
