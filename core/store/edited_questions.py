"""Finds the question that an edited message belongs to, and the turns that asked the same question again."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, Connection, select

from core.buttons import parse_action
from core.port import EventKind, Incoming
from core.store.incoming_codec import StoredIncoming, decode_incoming
from core.store.schema import turns
from core.store.turns import Turn, TurnState

MAX_COMPARED_TURNS = 50


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """The turn that asked what a message contains."""

    id: int
    person_key: str
    incoming: StoredIncoming
    is_open: bool
    """Whether it has no answer yet."""
    repeating_turns: tuple[int, ...]
    """The turns that asked it again by a Retry, newest first."""
    is_followed: bool
    """Whether other questions came after it."""
    earlier_turns: tuple[int, ...] = ()
    """The turns that asked it before its message was edited, also by a Retry, newest first; see
    `find_edited_question`."""


@dataclass(frozen=True, slots=True)
class _ComparedTurn:
    id: int
    person_key: str
    state: str
    incoming: StoredIncoming | None


def find_question(connection: Connection, incoming: Incoming, *conditions: ColumnElement[bool]) -> AskedQuestion | None:
    """The last question that contains the message of `incoming`, without its `earlier_turns`."""
    return _find_question(_newest_turns(connection, *conditions), incoming)


def find_edited_question(connection: Connection, turn: Turn) -> AskedQuestion | None:
    """The question that `turn`, an edit, asks again, with its `earlier_turns`."""
    is_earlier = (turns.c.conversation_id == turn.conversation_id, turns.c.seq < turn.seq)
    compared_turns = _newest_turns(connection, *is_earlier)
    asked = _find_question(compared_turns, turn.incoming)
    if asked is None:
        return None
    earlier_turns: list[int] = []
    for earlier in reversed(list(compared_turns)):
        is_repeated = bool(earlier_turns) and _repeats_last_question(earlier.incoming, earlier_turns)
        if is_repeated or _contains(earlier.incoming, turn.incoming):
            earlier_turns.append(earlier.id)
    return replace(asked, earlier_turns=tuple(reversed(earlier_turns)))


def _newest_turns(connection: Connection, *conditions: ColumnElement[bool]) -> Iterator[_ComparedTurn]:
    """Newest first. Each event is decoded only when it is needed."""
    rows = connection.execute(
        select(turns.c.id, turns.c.person_key, turns.c.incoming_json, turns.c.state)
        .where(*conditions, turns.c.state != TurnState.MERGED)
        .order_by(turns.c.seq.desc())
        .limit(MAX_COMPARED_TURNS)
    )
    return (_ComparedTurn(row.id, row.person_key, row.state, decode_incoming(row.incoming_json)) for row in rows)


def _find_question(compared_turns: Iterator[_ComparedTurn], incoming: Incoming) -> AskedQuestion | None:
    """Leaves the turns before the question in `compared_turns`."""
    later: dict[int, StoredIncoming | None] = {}
    for turn in compared_turns:
        if turn.incoming is not None and _contains(turn.incoming, incoming):
            repeatable = {turn.id, *later}
            return AskedQuestion(
                turn.id,
                turn.person_key,
                turn.incoming,
                is_open=turn.state in (TurnState.QUEUED, TurnState.RUNNING),
                repeating_turns=tuple(later),
                is_followed=not all(_repeats_last_question(other, repeatable) for other in later.values()),
            )
        later[turn.id] = turn.incoming
    return None


def _contains(stored: StoredIncoming | None, incoming: Incoming) -> bool:
    """Whether the message of `incoming` is, or is a part of, what `stored` asks."""
    # Before it moved, a chat had other messages with the same IDs.
    if stored is None or stored.place.chat != incoming.place.chat:
        return False
    return stored.command == incoming.command and incoming.message_id in _message_ids(stored)


def _message_ids(stored: StoredIncoming) -> set[str | None]:
    return {piece.message_id for piece in stored.pieces} or {stored.message_id}


def _repeats_last_question(stored: StoredIncoming | None, turn_ids: Collection[int]) -> bool:
    """Whether an event asks the last question, or that of one of these turns, again."""
    if stored is None or stored.kind is not EventKind.BUTTON:
        return stored is not None and stored.command == "retry"
    press = parse_action(stored.text)
    return press is not None and press.is_retry and press.turn_id in turn_ids
