"""The transaction that keeps an event and opens its turn."""

import re
from dataclasses import replace

from sqlalchemy import Connection

from core.buttons import ButtonAction, parse_action
from core.conversation.api_keys import Vault
from core.conversation.preferences import load_preferences
from core.port import EventKind, Incoming
from core.scopes import conversation_key, person_key
from core.settings import Settings
from core.store.inbound import AcceptResult, InboundLimits, accept_event

__all__ = ["encrypt_api_key", "is_question", "is_stop_request", "sanitise", "store_event"]

INVALID_CHARACTERS = re.compile("[\0\ud800-\udfff]")


def is_question(incoming: Incoming) -> bool:
    """Whether a model is to answer: such turns run one after another."""
    match incoming.kind:
        case EventKind.PROMPT:
            return True
        case EventKind.COMMAND:
            return incoming.command in ("ask", "retry")
        case EventKind.BUTTON:
            return _is_press(incoming, ButtonAction.RETRY, ButtonAction.CONTINUE)
        case EventKind.STOP | EventKind.MOVED:
            return False


def is_stop_request(incoming: Incoming) -> bool:
    """Whether the person wants the answer that is being written to end."""
    match incoming.kind:
        case EventKind.COMMAND:
            return incoming.command == "stop"
        case EventKind.BUTTON:
            return _is_press(incoming, ButtonAction.STOP)
        case EventKind.STOP:
            return True
        case EventKind.PROMPT | EventKind.MOVED:
            return False


def _is_press(incoming: Incoming, *actions: ButtonAction) -> bool:
    press = parse_action(incoming.text)
    return press is not None and press.action in actions


def sanitise(incoming: Incoming) -> Incoming:
    """`incoming` as every database and platform takes it: no zeros, no halves of characters."""
    sender = replace(incoming.sender, name=_sanitise_text(incoming.sender.name))
    attachments = tuple(replace(file, name=_sanitise_text(file.name)) for file in incoming.attachments)
    return replace(
        incoming,
        text=_sanitise_text(incoming.text),
        command=_sanitise_text(incoming.command),
        sender=sender,
        attachments=attachments,
    )


def _sanitise_text(text: str) -> str:
    return INVALID_CHARACTERS.sub("\ufffd", text)


def encrypt_api_key(incoming: Incoming, vault: Vault | None) -> Incoming:
    """`incoming` as it may be stored: a person's API key only encrypted."""
    api_key = incoming.text.strip()
    if incoming.command != "key" or api_key in ("", "remove"):
        return incoming
    return replace(incoming, text=vault.encrypt(api_key) if vault else "…")


def store_event(connection: Connection, incoming: Incoming, settings: Settings) -> AcceptResult:
    """Runs as one transaction; see `core.store.inbound.accept`."""
    choices = load_preferences(connection, incoming.place, incoming.sender, settings)
    limits = InboundLimits(settings.queue_length, settings.open_turns, settings.messages_a_minute)
    return accept_event(
        connection,
        incoming,
        conversation_key=conversation_key(incoming.place, incoming.sender, shared=choices.is_shared),
        person_key=person_key(incoming.sender),
        ordered=is_question(incoming),
        limits=InboundLimits() if is_stop_request(incoming) else limits,
    )
