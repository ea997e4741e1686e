"""The stand-in for Telegram: a Bot API server on loopback, as strict as the real one."""

from bots.sandbox.stand_in import ChatEvent, Fault, FaultKind
from bots.sandbox.telegram.limits import Limits
from bots.sandbox.telegram.server import ScriptedReply, TelegramStandIn
from bots.sandbox.telegram.state import Call, Chat, Message, User

__all__ = [
    "Call",
    "Chat",
    "ChatEvent",
    "Fault",
    "FaultKind",
    "Limits",
    "Message",
    "ScriptedReply",
    "TelegramStandIn",
    "User",
]
