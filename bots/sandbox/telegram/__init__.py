"""The stand-in for Telegram: a Bot API server on loopback, as strict as the real one."""

from bots.sandbox.stand_in import Fault, FaultKind
from bots.sandbox.telegram.client import CallbackAnswer
from bots.sandbox.telegram.limits import Limits, SlidingWindow, TokenBucket
from bots.sandbox.telegram.scripting import ScriptedReply
from bots.sandbox.telegram.server import TelegramStandIn
from bots.sandbox.telegram.state import Call, Chat, ChatEvent, Draft, Message, User

__all__ = [
    "Call",
    "CallbackAnswer",
    "Chat",
    "ChatEvent",
    "Draft",
    "Fault",
    "FaultKind",
    "Limits",
    "Message",
    "ScriptedReply",
    "SlidingWindow",
    "TelegramStandIn",
    "TokenBucket",
    "User",
]
