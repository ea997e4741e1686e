"""Turns: the work on one event, from acceptance to outcome.

`claims` decides which process works on a turn; `answers` and `answer_parts` store the result. Every function is the
body of one transaction. `Turn.owner` identifies a process, and `Turn.attempt` one of its claims. A write by any other
than the current owner raises `LostLeaseError` and changes nothing.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Update, and_, bindparam, case, func, select, update

from core.errors import ParleyError
from core.port import EventKind, Incoming
from core.store.incoming_codec import decode_incoming, encode_incoming, erase_content
from core.store.schema import IS_OPEN, answer_parts, conversations, database_now, messages, turns

MAX_COMPARED_PRESSES = 20


class LostLeaseError(ParleyError):
    """Another process owns the turn now."""


class TurnState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DELIVERING = "delivering"
    """The answer is stored; its parts are on their way to the platform."""
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    MERGED = "merged"
    """The event was merged into an earlier turn, or is an edit that changes nothing."""

    @property
    def is_final(self) -> bool:
        return self not in (TurnState.QUEUED, TurnState.RUNNING, TurnState.DELIVERING)


class Refusal(StrEnum):
    """Reasons to refuse the event of a turn."""

    QUEUE_FULL = "queue_full"
    RATE_LIMITED = "rate_limited"


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn as claimed by its owner."""

    id: int
    conversation_id: int
    """0: none, because the event was refused."""
    seq: int | None
    """The position in the conversation; None for a turn that overtakes."""
    state: TurnState
    incoming: Incoming
    owner: str
    attempt: int
    """The number of times the turn was claimed. An edited question is claimed again without having failed."""
    age_seconds: float
    """Seconds since the event was accepted."""
    model: str | None = None
    note: str | None = None
    """The text under the answer, once an answer is stored."""
    refusal: Refusal | None = None
    buttons_json: str | None = None
    """The buttons under the answer, as given to `store_answer`."""
    failed_attempts: int = 0
    """How many of the earlier claims ended with the death of their process."""
    final_state: TurnState = TurnState.DONE
    """After the stored answer is delivered."""


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """The data of a turn that the buttons under its answer need."""

    id: int
    conversation_id: int
    """0: none, because the event was refused."""
    incoming: Incoming
    state: TurnState
    age_seconds: float = 0.0
    """Seconds since the event was accepted."""
    note: str = ""
    """The text under the answer."""
    buttons_json: str | None = None
    """The buttons under an answer with a note, as given to `store_answer`."""


ANSWER_NOTE = case(((turns.c.state != TurnState.FAILED) | turns.c.failure.is_not(None), turns.c.note))
"""The text under the answer. Until 0029, the note of a failed turn said why it failed."""
ANSWER_MODEL = func.coalesce(messages.c.model, turns.c.model)
"""The model that wrote an answer: those from before 0026 have it in the turn alone."""


def get_turn(connection: Connection, turn_id: int) -> StoredTurn | None:
    """None if there is no such turn, or if its event cannot be decoded."""
    row = connection.execute(
        select(
            turns.c.conversation_id,
            turns.c.incoming_json,
            turns.c.state,
            ANSWER_NOTE.label("note"),
            turns.c.buttons_json,
            (database_now() - turns.c.created_at).label("age_seconds"),
        ).where(turns.c.id == turn_id)
    ).first()
    if row is None or (incoming := decode_incoming(row.incoming_json)) is None:
        return None
    conversation_id, note = row.conversation_id or 0, row.note or ""
    return StoredTurn(turn_id, conversation_id, incoming, TurnState(row.state), row.age_seconds, note, row.buttons_json)


def find_turn_of_message(connection: Connection, conversation_key_prefix: str, message_id: str) -> StoredTurn | None:
    """The turn that sent a message, in the conversations whose keys begin so; None if there is none."""
    turn_id = connection.scalar(
        select(turns.c.id)
        .join(conversations, conversations.c.id == turns.c.conversation_id)
        .join(answer_parts, answer_parts.c.turn_id == turns.c.id)
        .where(conversations.c.key.startswith(conversation_key_prefix, autoescape=True))
        .where(answer_parts.c.message_id == message_id)
        .limit(1)
    )
    return None if turn_id is None else get_turn(connection, turn_id)


def is_stopped(connection: Connection, turn_id: int) -> bool:
    """Whether a person has stopped the turn, even if it has not ended yet."""
    was_asked_to = turns.c.cancel_requested | (turns.c.state == TurnState.STOPPED)
    return connection.scalar(select(turns.c.id).where(turns.c.id == turn_id, was_asked_to)) is not None


def find_shown_press(
    connection: Connection, conversation_id: int, *, text: str, before_turn: int, user: str | None = None
) -> StoredTurn | None:
    """The last press of this button before `before_turn` whose reply is still there; with `user`, this person's."""
    rows = connection.execute(
        select(turns.c.id, turns.c.incoming_json)
        .where(turns.c.conversation_id == conversation_id, turns.c.id < before_turn, turns.c.seq.is_(None))
        .where(select(answer_parts.c.turn_id).where(answer_parts.c.turn_id == turns.c.id).exists())
        .order_by(turns.c.id.desc())
        .limit(MAX_COMPARED_PRESSES)
    )
    for row in rows:
        incoming = decode_incoming(row.incoming_json)
        if incoming is None or incoming.kind is not EventKind.BUTTON or incoming.text != text:
            continue
        if user is None or incoming.sender.user == user:
            return get_turn(connection, row.id)
    return None


