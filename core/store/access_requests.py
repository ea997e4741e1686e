"""Requests of strangers to use the bot, on which the operators decide.

A person has at most one. An undecided one expires, and a decision is forgotten, when `core.retention` deletes the row.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from sqlalchemy import Connection, exists, func, select, update

from core.port import EventKind, Incoming, Sender
from core.scopes import conversation_key, person_key, person_subject
from core.store.dialect import insert
from core.store.grants import Role, add_member
from core.store.inbound import InboundLimits, accept_event
from core.store.incoming_codec import decode_incoming, encode_incoming
from core.store.schema import access_requests, database_now, grants, turns

MAX_PENDING = 200
"""While this many wait for a decision, further strangers get nothing."""
MAX_DECIDER_CHARS = 200
NO_LIMITS = InboundLimits()

IS_PENDING = access_requests.c.decision.is_(None) & ~exists().where(grants.c.subject == access_requests.c.subject)
"""Undecided, and neither allowed nor banned meanwhile by another way."""


class Decision(StrEnum):
    APPROVED = "approved"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class AccessRequest:
    subject: str
    """As `parley allow` takes it."""
    name: str
    decision: Decision | None = None
    decided_by: str = ""
    """The name of the operator."""


@dataclass(frozen=True, slots=True)
class PendingRequests:
    oldest: list[AccessRequest]
    count: int


def request_access(
    connection: Connection, incoming: Incoming, name: str, notice: Incoming | None, *, link: str = ""
) -> bool:
    """Store a request of the sender, and open the turn of a notice to them. False if they have one, or many wait.

    `link`: the model that the person's link to the bot names, for the welcome.
    """
    if count_pending(connection) >= MAX_PENDING:
        return False
    row = {
        "subject": person_subject(incoming.sender),
        "name": name,
        "incoming_json": encode_incoming(replace(_without_content(incoming), text=link)),
        "created_at": database_now(),
    }
    statement = insert(connection, access_requests).values(**row).on_conflict_do_nothing()
    if connection.execute(statement.returning(access_requests.c.subject)).first() is None:
        return False
    if notice is not None:
        accept_notice(connection, notice)
    return True


def count_pending(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(access_requests).where(IS_PENDING)) or 0


def list_pending(connection: Connection, limit: int) -> PendingRequests:
    rows = connection.execute(
        select(access_requests.c.subject, access_requests.c.name)
        .where(IS_PENDING)
        .order_by(access_requests.c.created_at, access_requests.c.subject)
        .limit(limit)
    )
    return PendingRequests([AccessRequest(row.subject, row.name) for row in rows], count_pending(connection))


def seconds_until_announcement(connection: Connection, interval: float) -> float | None:
    """Until the operators may be told of new requests: at most once in `interval` seconds. None if none is new."""
    if connection.scalar(select(func.count()).where(IS_PENDING, access_requests.c.announced_at.is_(None))) == 0:
        return None
    elapsed = connection.scalar(select(database_now() - func.max(access_requests.c.announced_at)))
    return 0.0 if elapsed is None else max(0.0, interval - elapsed)


def announce_requests(connection: Connection, notices: Iterable[Incoming], interval: float) -> bool:
    """Open the turns of notices to the operators. False if another process was faster."""
    if seconds_until_announcement(connection, interval) != 0.0:
        return False
    new = access_requests.c.announced_at.is_(None)
    if not connection.execute(update(access_requests).where(new).values(announced_at=database_now())).rowcount:
        return False
    for notice in notices:
        accept_notice(connection, notice)
    return True


def decide_request(
    connection: Connection, subject: str, decision: Decision, operator: Sender, welcome: str, welcome_delay: float
) -> AccessRequest | None:
    """Store the operator's decision. An approved person gets a grant and, where they asked, the reply to the command
    `welcome`: `welcome_delay` seconds later, when every process knows the grant.

    Returns the request as it was before: if it has a decision, that one stands. None if there is no request.
    """
    row = connection.execute(
        select(access_requests).where(access_requests.c.subject == subject).with_for_update()
    ).first()
    if row is None:
        return None
    request = AccessRequest(subject, row.name, Decision(row.decision) if row.decision else None, row.decided_by or "")
    if request.decision is not None:
        return request
    decider = {"decided_by": operator.name[:MAX_DECIDER_CHARS], "decided_by_key": person_key(operator)}
    values = {"decision": decision, **decider, "decided_at": database_now()}
    connection.execute(update(access_requests).where(access_requests.c.subject == subject).values(**values))
    if decision is Decision.APPROVED and add_member(connection, subject, row.name) is not Role.BANNED:
        asked = decode_incoming(row.incoming_json)
        if asked is not None:
            notice = replace(as_notice(asked, welcome, f"welcome {asked.key}"[:60]), text=asked.text)
            accept_notice(connection, notice, welcome_delay)
    return request


def as_notice(incoming: Incoming, command: str, key: str) -> Incoming:
    """The event by which the bot writes to the sender of `incoming` unprompted: the reply to `command`."""
    return replace(_without_content(incoming), command=command, key=key)


def accept_notice(connection: Connection, notice: Incoming, delay: float = 0.0) -> None:
    """Open the turn of a message that the bot writes unprompted, after `delay` seconds at the earliest."""
    accept_event(
        connection,
        notice,
        conversation_key=conversation_key(notice.place, notice.sender, shared=False),
        person_key=person_key(notice.sender),
        ordered=False,
        is_exempt=True,
        limits=NO_LIMITS,
    )
    if delay:
        event_key = f"{notice.place.account_key}:{notice.key}"
        statement = update(turns).where(turns.c.event_key == event_key)
        connection.execute(statement.values(not_before=database_now() + delay))


def _without_content(incoming: Incoming) -> Incoming:
    """Who asked, and where: what a message of the bot needs."""
    return Incoming(
        EventKind.COMMAND,
        incoming.key,
        incoming.place,
        replace(incoming.sender, roles=()),
        "",
        message_id=incoming.message_id,
        place_language=incoming.place_language,
    )
