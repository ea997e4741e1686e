"""The state of each platform message that an answer consists of, by position."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache

from sqlalchemy import Connection, delete, select, update

from core.store.dialect import Insert, InsertFactory, insert_factory
from core.store.schema import answer_parts
from core.store.turns import Turn, TurnState, fence, finish_turn


class PartState(StrEnum):
    SENDING = "sending"
    """The request is on its way. After a crash it is unknown whether the message exists."""
    SENT = "sent"
    UNCERTAIN = "uncertain"
    """The platform did not confirm: the message may exist."""
    REJECTED = "rejected"
    """The message does not exist."""
    UNREACHABLE = "unreachable"
    """The message exists in a chat that has migrated since, and can no longer be changed."""


@dataclass(frozen=True, slots=True)
class SentPart:
    state: PartState
    message_id: str | None
    """Only if the state is `SENT`."""
    digest: str
    """The digest of the content; empty while previews change it."""


def list_sent_parts(connection: Connection, turn_id: int) -> dict[int, SentPart]:
    """By position."""
    rows = connection.execute(select(answer_parts).where(answer_parts.c.turn_id == turn_id))
    return {row.position: SentPart(PartState(row.state), row.message_id, row.digest) for row in rows}


def save_part(connection: Connection, turn: Turn, position: int, part: SentPart | None) -> None:
    """Replace the stored state of a part; None: the message no longer exists. Raises `LostLeaseError`."""
    fence(connection, turn)
    if part is None:
        connection.execute(delete(answer_parts).filter_by(turn_id=turn.id, position=position))
    else:
        _save(connection, turn, position, part)


def finish_delivery(
    connection: Connection, turn: Turn, state: TurnState, unstored: Mapping[int, SentPart], reason: str = ""
) -> None:
    """Finish the turn and store those of its parts that are not stored yet, by position. Raises `LostLeaseError`."""
    finish_turn(connection, turn, state, reason)
    for position, part in unstored.items():
        _save(connection, turn, position, part)


def _save(connection: Connection, turn: Turn, position: int, part: SentPart) -> None:
    values = {"turn_id": turn.id, "position": position, **asdict(part)}
    connection.execute(_replace_part(insert_factory(connection)), values)


@cache
def _replace_part(insert: InsertFactory) -> Insert:
    statement = insert(answer_parts)
    replaced = {name: statement.excluded[name] for name in ("state", "message_id", "digest")}
    return statement.on_conflict_do_update(index_elements=["turn_id", "position"], set_=replaced)


def hand_over_parts(connection: Connection, turn: Turn, shown_turn: int) -> None:
    """Make the messages of `turn` those of the turn whose answer they show, unless that has other messages.

    Raises `LostLeaseError`.
    """
    fence(connection, turn)
    has_messages = select(answer_parts.c.turn_id).where(answer_parts.c.turn_id == shown_turn).limit(1)
    if connection.scalar(has_messages) is None:
        connection.execute(update(answer_parts).where(answer_parts.c.turn_id == turn.id).values(turn_id=shown_turn))


def take_over_parts(connection: Connection, turn: Turn, previous_turn: int) -> None:
    """Make the messages that answered `previous_turn` those of `turn`, except messages that may not exist.

    Raises `LostLeaseError`.
    """
    fence(connection, turn)
    is_previous = answer_parts.c.turn_id == previous_turn
    is_certain = answer_parts.c.message_id.is_not(None)
    connection.execute(update(answer_parts).where(is_previous, is_certain).values(turn_id=turn.id))
    connection.execute(delete(answer_parts).where(is_previous))
