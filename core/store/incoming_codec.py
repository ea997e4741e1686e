"""The stored form of events: JSON with the field names of `core.port`.

Renaming a field there requires a migration that renames it in `turns.incoming_json`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from core.port import Incoming


class MessagePiece(NamedTuple):
    """One message of a batch."""

    message_id: str
    length: int
    """Length of its text in characters."""


@dataclass(frozen=True, slots=True)
class StoredIncoming(Incoming):
    """An event and, if it is a batch, the messages it consists of."""

    pieces: tuple[MessagePiece, ...] = ()
    """In the order of `text`, in which line breaks separate them."""


def encode_incoming(incoming: Incoming) -> str:
    """Raises `TypeError` for an event with a field of another type: nobody could read it again."""
    encoded = msgspec.json.encode(incoming).decode()
    if decode_incoming(encoded) is None:
        raise TypeError("The event has a field of another type")
    return encoded


def decode_incoming(encoded: str) -> StoredIncoming | None:
    """None if the event is damaged or was stored by a newer version."""
    try:
        return msgspec.json.decode(encoded, type=StoredIncoming)
    except (msgspec.DecodeError, ValueError):
        return None
