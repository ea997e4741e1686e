"""Telegram's stand-in: a Bot API server on loopback, as strict as the real one."""

from bots.sandbox.telegram.client import CallbackAnswer
from bots.sandbox.telegram.limits import Limits, SlidingWindow, TokenBucket
from bots.sandbox.telegram.scripting import ScriptedReply
from bots.sandbox.telegram.server import TelegramStandIn
from bots.sandbox.telegram.state import Call, Chat, ChatEvent, Draft, Fault, Message, User

__all__ = [
    "Call",
    "CallbackAnswer",
    "Chat",
    "ChatEvent",
    "Draft",
    "Fault",
    "Limits",
    "Message",
    "ScriptedReply",
    "SlidingWindow",
    "TelegramStandIn",
    "TokenBucket",
    "User",
]
