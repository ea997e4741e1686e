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
from core.store.events import pack, unpack
from core.store.schema import OPEN, clock, conversations, messages, parts, turns
from core.store.schema import thoughts as thoughts_table

__all__ = [
    "DOUBTED",
    "OUT_OF_REACH",
    "Among",
    "LostLeaseError",
    "Sent",
    "State",
    "Turn",
    "answer_of",
    "cancel",
    "claim",
    "finish",
    "free",
    "heartbeat",
    "last_finished",
    "mark_part",
    "question_of",
    "release",
    "reply",
    "sent_parts",
    "thoughts_of",
    "turn_of",
    "usage_today",
    "wipe",
]

log = structlog.get_logger(__name__)


OUT_OF_REACH = ""
DOUBTED = 7
"""Attempts after which a turn may be what ends the processes that try it."""


class Among(StrEnum):
    """Which turns are taken."""

    USUAL = "usual"
    COMMANDS = "commands"
    """Of the usual ones those that no answer waits for, nor they for one."""
    DOUBTED = "doubted"
    """Those that were under way when process after process died."""


class LostLeaseError(ParleyError):
    """Another process has this turn now."""


class State(StrEnum):
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
    state: State
    incoming: Incoming
    attempt: int
    age: float
    """Seconds since it was accepted."""
    model: str | None
    note: str | None
    buttons: str | None = None
    """Those under its answer, as `reply` was given them."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A part of an answer as the platform has it; `message` is None while its fate is open, and
    `OUT_OF_REACH` where it stands in a chat that has moved.

    `state` is sending, sent, uncertain (it may or may not stand there) or dead (refused).
    """

    state: str
    message: str | None
    digest: str


