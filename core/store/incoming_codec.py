"""The stored form of events: JSON with the field names of `core.port`.

Renaming a field there requires a migration that renames it in `turns.incoming_json`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import msgspec

from core.buttons import ButtonAction, encode_action, parse_action
from core.port import EventKind, Incoming


class MessagePiece(NamedTuple):
    """One message of a batch."""

    message_id: str
    length: int
    """Length of its text in characters."""


def text_length(pieces: Sequence[MessagePiece]) -> int:
    """The length of the text that consists of these messages."""
    return sum(piece.length + 1 for piece in pieces) - 1


@dataclass(frozen=True, slots=True)
class StoredIncoming(Incoming):
    """An event and, if it is a batch, the messages it consists of."""

    pieces: tuple[MessagePiece, ...] = ()
    """In the order of `text`, in which line breaks separate them."""
    compared_model: str = ""
    """Answers this question side by side with another model, which has a turn of its own."""
    was_first_waiting: bool = False
    """Its message may have a mark: when it was stored, it was among its sender's first questions that waited."""


def as_stored(incoming: Incoming, **values: object) -> StoredIncoming:
    """The event with these other values."""
    fields_of_event = {field.name: getattr(incoming, field.name) for field in fields(incoming)}
    return StoredIncoming(**fields_of_event | values)


def compared_model(incoming: Incoming) -> str:
    """The model that answers side by side with another one; empty if it is no such question."""
    return incoming.compared_model if isinstance(incoming, StoredIncoming) else ""


def with_compared_model(incoming: Incoming, key: str, question: str, model: str) -> StoredIncoming:
    """The question for one of the models of a comparison. `key` is the event's key."""
    return as_stored(incoming, key=key, text=question, compared_model=model)


def encode_incoming(incoming: Incoming) -> str:
    """Raises `TypeError` for an event with a field of another type: nobody could read it again."""
    encoded = msgspec.json.encode(incoming).decode()
    if decode_incoming(encoded) is None:
        raise TypeError("The event has a field of another type")
    return encoded


def erase_content(encoded: str) -> str:
    """Keep only what redeliveries, edits and the buttons under an answer need of an event that is done.

    The text of a question is stored as a message. What cannot be decoded stays as it is.
    """
    incoming = decode_incoming(encoded)
    if incoming is None:
        return encoded
    action = incoming.text if incoming.kind is EventKind.BUTTON else ""
    press = parse_action(action)
    if press is not None and press.action in (ButtonAction.APPROVE, ButtonAction.REFUSE):
        action = encode_action(press.action, "")  # the argument is a person, not the one who pressed
    is_toggle = press is not None and press.action is ButtonAction.SHOW_REASONING
    return encode_incoming(
        StoredIncoming(
            incoming.kind,
            incoming.key,
            incoming.place,
            incoming.sender,
            action,
            message_id=incoming.message_id,
            command=incoming.command,
            is_confidential=incoming.is_confidential,
            # The next press hides what this one shows.
            interaction_token=incoming.interaction_token if is_toggle else None,
            pieces=incoming.pieces,
        )
    )


def decode_incoming(encoded: str) -> StoredIncoming | None:
    """None if the event is damaged or was stored by a newer version."""
    try:
        return msgspec.json.decode(encoded, type=StoredIncoming)
    except (msgspec.DecodeError, ValueError):
        return None
