"""The transaction that keeps an event and opens its turn."""

import re
from dataclasses import replace

from sqlalchemy import Connection

from core.conversation.accounts import Vault
from core.conversation.choices import read_choices
from core.conversation.scope import conversation_key, person_key
from core.port import Incoming, Kind
from core.settings import Settings
from core.store.accepting import Accepted, Bounds, accept

__all__ = ["asks", "cleaned", "keep", "sealed", "stops"]

IMPOSSIBLE = re.compile("[\0\ud800-\udfff]")


def asks(incoming: Incoming) -> bool:
    """Whether a model is to answer: such turns run one after another."""
    match incoming.kind:
        case Kind.PROMPT:
            return True
        case Kind.COMMAND:
            return incoming.command in ("ask", "retry")
        case Kind.BUTTON:
            return incoming.text.startswith(("retry:", "more:"))
        case Kind.STOP | Kind.MOVED:
            return False


def stops(incoming: Incoming) -> bool:
    """Whether the person wants the answer that is being written to end."""
    match incoming.kind:
        case Kind.COMMAND:
            return incoming.command == "stop"
        case Kind.BUTTON:
            return incoming.text.startswith("stop:")
        case Kind.STOP:
            return True
        case Kind.PROMPT | Kind.MOVED:
            return False


def cleaned(incoming: Incoming) -> Incoming:
    """`incoming` as every database and platform takes it: no zeros, no halves of characters."""
    sender = replace(incoming.sender, name=_clean(incoming.sender.name))
    attachments = tuple(
        replace(one, name=_clean(one.name), media_type=_clean(one.media_type))
        for one in incoming.attachments
    )
    return replace(
        incoming, text=_clean(incoming.text), command=_clean(incoming.command), sender=sender,
        attachments=attachments,
    )  # fmt: skip


def _clean(text: str) -> str:
    return IMPOSSIBLE.sub("\ufffd", text)


def sealed(incoming: Incoming, vault: Vault | None) -> Incoming:
    """`incoming` as it may be stored: a person's API key only encrypted."""
    given = incoming.text.strip()
    if incoming.command != "key" or given in ("", "remove"):
        return incoming
    return replace(incoming, text=vault.lock(given) if vault else "…")


def keep(connection: Connection, incoming: Incoming, settings: Settings) -> Accepted:
    """Runs as one transaction; see `core.store.accepting.accept`."""
    choices = read_choices(connection, incoming.place, incoming.sender, settings)
    bounds = Bounds(settings.queue_length, settings.open_turns, settings.messages_a_minute)
    return accept(
        connection,
        incoming,
        key=conversation_key(incoming.place, incoming.sender, shared=choices.shared),
        person=person_key(incoming.sender),
        ordered=asks(incoming),
        bounds=Bounds() if stops(incoming) else bounds,
    )