def claim(
    connection: Connection,
    owner: str,
    accounts: Sequence[tuple[str, str]],
    *,
    lease: float,
    most: int,
    but: Sequence[int] = (),
    among: Among = Among.USUAL,
) -> list[Turn]:
    """Take turns that wait for nothing more, or whose holder let the lease run out, first of each
    conversation only, of the (platform, account) pairs the process can answer on.

    `but` not those it is still at: a heartbeat that comes late renews their leases.
    """
    other = turns.alias()
    first = (
        select(func.min(other.c.seq))
        .where(other.c.conversation == turns.c.conversation, other.c.finished.is_(None))
        .scalar_subquery()
    )
    free = (
        select(turns.c.id)
        .where(
            OPEN,
            _of(accounts),
            turns.c.id.not_in(but),
            turns.c.lease_until < clock(),
            turns.c.attempt >= DOUBTED if among is Among.DOUBTED else turns.c.attempt < DOUBTED,
            turns.c.seq.is_(None) if among is Among.COMMANDS else true(),
            or_(turns.c.seq.is_(None), turns.c.seq == first),
        )
        .order_by(turns.c.id)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    rows = connection.execute(
        update(turns)
        .where(turns.c.id.in_(free))
        .values(
            owner=owner,
            lease_until=clock() + lease,
            attempt=turns.c.attempt + 1,
            state=case((turns.c.state == State.QUEUED, State.RUNNING), else_=turns.c.state),
        )
        .returning(
            turns.c.id,
            turns.c.conversation,
            turns.c.seq,
            turns.c.state,
            turns.c.incoming,
            turns.c.attempt,
            (clock() - turns.c.created).label("age"),
            turns.c.model,
            turns.c.note,
            turns.c.buttons,
        )
    ).all()
    claimed = []
    for row in sorted(rows, key=lambda row: int(row.id)):
        incoming = unpack(row.incoming)
        if incoming is None:
            if row.attempt < DOUBTED:  # who can read it may be among those that try next
                log.warning("an event that cannot be read here", turn=row.id)
                continue
            # It would stand in everybody's way for ever.
            log.error("an event that cannot be read is let go", turn=row.id)
            values = {"state": State.FAILED, "finished": clock()}
            connection.execute(update(turns).where(turns.c.id == row.id).values(**values))
            continue
        claimed.append(
            Turn(
                row.id,
                row.conversation,
                row.seq,
                State(row.state),
                incoming,
                row.attempt,
                row.age,
                row.model,
                row.note,
                row.buttons,
            )
        )
    return claimed


def heartbeat(
    connection: Connection, owner: str, ids: Sequence[int], *, lease: float
) -> dict[int, bool]:
    """Renew the leases of `ids`; what is still held, and whether its person said stop."""
    rows = connection.execute(
        update(turns)
        .where(turns.c.id.in_(ids), turns.c.owner == owner, OPEN)
        .values(lease_until=clock() + lease)
        .returning(turns.c.id, turns.c.cancel)
    )
    return {row.id: row.cancel for row in rows}


def cancel(connection: Connection, conversation: int, before: int) -> tuple[list[int], int]:
    """Ask the running turn of `conversation` to stop and drop those that wait, as far as they
    came before the turn `before`: a stop carried out late must not end what was asked since.

    Returns the running turns' ids and how many were dropped.
    """
    dropped = connection.execute(
        update(turns)
        .where(
            turns.c.conversation == conversation,
            turns.c.id < before,
            turns.c.seq.is_not(None),
            turns.c.state == State.QUEUED,
            OPEN,
        )
        .values(state=State.STOPPED, finished=clock())
    ).rowcount
    running = connection.scalars(
        update(turns)
        .where(
            turns.c.conversation == conversation,
            turns.c.id < before,
            turns.c.seq.is_not(None),
            turns.c.state == State.RUNNING,
            OPEN,
        )
        .values(cancel=True)
        .returning(turns.c.id)
    ).all()
    return list(running), dropped


def _fenced(connection: Connection, turn: Turn, owner: str, **values: object) -> None:
    changed = connection.execute(
        update(turns)
        .where(turns.c.id == turn.id, turns.c.owner == owner, turns.c.attempt == turn.attempt, OPEN)
        .values(**values)
    ).rowcount
    if changed != 1:
        raise LostLeaseError(f"Turn {turn.id} is somebody else's now")


def _conversation(connection: Connection, turn: Turn) -> int:
    """Where a turn is now, which no move changes in this transaction any more.

    To be called before the turn is written: whoever moves a chat begins with the conversation.
    """
    mine = (
        select(conversations.c.id)
        .join(turns, turns.c.conversation == conversations.c.id)
        .where(turns.c.id == turn.id)
        .with_for_update(read=True, key_share=True, of=conversations)
    )
    # None: it was joined to another one while we waited for it.
    found: int | None = connection.scalar(mine) or connection.scalar(mine)
    if found is None:
        raise LostLeaseError(f"Turn {turn.id} is nowhere")
    return found


def reply(
    connection: Connection,
    turn: Turn,
    owner: str,
    *,
    prompt: str,
    text: str,
    note: str,
    model: str,
    usage: tuple[int, int],
    own_key: bool = False,
    replace: bool = False,
    buttons: str | None = None,
    thoughts: str = "",
) -> bool:
    """Running -> delivering: keep the question, the model's answer and what it cost; `own_key`:
    on the person's own key. False: that was done before, and its outcome not heard.

    With `replace` the last exchange is left out of what the model is shown from now on, unless
    there is nothing to stand in its place.
    `thoughts` are kept apart: nothing is answered on them.
    """
    conversation = _conversation(connection, turn)
    kept = connection.scalar(select(turns.c.state).where(turns.c.id == turn.id))
    _fenced(
        connection,
        turn,
        owner,
        state=State.DELIVERING,
        note=note,
        buttons=buttons,
        model=model,
        prompt_tokens=usage[0],
        completion_tokens=usage[1],
        own_key=own_key,
    )
    if kept == State.DELIVERING:
        return False
    if thoughts:
        connection.execute(delete(thoughts_table).where(thoughts_table.c.turn == turn.id))
        connection.execute(insert(thoughts_table).values(turn=turn.id, text=thoughts))
    in_vain = replace and not text
    if replace and not in_vain:
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
    rows = [("user", prompt), ("assistant", text)] if text else [("user", prompt)]
    for role, said in rows:
        connection.execute(
            insert(messages).values(
                conversation=conversation,
                turn=turn.id,
                role=role,
                text=said,
                created=clock(),
                replaced=in_vain,  # kept all the same: by its turn it can be asked again
            )
        )
    return True


def thoughts_of(connection: Connection, turn: int) -> str | None:
    """What the model thought before it answered `turn`, if that was kept."""
    return connection.scalar(select(thoughts_table.c.text).where(thoughts_table.c.turn == turn))


def answer_of(connection: Connection, turn: int) -> str:
    """The stored answer of a turn that is being delivered."""
    text = connection.scalar(
        select(messages.c.text).where(messages.c.turn == turn, messages.c.role == "assistant")
    )
    return text or ""


def wipe(connection: Connection, turn: Turn, owner: str) -> None:
    """Forget what was written in the event of a turn: it is kept where it belongs, or nowhere."""
    bare = pack(replace(turn.incoming, text=""))
    _fenced(connection, turn, owner, incoming=bare)


def finish(connection: Connection, turn: Turn, owner: str, state: State) -> None:
    _fenced(connection, turn, owner, state=state, finished=clock())


def release(connection: Connection, owner: str, ids: Iterable[int]) -> None:
    """Give turns back at once: whoever lives takes them on. It was no attempt that failed."""
    connection.execute(
        update(turns)
        .where(turns.c.owner == owner, turns.c.id.in_(list(ids)), OPEN)
        # The first stays counted: by it who takes over knows that something may stand there.
        .values(
            lease_until=0,
            attempt=case((turns.c.attempt > 1, turns.c.attempt - 1), else_=turns.c.attempt),
        )
    )


def free(connection: Connection, accounts: Sequence[tuple[str, str]]) -> int:
    """Take every lease from turns of `accounts`; for the only process that serves them."""
    return connection.execute(
        update(turns)
        .where(OPEN, _of(accounts), turns.c.state != State.QUEUED)
        .values(lease_until=0)
    ).rowcount


def _of(accounts: Sequence[tuple[str, str]]) -> ColumnElement[bool]:
    mine = (turns.c.key.startswith(f"{p}:{a}:", autoescape=True) for p, a in accounts)
    return or_(false(), *mine)


def sent_parts(connection: Connection, turn: int) -> dict[int, Sent]:
    rows = connection.execute(select(parts).where(parts.c.turn == turn))
    return {row.position: Sent(row.state, row.message, row.digest) for row in rows}


def mark_part(
    connection: Connection, turn: Turn, owner: str, position: int, part: Sent | None
) -> None:
    """Note what became of a part; None: it is no more."""
    _fenced(connection, turn, owner, lease_until=turns.c.lease_until)
    connection.execute(parts.delete().where(parts.c.turn == turn.id, parts.c.position == position))
    if part is not None:
        connection.execute(
            insert(parts).values(
                turn=turn.id,
                position=position,
                state=part.state,
                message=part.message,
                digest=part.digest,
            )
        )


def last_finished(connection: Connection, conversation: int) -> tuple[str, int] | None:
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


def question_of(connection: Connection, turn: int) -> str | None:
    """What was asked in a turn, whether it counts any more or not."""
    asked = select(messages.c.text).where(messages.c.turn == turn, messages.c.role == "user")
    return connection.scalar(asked.order_by(messages.c.id.desc()).limit(1))


def turn_of(connection: Connection, turn: int) -> tuple[int, Incoming, State] | None:
    """The conversation, the event and the state of a turn, for the buttons under it."""
    row = connection.execute(
        select(turns.c.conversation, turns.c.incoming, turns.c.state).where(turns.c.id == turn)
    ).first()
    if row is None:
        return None
    incoming = unpack(row.incoming)
    return None if incoming is None else (row.conversation, incoming, State(row.state))


def usage_today(
    connection: Connection, person: str, since: float, *, own_key: bool = False
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
            turns.c.own_key.is_(own_key),
        )
        .group_by(turns.c.model)
        .order_by(tokens.desc())
    )
    return [(row[0], int(row[1]), int(row[2])) for row in rows]
