"""Telegram's stand-in: a Bot API server on loopback, as strict as the real one."""

from bots.sandbox.telegram.limits import Limits
from bots.sandbox.telegram.server import Call, Fault, TelegramStandIn
from bots.sandbox.telegram.world import Chat, Draft, Event, Message, Person

__all__ = [
    "Call",
    "Chat",
    "Draft",
    "Event",
    "Fault",
    "Limits",
    "Message",
    "Person",
    "TelegramStandIn",
]
