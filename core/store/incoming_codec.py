"""The stored form of events: JSON with the field names of `core.port`.

Renaming a field there takes a migration that renames it in `turns.incoming_json`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from core.port import Incoming

__all__ = ["MessagePiece", "StoredIncoming", "decode_incoming", "encode_incoming"]


class MessagePiece(NamedTuple):
    """One message of a batch."""

    message_id: str
    length: int
    """In characters."""


@dataclass(frozen=True, slots=True)
class StoredIncoming(Incoming):
    """An event, and of which messages it consists if it is a batch."""

    pieces: tuple[MessagePiece, ...] = ()
    """In the order of `text`, which has a line break between two of them."""


def encode_incoming(incoming: Incoming) -> str:
    return msgspec.json.encode(incoming).decode()


def decode_incoming(encoded: str) -> StoredIncoming | None:
    """None for an event that is damaged or that a newer version stored."""
    try:
        return msgspec.json.decode(encoded, type=StoredIncoming)
    except (msgspec.DecodeError, ValueError):
        return None
