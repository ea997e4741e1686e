"""Which process works on which turn: claims, heartbeats, hand-over, cancellation.

A claim is a lease on a turn. Its owner renews it with heartbeats; when the owner dies the lease expires and another
process claims the turn. Only the first open turn of each conversation can be claimed, so answers come in the order
of the questions:

    seq 7  finished
    seq 8  open, claimed by process A
    seq 9  open, waits until 8 is finished
    -      a command has no seq and overtakes, together with at most seven others

A turn that has been claimed many times may crash its processes. Such suspects are claimed separately
(`ClaimFilter.SUSPECT`), so that a crash does not interrupt other turns again and again.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

import structlog
from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    Integer,
    Row,
    and_,
    bindparam,
    case,
    exists,
    false,
    func,
    or_,
    select,
    true,
    update,
)

from core.port import AccountKey
from core.store.incoming_codec import StoredIncoming, decode_incoming, erase_content
from core.store.list_parameters import pad
from core.store.schema import CLOCK_TOLERANCE_SECONDS, IS_OPEN, database_now, turns
from core.store.turns import Refusal, Turn, TurnState

log = structlog.get_logger(__name__)

MAX_COMMANDS_AT_ONCE = 8
"""Per conversation: somebody who sends hundreds must not occupy a process."""
RECENT_STOP_SECONDS = 15
SUSPECT_ATTEMPTS = 7
"""Failed attempts after which a turn is suspected of crashing its processes."""


class ClaimFilter(StrEnum):
    NORMAL = "normal"
    """All turns except suspects."""
    COMMANDS = "commands"
    """Normal turns that overtake."""
    SUSPECT = "suspect"
    """Turns that were running when several processes died."""


@dataclass(frozen=True, slots=True)
class CancelResult:
    running: list[int]
    """IDs of the turns whose owners have to stop."""
    dropped: int
    """The number of messages that waited, in queued turns that were cancelled."""
    marked: tuple[StoredIncoming, ...] = ()
    """The questions among them whose messages may have a mark to remove."""


def claim_turns(
    connection: Connection,
    owner: str,
    accounts: Sequence[AccountKey],
    *,
    lease_seconds: float,
    limit: int,
    exclude: Sequence[int] = (),
    busy_chats: Sequence[str] = (),
    command_chats: Sequence[str] = (),
    claim_filter: ClaimFilter = ClaimFilter.NORMAL,
) -> list[Turn]:
    """Claim up to `limit` turns of these accounts that are free and ready to run.

    `exclude` contains the turns that this process is still working on: a late heartbeat renews their leases.
    `busy_chats` contains the keys of chats from which it takes only commands now, `command_chats` of those from which
    it takes none of these.
    """
    parameters = {"claim_owner": owner, "lease_seconds": lease_seconds, "max_claimed": limit}
    lists = {"excluded": exclude, "busy_chats": busy_chats, "command_chats": command_chats}
    used_lists = {name: pad(values) for name, values in lists.items() if values}
    statement = _claim_statement(tuple(accounts), claim_filter, tuple(used_lists))
    rows = connection.execute(statement, {**parameters, **used_lists}).all()
    claimed = (_decode_turn(connection, row) for row in sorted(rows, key=lambda row: int(row.id)))
    return [turn for turn in claimed if turn is not None]


@lru_cache(maxsize=64)
def _claim_statement(accounts: tuple[AccountKey, ...], claim_filter: ClaimFilter, lists: tuple[str, ...]) -> Any:
    """`lists`: the parameters that are no empty lists. SQLAlchemy writes them into the statement at each execution."""
    other = turns.alias()
    is_open_beside = (other.c.conversation_id == turns.c.conversation_id, other.c.finished_at.is_(None))
    next_seq = select(func.min(other.c.seq)).where(*is_open_beside).scalar_subquery()
    earlier_commands = (
        select(other.c.id)
        .where(*is_open_beside, other.c.seq.is_(None), other.c.id < turns.c.id)
        .offset(MAX_COMMANDS_AT_ONCE - 1)
        .limit(1)
    )
    is_command = turns.c.seq.is_(None) & turns.c.refusal.is_(None)
    list_conditions = {
        "excluded": turns.c.id.not_in(bindparam("excluded", expanding=True)),
        "busy_chats": or_(is_command, turns.c.chat_key.not_in(bindparam("busy_chats", expanding=True))),
        "command_chats": or_(~is_command, turns.c.chat_key.not_in(bindparam("command_chats", expanding=True))),
    }
    claimable = (
        select(turns.c.id)
        .where(
            IS_OPEN,
            _of_accounts(accounts),
            # A restarted turn is still leased to the process that gives it up.
            or_(
                turns.c.lease_expires_at < database_now(),
                (turns.c.owner == bindparam("claim_owner")) & (turns.c.state == TurnState.QUEUED),
            ),
            # A turn from the future was created before the clock was set back: its batch is complete.
            or_(turns.c.not_before < database_now(), turns.c.created_at > database_now() + CLOCK_TOLERANCE_SECONDS),
            _matches(claim_filter),
            or_(turns.c.seq.is_(None) & ~exists(earlier_commands), turns.c.seq == next_seq),
            *(list_conditions[name] for name in lists),
        )
        .order_by(turns.c.id)
        .limit(bindparam("max_claimed", type_=Integer))
        .with_for_update(skip_locked=True)
    )
    return (
        update(turns)
        .where(turns.c.id.in_(claimable))
        .values(
            owner=bindparam("claim_owner"),
            lease_expires_at=LEASE_END,
            attempt=turns.c.attempt + 1,
            failed_attempts=FAILED_ATTEMPTS,
            state=case((turns.c.state == TurnState.QUEUED, TurnState.RUNNING), else_=turns.c.state),
        )
        .returning(turns, (database_now() - turns.c.created_at).label("age_seconds"))
    )


FAILED_ATTEMPTS = turns.c.failed_attempts + case(
    ((turns.c.state != TurnState.QUEUED) & turns.c.owner.is_not(None), 1), else_=0
)
"""Computed when a turn is claimed. A claim failed if its owner neither handed the turn over nor had to start again."""
LEASE_END = database_now() + bindparam("lease_seconds", type_=Float)
SHORTEN_LEASES = (
    update(turns)
    .where(IS_OPEN, turns.c.lease_expires_at > LEASE_END + CLOCK_TOLERANCE_SECONDS)
    .values(lease_expires_at=LEASE_END)
)


def has_open_turns(
    connection: Connection, accounts: Sequence[AccountKey] | None = None, *, exclude: Collection[int] = ()
) -> bool:
    """Whether any turn of these accounts, or of all, is unfinished, even if it cannot be claimed yet.

    `exclude`: those that are known.
    """
    statement = _open_turns_statement(None if accounts is None else tuple(accounts))
    open_turns = connection.scalars(statement, {"max_turns": len(exclude) + 1})
    return any(id_ not in exclude for id_ in open_turns)


@lru_cache(maxsize=64)
def _open_turns_statement(accounts: tuple[AccountKey, ...] | None) -> Any:
    is_included = true() if accounts is None else _of_accounts(accounts)
    return select(turns.c.id).where(IS_OPEN, is_included).limit(bindparam("max_turns", type_=Integer))


def shorten_leases(connection: Connection, lease_seconds: float) -> None:
    """Give owners the usual time to renew leases that last longer: the clock was set back since they were acquired."""
    connection.execute(SHORTEN_LEASES, {"lease_seconds": lease_seconds})


def _of_accounts(accounts: Sequence[AccountKey]) -> ColumnElement[bool]:
    return or_(false(), *(turns.c.event_key.startswith(f"{key}:", autoescape=True) for key in accounts))


def _matches(claim_filter: ClaimFilter) -> ColumnElement[bool]:
    if claim_filter is ClaimFilter.SUSPECT:
        return FAILED_ATTEMPTS >= SUSPECT_ATTEMPTS
    is_command = turns.c.seq.is_(None) if claim_filter is ClaimFilter.COMMANDS else true()
    return (FAILED_ATTEMPTS < SUSPECT_ATTEMPTS) & is_command


def _decode_turn(connection: Connection, row: Row[Any]) -> Turn | None:
    """None for an event that this version cannot decode. After enough attempts, its turn fails."""
    incoming = decode_incoming(row.incoming_json)
    if incoming is not None:
        return Turn(
            id=row.id,
            conversation_id=row.conversation_id or 0,
            seq=row.seq,
            state=TurnState(row.state),
            incoming=incoming,
            owner=row.owner,
            attempt=row.attempt,
            failed_attempts=row.failed_attempts,
            age_seconds=row.age_seconds,
            model=row.model,
            note=row.note,
            refusal=Refusal(row.refusal) if row.refusal else None,
            buttons_json=row.buttons_json,
            final_state=TurnState(row.final_state or TurnState.DONE),
        )
    if row.failed_attempts + 1 < SUSPECT_ATTEMPTS:
        log.warning("turn.unreadable", turn=row.id)  # a newer process may be able to read it
        return None
    # An open turn would block its conversation forever.
    log.error("turn.discarded", turn=row.id)
    failed = {"state": TurnState.FAILED, "finished_at": database_now()}
    connection.execute(update(turns).where(turns.c.id == row.id).values(**failed))
    return None


SELECT_LEASES = select(turns.c.id).where(
    turns.c.id.in_(bindparam("ids", expanding=True)),
    turns.c.owner == bindparam("lease_owner"),
    turns.c.state != TurnState.QUEUED,
    IS_OPEN,
)
RENEW_LEASES = (
    update(turns)
    # One row that another transaction has locked must not keep all others waiting.
    .where(turns.c.id.in_(SELECT_LEASES.with_for_update(skip_locked=True)))
    .values(lease_expires_at=LEASE_END)
    .returning(turns.c.id, turns.c.cancel_requested)
)


SELECT_CANCELLATIONS = SELECT_LEASES.add_columns(turns.c.cancel_requested)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    kept: dict[int, bool]
    """The turns that the process still has, and whether each is to be cancelled."""
    lost: set[int]


def heartbeat(connection: Connection, owner: str, ids: Sequence[int], *, lease_seconds: float) -> Heartbeat:
    """Renew the leases of `ids`. A lease in neither list could not be renewed, and `owner` still has it.

    A turn that was restarted (`restart_turn`) is queued again, and lost.
    """
    parameters = {"ids": pad(ids), "lease_owner": owner}
    rows = connection.execute(RENEW_LEASES, {**parameters, "lease_seconds": lease_seconds})
    renewed = {row.id: row.cancel_requested for row in rows}
    lost = set(ids) - renewed.keys()
    if lost:
        lost -= set(connection.scalars(SELECT_LEASES, parameters))
    return Heartbeat(renewed, lost)


def check_leases(connection: Connection, owner: str, ids: Sequence[int]) -> Heartbeat:
    """Like `heartbeat`, but renews nothing: for a process that alone uses the database and cannot lose a lease to
    another one. It reads the leases that `owner` still has.
    """
    rows = connection.execute(SELECT_CANCELLATIONS, {"ids": pad(ids), "lease_owner": owner})
    kept = {row.id: row.cancel_requested for row in rows}
    return Heartbeat(kept, set(ids) - kept.keys())


def release_turns(connection: Connection, owner: str, ids: Iterable[int]) -> None:
    """Free the leases, so that another process can continue at once. The attempt does not count as failed."""
    connection.execute(
        update(turns)
        .where(turns.c.owner == owner, turns.c.id.in_(list(ids)), IS_OPEN)
        .values(lease_expires_at=0, owner=None)
    )


def expire_leases(connection: Connection, accounts: Sequence[AccountKey]) -> int:
    """Free the leases of all turns of `accounts`. Only for a process that alone serves them."""
    return connection.execute(
        update(turns)
        .where(IS_OPEN, _of_accounts(accounts), turns.c.state != TurnState.QUEUED)
        .values(lease_expires_at=0)
    ).rowcount


def cancel_turns(
    connection: Connection, conversation_id: int, before_turn: int, *, target: int | None = None
) -> CancelResult:
    """Drop the queued turns of a conversation, and ask the owners of the running ones to stop.

    Turns from `before_turn` on are newer than the request to stop and are not affected. Neither are those that answer
    the same question as `target`, the turn that the request names.
    """
    named = turns.alias()
    seq_of_target = select(named.c.seq).where(named.c.id == target).scalar_subquery()
    is_companion = and_(turns.c.id != target, turns.c.seq == seq_of_target) if target is not None else false()
    is_older_question = (
        ~is_companion,
        turns.c.conversation_id == conversation_id,
        turns.c.id < before_turn,
        turns.c.seq.is_not(None),
        IS_OPEN,
    )
    dropped = connection.execute(
        update(turns)
        .where(*is_older_question, turns.c.state == TurnState.QUEUED)
        .values(state=TurnState.STOPPED, finished_at=database_now())
        .returning(turns.c.id, turns.c.incoming_json)
    ).all()
    for row in dropped:
        erased = {"incoming_json": erase_content(row.incoming_json)}
        connection.execute(update(turns).where(turns.c.id == row.id).values(**erased))
    running = connection.scalars(
        update(turns)
        .where(*is_older_question, turns.c.state == TurnState.RUNNING)
        .values(cancel_requested=True)
        .returning(turns.c.id)
    ).all()
    questions = [decode_incoming(row.incoming_json) for row in dropped]
    marked = tuple(question for question in questions if question is not None and question.was_first_waiting)
    return CancelResult(list(running), sum(map(_count_messages, questions)), marked)


def _count_messages(question: StoredIncoming | None) -> int:
    """How many messages the question consists of."""
    return max(1, len(question.pieces)) if question is not None else 1


def was_just_stopped(connection: Connection, conversation_id: int, before_turn: int) -> bool:
    """Whether the last question before `before_turn` was stopped within the last `RECENT_STOP_SECONDS`.

    A question that is being stopped counts as well: the part of its answer that exists is being delivered.
    """
    last = connection.execute(
        select(
            turns.c.state,
            (turns.c.cancel_requested | (turns.c.final_state == TurnState.STOPPED)).label("is_ending"),
            (database_now() - turns.c.finished_at).label("age"),
        )
        .where(turns.c.conversation_id == conversation_id, turns.c.id < before_turn, turns.c.seq.is_not(None))
        .order_by(turns.c.id.desc())
        .limit(1)
    ).first()
    if last is None:
        return False
    is_stopped = bool(last.is_ending) if last.age is None else last.state == TurnState.STOPPED
    return is_stopped and (last.age or 0.0) < RECENT_STOP_SECONDS
