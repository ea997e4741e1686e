"""Turns in the database: accepted, claimed for a lease, fenced, finished.

Every function is one transaction's body. `owner` names a process and `attempt` one claim by it:
a write by anybody but the present holder of the turn raises `LostLeaseError` and changes nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import msgspec
import structlog
from sqlalchemy import (
    ColumnElement,
    Connection,
    TextClause,
    case,
    delete,
    false,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from core.errors import ParleyError
from core.port import Incoming, Kind
from core.store.schema import OPEN, clock, conversations, messages, parts, turns
from core.store.schema import thoughts as thoughts_table

__all__ = [
    "OUT_OF_REACH",
    "Accepted",
    "Bounds",
    "LostLeaseError",
    "Sent",
    "State",
    "Turn",
    "accept",
    "answer_of",
    "cancel",
    "claim",
    "finish",
    "free",
    "heartbeat",
    "last_finished",
    "mark_part",
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
REST_IN = 1.2  # seconds in which the next message of a batch comes
LONGEST_BATCH = 15.0  # seconds
MOST_ATTACHED = 20
LONGEST_TEXT = 200_000  # characters of a batch


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


class Accepted(StrEnum):
    NEW = "new"
    JOINED = "joined"
    """It is the rest of a question that waited for it."""
    KNOWN = "known"
    """The event was kept before: a redelivery."""
    FULL = "full"
    """Too many wait in this conversation, or of this person; kept, to be refused."""
    FAST = "fast"
    """Too many of this person in a minute; kept, to be refused."""
    IGNORED = "ignored"
    """As FAST, and the person was told in this minute; not kept."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one person may have open or send; 0: as much as they like."""

    waiting: int = 0
    """Questions that wait in one conversation."""
    open: int = 0
    """Turns that are not finished, in all conversations."""
    a_minute: int = 0


@dataclass(frozen=True, slots=True)
class Sent:
    """A part of an answer as the platform has it; `message` is None while its fate is open, and
    `OUT_OF_REACH` where it stands in a chat that has moved.

    `state` is sending, sent, uncertain (it may or may not stand there) or dead (refused).
    """

    state: str
    message: str | None
    digest: str


def accept(
    connection: Connection,
    incoming: Incoming,
    *,
    key: str,
    person: str,
    ordered: bool,
    bounds: Bounds,
    note: str | None = None,
) -> Accepted:
    """Keep `incoming` and open its turn in the conversation named `key`, or join it to the turn
    that waits for the rest of its batch.
    """
    event = f"{incoming.place.platform}:{incoming.place.account}:{incoming.key}"
    if connection.scalar(select(turns.c.id).where(turns.c.key == event)) is not None:
        return Accepted.KNOWN
    upsert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    conversation, seq = connection.execute(
        upsert(conversations)
        .values(key=key, seq=int(ordered))
        .on_conflict_do_update(
            index_elements=["key"], set_={"seq": conversations.c.seq + int(ordered)}
        )
        .returning(conversations.c.id, conversations.c.seq)
    ).one()
    kept = {
        "conversation": conversation,
        "key": event,
        "incoming": msgspec.json.encode(incoming).decode(),
        "person": person,
        "created": clock(),
    }
    if ordered and _joined(connection, incoming, conversation, person):
        kept |= {"state": State.DONE, "finished": clock(), "note": Accepted.JOINED}
        connection.execute(insert(turns).values(**kept))
        return Accepted.JOINED
    refused = _beyond(connection, conversation, person, bounds, ordered=ordered)
    if refused is Accepted.IGNORED:
        return refused
    waits = ordered and not refused and incoming.batch is not None
    turn = connection.scalar(
        upsert(turns)
        .values(
            **kept,
            seq=seq if ordered and not refused else None,
            state=State.QUEUED,
            note=refused.value if refused else note,
            lease_until=clock() + REST_IN if waits else 0.0,
        )
        .on_conflict_do_nothing(index_elements=["key"])
        .returning(turns.c.id)
    )
    if turn is None:
        return Accepted.KNOWN
    return refused or Accepted.NEW


def _joined(connection: Connection, incoming: Incoming, conversation: int, person: str) -> bool:
    """Whether `incoming` has become part of a question that waits for it, and waits on."""
    mine = (
        turns.c.conversation == conversation,
        turns.c.person == person,
        turns.c.seq.is_not(None),
        turns.c.state == State.QUEUED,
        turns.c.lease_until > clock(),
    )
    row = connection.execute(
        select(turns.c.id, turns.c.incoming)
        .where(*mine, OPEN, turns.c.created > clock() - LONGEST_BATCH)
        .order_by(turns.c.id.desc())
        .limit(1)
    ).first()
    if row is None or incoming.kind is not Kind.PROMPT:
        return False
    begun = msgspec.json.decode(row.incoming, type=Incoming)
    attached = begun.attachments + incoming.attachments
    text = "\n".join(filter(None, (begun.text, incoming.text)))
    if begun.batch != (incoming.batch or ""):
        return False
    if len(attached) > MOST_ATTACHED or len(text) > LONGEST_TEXT:
        return False
    whole = msgspec.json.encode(replace(begun, text=text, attachments=attached)).decode()
    changed = connection.execute(
        update(turns)
        .where(turns.c.id == row.id, *mine)
        .values(incoming=whole, lease_until=clock() + REST_IN)
    )
    return changed.rowcount == 1


