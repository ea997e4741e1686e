"""Telegram's stand-in: a Bot API server on loopback, as strict as the real one."""

from bots.sandbox.telegram.limits import Bucket, Limits, Window
from bots.sandbox.telegram.people import Answer
from bots.sandbox.telegram.server import Call, Fault, TelegramStandIn
from bots.sandbox.telegram.world import Chat, Draft, Event, Message, Person

__all__ = [
    "Answer",
    "Bucket",
    "Call",
    "Chat",
    "Draft",
    "Event",
    "Fault",
    "Limits",
    "Message",
    "Person",
    "TelegramStandIn",
    "Window",
]
