"""Turns in the database: accepted, claimed for a lease, fenced, finished.

Every function is one transaction's body. `owner` names a process and `attempt` one claim by it:
a write by anybody but the present holder of the turn raises `LostLeaseError` and changes nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import structlog
from sqlalchemy import (
    ColumnElement,
    Connection,
    case,
    delete,
    false,
    func,
    insert,
    or_,
    select,
    true,
    update,
)

from core.errors import ParleyError
from core.port import Incoming
from core.store.incoming_codec import decode_incoming, encode_incoming
from core.store.schema import IS_OPEN, answer_parts, conversations, database_now, messages, turns
from core.store.schema import reasoning as thoughts_table

__all__ = [
    "SUSPECT_ATTEMPTS",
    "UNREACHABLE_MESSAGE",
    "ClaimFilter",
    "LostLeaseError",
    "SentPart",
    "Turn",
    "TurnState",
    "cancel_turns",
    "claim_turns",
    "erase_event_text",
    "expire_leases",
    "finish_turn",
    "get_answer",
    "get_question",
    "get_reasoning",
    "get_turn",
    "heartbeat",
    "last_question",
    "list_sent_parts",
    "release_turns",
    "save_part",
    "store_answer",
    "usage_since",
]

log = structlog.get_logger(__name__)


UNREACHABLE_MESSAGE = ""
SUSPECT_ATTEMPTS = 7
"""Attempts after which a turn may be what ends the processes that try it."""


class ClaimFilter(StrEnum):
    """Which turns are taken."""

    NORMAL = "usual"
    COMMANDS = "commands"
    """Of the usual ones those that no answer waits for, nor they for one."""
    SUSPECT = "doubted"
    """Those that were under way when process after process died."""


class LostLeaseError(ParleyError):
    """Another process has this turn now."""


class TurnState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DELIVERING = "delivering"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Turn:
    id: int
    conversation: int
    seq: int | None
    state: TurnState
    incoming: Incoming
    attempt: int
    age_seconds: float
    """Seconds since it was accepted."""
    model: str | None
    note: str | None
    buttons: str | None = None
    """Those under its answer, as `reply` was given them."""


@dataclass(frozen=True, slots=True)
class SentPart:
    """A part of an answer as the platform has it; `message` is None while its fate is open, and
    `OUT_OF_REACH` where it stands in a chat that has moved.

    `state` is sending, sent, uncertain (it may or may not stand there) or dead (refused).
    """

    state: str
    message_id: str | None
    digest: str


def claim_turns(
    connection: Connection,
    owner: str,
    accounts: Sequence[tuple[str, str]],
    *,
    lease_seconds: float,
    limit: int,
    exclude: Sequence[int] = (),
    claim_filter: ClaimFilter = ClaimFilter.NORMAL,
) -> list[Turn]:
    """Take turns that wait for nothing more, or whose holder let the lease run out, first of each
    conversation only, of the (platform, account) pairs the process can answer on.

    `but` not those it is still at: a heartbeat that comes late renews their leases.
    """
    other = turns.alias()
    next_seq = (
        select(func.min(other.c.seq))
        .where(other.c.conversation == turns.c.conversation, other.c.finished.is_(None))
        .scalar_subquery()
    )
    claimable = (
        select(turns.c.id)
        .where(
            IS_OPEN,
            _of_accounts(accounts),
            turns.c.id.not_in(exclude),
            turns.c.lease_until < database_now(),
            turns.c.attempt >= SUSPECT_ATTEMPTS
            if claim_filter is ClaimFilter.SUSPECT
            else turns.c.attempt < SUSPECT_ATTEMPTS,
            turns.c.seq.is_(None) if claim_filter is ClaimFilter.COMMANDS else true(),
            or_(turns.c.seq.is_(None), turns.c.seq == next_seq),
        )
        .order_by(turns.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = connection.execute(
        update(turns)
        .where(turns.c.id.in_(claimable))
        .values(
            owner=owner,
            lease_until=database_now() + lease_seconds,
            attempt=turns.c.attempt + 1,
            state=case((turns.c.state == TurnState.QUEUED, TurnState.RUNNING), else_=turns.c.state),
        )
        .returning(
            turns.c.id,
            turns.c.conversation,
            turns.c.seq,
            turns.c.state,
            turns.c.incoming,
            turns.c.attempt,
            (database_now() - turns.c.created).label("age"),
            turns.c.model,
            turns.c.note,
            turns.c.buttons,
        )
    ).all()
    claimed_turns = []
    for row in sorted(rows, key=lambda row: int(row.id)):
        incoming = decode_incoming(row.incoming)
        if incoming is None:
            if row.attempt < SUSPECT_ATTEMPTS:  # who can read it may be among those that try next
                log.warning("an event that cannot be read here", turn=row.id)
                continue
            # It would stand in everybody's way for ever.
            log.error("an event that cannot be read is let go", turn=row.id)
            values = {"state": TurnState.FAILED, "finished": database_now()}
            connection.execute(update(turns).where(turns.c.id == row.id).values(**values))
            continue
        claimed_turns.append(
            Turn(
                row.id,
                row.conversation,
                row.seq,
                TurnState(row.state),
                incoming,
                row.attempt,
                row.age,
                row.model,
                row.note,
                row.buttons,
            )
        )
    return claimed_turns


def heartbeat(connection: Connection, owner: str, ids: Sequence[int], *, lease_seconds: float) -> dict[int, bool]:
    """Renew the leases of `ids`; what is still held, and whether its person said stop."""
    rows = connection.execute(
        update(turns)
        .where(turns.c.id.in_(ids), turns.c.owner == owner, IS_OPEN)
        .values(lease_until=database_now() + lease_seconds)
        .returning(turns.c.id, turns.c.cancel)
    )
    return {row.id: row.cancel for row in rows}


def cancel_turns(connection: Connection, conversation: int, before_turn: int) -> tuple[list[int], int]:
    """Ask the running turn of `conversation` to stop and drop those that wait, as far as they
    came before the turn `before`: a stop carried out late must not end what was asked since.

    Returns the running turns' ids and how many were dropped.
    """
    dropped = connection.execute(
        update(turns)
        .where(
            turns.c.conversation == conversation,
            turns.c.id < before_turn,
            turns.c.seq.is_not(None),
            turns.c.state == TurnState.QUEUED,
            IS_OPEN,
        )
        .values(state=TurnState.STOPPED, finished=database_now())
    ).rowcount
    running = connection.scalars(
        update(turns)
        .where(
            turns.c.conversation == conversation,
            turns.c.id < before_turn,
            turns.c.seq.is_not(None),
            turns.c.state == TurnState.RUNNING,
            IS_OPEN,
        )
        .values(cancel=True)
        .returning(turns.c.id)
    ).all()
    return list(running), dropped


def _update_claimed(connection: Connection, turn: Turn, owner: str, **values: object) -> None:
    updated = connection.execute(
        update(turns)
        .where(turns.c.id == turn.id, turns.c.owner == owner, turns.c.attempt == turn.attempt, IS_OPEN)
        .values(**values)
    ).rowcount
    if updated != 1:
        raise LostLeaseError(f"Turn {turn.id} is somebody else's now")


def _lock_conversation(connection: Connection, turn: Turn) -> int:
    """Where a turn is now, which no move changes in this transaction any more.

    To be called before the turn is written: whoever moves a chat begins with the conversation.
    """
    of_turn = (
        select(conversations.c.id)
        .join(turns, turns.c.conversation == conversations.c.id)
        .where(turns.c.id == turn.id)
        .with_for_update(read=True, key_share=True, of=conversations)
    )
    # None: it was joined to another one while we waited for it.
    conversation: int | None = connection.scalar(of_turn) or connection.scalar(of_turn)
    if conversation is None:
        raise LostLeaseError(f"Turn {turn.id} is nowhere")
    return conversation


def store_answer(
    connection: Connection,
    turn: Turn,
    owner: str,
    *,
    prompt: str,
    answer: str,
    note: str,
    model: str,
    usage: tuple[int, int],
    is_personal_key: bool = False,
    replaces_last: bool = False,
    buttons: str | None = None,
    reasoning: str = "",
) -> bool:
    """Running -> delivering: keep the question, the model's answer and what it cost; `own_key`:
    on the person's own key. False: that was done before, and its outcome not heard.

    With `replace` the last exchange is left out of what the model is shown from now on, unless
    there is nothing to stand in its place.
    `thoughts` are kept apart: nothing is answered on them.
    """
    conversation = _lock_conversation(connection, turn)
    stored_state = connection.scalar(select(turns.c.state).where(turns.c.id == turn.id))
    _update_claimed(
        connection,
        turn,
        owner,
        state=TurnState.DELIVERING,
        note=note,
        buttons=buttons,
        model=model,
        prompt_tokens=usage[0],
        completion_tokens=usage[1],
        own_key=is_personal_key,
    )
    if stored_state == TurnState.DELIVERING:
        return False
    if reasoning:
        connection.execute(delete(thoughts_table).where(thoughts_table.c.turn == turn.id))
        connection.execute(insert(thoughts_table).values(turn=turn.id, text=reasoning))
    is_unanswered = replaces_last and not answer
    if replaces_last and not is_unanswered:
        last = connection.scalar(
            select(func.max(messages.c.id)).where(
                messages.c.conversation == conversation,
                messages.c.role == "user",
                messages.c.replaced.is_(False),
            )
        )
        connection.execute(
            update(messages)
            .where(messages.c.conversation == conversation, messages.c.id >= (last or 0))
            .values(replaced=True)
        )
    rows = [("user", prompt), ("assistant", answer)] if answer else [("user", prompt)]
    for role, content in rows:
        connection.execute(
            insert(messages).values(
                conversation=conversation,
                turn=turn.id,
                role=role,
                text=content,
                created=database_now(),
                replaced=is_unanswered,  # kept all the same: by its turn it can be asked again
            )
        )
    return True


def get_reasoning(connection: Connection, turn: int) -> str | None:
    """What the model thought before it answered `turn`, if that was kept."""
    return connection.scalar(select(thoughts_table.c.text).where(thoughts_table.c.turn == turn))


def get_answer(connection: Connection, turn: int) -> str:
    """The stored answer of a turn that is being delivered."""
    text = connection.scalar(select(messages.c.text).where(messages.c.turn == turn, messages.c.role == "assistant"))
    return text or ""


def erase_event_text(connection: Connection, turn: Turn, owner: str) -> None:
    """Forget what was written in the event of a turn: it is kept where it belongs, or nowhere."""
    erased = encode_incoming(replace(turn.incoming, text=""))
    _update_claimed(connection, turn, owner, incoming=erased)


def finish_turn(connection: Connection, turn: Turn, owner: str, state: TurnState) -> None:
    _update_claimed(connection, turn, owner, state=state, finished=database_now())


def release_turns(connection: Connection, owner: str, ids: Iterable[int]) -> None:
    """Give turns back at once: whoever lives takes them on. It was no attempt that failed."""
    connection.execute(
        update(turns)
        .where(turns.c.owner == owner, turns.c.id.in_(list(ids)), IS_OPEN)
        # The first stays counted: by it who takes over knows that something may stand there.
        .values(
            lease_until=0,
            attempt=case((turns.c.attempt > 1, turns.c.attempt - 1), else_=turns.c.attempt),
        )
    )


def expire_leases(connection: Connection, accounts: Sequence[tuple[str, str]]) -> int:
    """Take every lease from turns of `accounts`; for the only process that serves them."""
    return connection.execute(
        update(turns).where(IS_OPEN, _of_accounts(accounts), turns.c.state != TurnState.QUEUED).values(lease_until=0)
    ).rowcount


def _of_accounts(accounts: Sequence[tuple[str, str]]) -> ColumnElement[bool]:
    prefixes = (turns.c.key.startswith(f"{p}:{a}:", autoescape=True) for p, a in accounts)
    return or_(false(), *prefixes)


def list_sent_parts(connection: Connection, turn: int) -> dict[int, SentPart]:
    rows = connection.execute(select(answer_parts).where(answer_parts.c.turn == turn))
    return {row.position: SentPart(row.state, row.message, row.digest) for row in rows}


def save_part(connection: Connection, turn: Turn, owner: str, position: int, part: SentPart | None) -> None:
    """Note what became of a part; None: it is no more."""
    _update_claimed(connection, turn, owner, lease_until=turns.c.lease_until)
    connection.execute(answer_parts.delete().where(answer_parts.c.turn == turn.id, answer_parts.c.position == position))
    if part is not None:
        connection.execute(
            insert(answer_parts).values(
                turn=turn.id,
                position=position,
                state=part.state,
                message=part.message_id,
                digest=part.digest,
            )
        )


def last_question(connection: Connection, conversation: int) -> tuple[str, int] | None:
    """The last question since /new that counts in a conversation, and its turn."""
    row = connection.execute(
        select(messages.c.text, messages.c.turn)
        .join(conversations, conversations.c.id == messages.c.conversation)
        .where(
            messages.c.conversation == conversation,
            messages.c.id > conversations.c.since,
            messages.c.role == "user",
            messages.c.replaced.is_(False),
        )
        .order_by(messages.c.id.desc())
        .limit(1)
    ).first()
    return None if row is None else (row.text, row.turn)


def get_question(connection: Connection, turn: int) -> str | None:
    """What was asked in a turn, whether it counts any more or not."""
    query = select(messages.c.text).where(messages.c.turn == turn, messages.c.role == "user")
    return connection.scalar(query.order_by(messages.c.id.desc()).limit(1))


def get_turn(connection: Connection, turn: int) -> tuple[int, Incoming, TurnState] | None:
    """The conversation, the event and the state of a turn, for the buttons under it."""
    row = connection.execute(
        select(turns.c.conversation, turns.c.incoming, turns.c.state).where(turns.c.id == turn)
    ).first()
    if row is None:
        return None
    incoming = decode_incoming(row.incoming)
    return None if incoming is None else (row.conversation, incoming, TurnState(row.state))


def usage_since(
    connection: Connection, person: str, since: float, *, is_personal_key: bool = False
) -> list[tuple[str, int, int]]:
    """(model, tokens, answers) of one person since `since`, most tokens first; on the bot's key
    or on their own.
    """
    tokens = func.sum(turns.c.prompt_tokens + turns.c.completion_tokens)
    rows = connection.execute(
        select(turns.c.model, tokens, func.count())
        .where(
            turns.c.person == person,
            turns.c.created >= since,
            turns.c.model.is_not(None),
            turns.c.own_key.is_(is_personal_key),
        )
        .group_by(turns.c.model)
        .order_by(tokens.desc())
    )
    return [(row[0], int(row[1]), int(row[2])) for row in rows]