def _beyond(
    connection: Connection, conversation: int, person: str, bounds: Bounds, *, ordered: bool
) -> Accepted | None:
    """The bound that one more turn would break."""

    def many(*conditions: ColumnElement[bool] | TextClause) -> int:
        counted = select(func.count()).select_from(turns).where(*conditions)
        return connection.scalar(counted) or 0

    mine = turns.c.person == person
    if bounds.a_minute:
        minute = (mine, turns.c.created > clock() - 60)
        if many(*minute) >= bounds.a_minute:
            told = many(*minute, turns.c.note == Accepted.FAST)
            return Accepted.IGNORED if told else Accepted.FAST
    if bounds.open and many(mine, OPEN) >= bounds.open:
        return Accepted.FULL
    if ordered and bounds.waiting:
        here = (turns.c.conversation == conversation, turns.c.seq.is_not(None), OPEN)
        if many(*here) > bounds.waiting:
            return Accepted.FULL
    return None


def claim(
    connection: Connection,
    owner: str,
    accounts: Sequence[tuple[str, str]],
    *,
    lease: float,
    most: int,
    but: Sequence[int] = (),
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
        try:
            incoming = msgspec.json.decode(row.incoming, type=Incoming)
        except (msgspec.DecodeError, ValueError):
            # Damaged, or of a newer version: it would stand in everybody's way for ever.
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
    replace: bool = False,
    buttons: str | None = None,
    thoughts: str = "",
) -> None:
    """Running -> delivering: keep the question, the model's answer and what it cost.

    With `replace` the last exchange is left out of what the model is shown from now on, unless
    there is nothing to stand in its place.
    `thoughts` are kept apart: nothing is answered on them.
    """
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
    )
    if thoughts:
        connection.execute(delete(thoughts_table).where(thoughts_table.c.turn == turn.id))
        connection.execute(insert(thoughts_table).values(turn=turn.id, text=thoughts))
    if replace and not text:
        return
    if replace:
        last = connection.scalar(
            select(func.max(messages.c.id)).where(
                messages.c.conversation == turn.conversation,
                messages.c.role == "user",
                messages.c.replaced.is_(False),
            )
        )
        connection.execute(
            update(messages)
            .where(messages.c.conversation == turn.conversation, messages.c.id >= (last or 0))
            .values(replaced=True)
        )
    rows = [{"role": "user", "text": prompt}]
    if text:
        rows.append({"role": "assistant", "text": text})
    for row in rows:
        connection.execute(
            insert(messages).values(
                conversation=turn.conversation, turn=turn.id, created=clock(), **row
            )
        )


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
    bare = msgspec.json.encode(replace(turn.incoming, text="")).decode()
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


def last_finished(connection: Connection, conversation: int) -> tuple[str, str] | None:
    """The last question that counts in a conversation, and the message it was."""
    row = connection.execute(
        select(messages.c.text, turns.c.incoming)
        .join(turns, turns.c.id == messages.c.turn)
        .where(
            messages.c.conversation == conversation,
            messages.c.role == "user",
            messages.c.replaced.is_(False),
        )
        .order_by(messages.c.id.desc())
        .limit(1)
    ).first()
    if row is None:
        return None
    incoming = msgspec.json.decode(row.incoming, type=Incoming)
    return row.text, incoming.message or ""


def turn_of(connection: Connection, turn: int) -> tuple[int, Incoming, State] | None:
    """The conversation, the event and the state of a turn, for the buttons under it."""
    row = connection.execute(
        select(turns.c.conversation, turns.c.incoming, turns.c.state).where(turns.c.id == turn)
    ).first()
    if row is None:
        return None
    incoming = msgspec.json.decode(row.incoming, type=Incoming)
    return row.conversation, incoming, State(row.state)


def usage_today(connection: Connection, person: str, since: float) -> list[tuple[str, int, int]]:
    """(model, tokens, answers) of one person since `since`, most tokens first."""
    tokens = func.sum(turns.c.prompt_tokens + turns.c.completion_tokens)
    rows = connection.execute(
        select(turns.c.model, tokens, func.count())
        .where(turns.c.person == person, turns.c.created >= since, turns.c.model.is_not(None))
        .group_by(turns.c.model)
        .order_by(tokens.desc())
    )
    return [(row[0], int(row[1]), int(row[2])) for row in rows]