def erase_notes(connection: Connection, *conditions: ColumnElement[bool]) -> None:
    """Erase the notes of these turns, except where there is no answer, and the note is still to be delivered.

    Without an answer, a note names no file.
    """
    has_answer = select(messages.c.id).where(messages.c.turn_id == turns.c.id, messages.c.role == "assistant").exists()
    can_be_erased = ~IS_OPEN | has_answer
    connection.execute(update(turns).where(*conditions, turns.c.note.is_not(None), can_be_erased).values(note=None))


def finish_turn(connection: Connection, turn: Turn, state: TurnState, reason: str = "") -> None:
    """Finish the turn and erase what neither its processing nor its answer needs. Raises `LostLeaseError`.

    `reason`: why it failed, for `parley top`; without it, the one that is stored with the answer.
    """
    # Not the event that was claimed: a chat migration changes the stored one.
    stored = connection.execute(SELECT_OWNED, _ownership(turn)).first()
    if stored is None:
        raise LostLeaseError(f"Turn {turn.id} belongs to another process")
    # Its answer may be shown again, in place of another one.
    keeps_note = bool(stored.note) and stored.final_state != TurnState.FAILED
    outcome = {
        "new_state": state,
        "erased_json": erase_content(stored.incoming_json),
        "new_note": stored.note if keeps_note else None,
        "new_failure": reason or stored.failure or "" if state is TurnState.FAILED else None,
        "new_buttons_json": stored.buttons_json if keeps_note else None,
    }
    connection.execute(FINISH_TURN, {**_ownership(turn), **outcome})


def replace_event_text(connection: Connection, turn: Turn, text: str) -> None:
    """Replace the text of the stored event, for whoever claims the turn next. Raises `LostLeaseError`."""
    replaced = encode_incoming(replace(turn.incoming, text=text))
    update_owned_turn(connection, turn, incoming_json=replaced)


def restart_turn(
    connection: Connection, turn_id: int, incoming: Incoming, *, wait_seconds: float = 0.0, only_queued: bool = False
) -> bool:
    """Give a turn without an answer another event, after `wait_seconds` at the earliest. False if it has an answer.

    Its owner, if it has one, can no longer write to it, and gives it up with its next heartbeat. `only_queued`: False
    if it has an owner.
    """
    states = (TurnState.QUEUED,) if only_queued else (TurnState.QUEUED, TurnState.RUNNING)
    result = connection.execute(
        update(turns)
        .where(turns.c.id == turn_id, turns.c.state.in_(states), IS_OPEN)
        .values(
            incoming_json=encode_incoming(incoming),
            state=TurnState.QUEUED,
            cancel_requested=False,
            not_before=database_now() + wait_seconds if wait_seconds else turns.c.not_before,
        )
    )
    return result.rowcount == 1


IS_OWNED = and_(
    turns.c.id == bindparam("turn_id"),
    turns.c.owner == bindparam("turn_owner"),
    turns.c.attempt == bindparam("turn_attempt"),
    turns.c.state != TurnState.QUEUED,
    IS_OPEN,
)
"""Whether its owner may still write to a turn: no other process has claimed it, and it was not restarted."""
SELECT_OWNED = (
    select(turns.c.incoming_json, turns.c.note, turns.c.failure, turns.c.buttons_json, turns.c.final_state)
    .where(IS_OWNED)
    .with_for_update()
)
LOCK_OWNED = select(turns.c.id).where(IS_OWNED).with_for_update(key_share=True)
FINISH_TURN = (
    update(turns)
    .where(IS_OWNED)
    .values(
        state=bindparam("new_state"),
        finished_at=database_now(),
        incoming_json=bindparam("erased_json"),
        note=bindparam("new_note"),
        failure=bindparam("new_failure"),
        buttons_json=bindparam("new_buttons_json"),
    )
)


def _ownership(turn: Turn) -> dict[str, Any]:
    """The parameters of `IS_OWNED`."""
    return {"turn_id": turn.id, "turn_owner": turn.owner, "turn_attempt": turn.attempt}


@cache
def _update_owned(columns: tuple[str, ...]) -> Update:
    return update(turns).where(IS_OWNED).values({name: bindparam(f"new_{name}") for name in columns})


def update_owned_turn(connection: Connection, turn: Turn, **values: object) -> None:
    """Raises `LostLeaseError`."""
    new_values = {f"new_{name}": value for name, value in values.items()}
    if connection.execute(_update_owned(tuple(values)), {**_ownership(turn), **new_values}).rowcount != 1:
        raise LostLeaseError(f"Turn {turn.id} belongs to another process")


def fence(connection: Connection, turn: Turn) -> None:
    """Keep others from claiming the turn before this transaction ends. Raises `LostLeaseError`."""
    if connection.scalar(LOCK_OWNED, _ownership(turn)) is None:
        raise LostLeaseError(f"Turn {turn.id} belongs to another process")
