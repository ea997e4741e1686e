"""Discord's stand-in: REST and gateway on loopback, as strict as the real one."""

from bots.sandbox.discord.limits import Limits
from bots.sandbox.discord.scripting import ScriptedReply, SessionLimit
from bots.sandbox.discord.server import DiscordStandIn
from bots.sandbox.discord.state import (
    Call,
    Channel,
    ChatEvent,
    Fault,
    Guild,
    Interaction,
    Message,
    User,
)

__all__ = [
    "Call",
    "Channel",
    "ChatEvent",
    "DiscordStandIn",
    "Fault",
    "Guild",
    "Interaction",
    "Limits",
    "Message",
    "ScriptedReply",
    "SessionLimit",
    "User",
]
