"""Who may use the bot, and who never may. Subjects are persons, chats, servers and roles: see `core.scopes`."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, delete, select, true, update

from core.scopes import ScopeKind, grant_subject, grant_subjects, is_role_subject, person_key_of_subject
from core.store.dialect import insert, upsert
from core.store.incoming_codec import decode_incoming, erase_content
from core.store.schema import IS_OPEN, access_requests, database_now, grants, turns
from core.store.turns import TurnState


class Role(StrEnum):
    OPERATOR = "operator"
    """An operator of the bot: sees everyone's usage and receives warnings."""
    MEMBER = "member"
    BANNED = "banned"
    """No grant: whoever is banned, in person or by the place or a role, gets nothing, whatever else they are."""


@dataclass(frozen=True, slots=True)
class Grant:
    subject: str
    role: Role
    name: str
    """The person's name when they paired or were approved; empty for other grants."""
    created_at: float


def grant(connection: Connection, subject: str, role: Role, name: str) -> None:
    values = {"role": role, "name": name}
    upsert(connection, grants, {"subject": subject}, {**values, "created_at": database_now()}, update=values)


def add_member(connection: Connection, subject: str, name: str = "") -> Role:
    """Let the subject use the bot. Returns its role: an operator stays one, and a ban stays."""
    row = {"subject": subject, "role": Role.MEMBER, "name": name, "created_at": database_now()}
    connection.execute(insert(connection, grants).values(**row).on_conflict_do_nothing())
    return Role(connection.scalars(select(grants.c.role).where(grants.c.subject == subject)).one())


def revoke(connection: Connection, subject: str, *, is_open_to_all: bool = False) -> bool:
    """Take a grant away; a ban stays. Whether the subject had one.

    The open turns of those who now have no access end without a reply: none if the bot `is_open_to_all`, and none on
    servers of a platform where a role is allowed, because turns do not store roles.
    """
    if not _delete(connection, subject, grants.c.role != Role.BANNED):
        return False
    if not is_open_to_all:
        roles = roles_by_subject(connection)
        _end_turns(connection, subject, still_allowed={other for other in roles if roles[other] is not Role.BANNED})
    return True


def list_operators(connection: Connection) -> list[str]:
    """The subjects of the operators, sorted."""
    return list(
        connection.scalars(select(grants.c.subject).where(grants.c.role == Role.OPERATOR).order_by(grants.c.subject))
    )


def has_operator(connection: Connection) -> bool:
    return bool(list_operators(connection))


def ban(connection: Connection, subject: str) -> Role:
    """Ban the subject. Its waiting and running turns end without a reply. A person's request for access is deleted.

    Returns its role: an operator is not banned.
    """
    row = {"subject": subject, "role": Role.BANNED, "name": "", "created_at": database_now()}
    statement = insert(connection, grants).values(**row)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["subject"], set_={"role": Role.BANNED}, where=grants.c.role != Role.OPERATOR
        )
    )
    role = Role(connection.scalars(select(grants.c.role).where(grants.c.subject == subject)).one())
    if role is Role.BANNED:
        connection.execute(delete(access_requests).where(access_requests.c.subject == subject))
        _end_turns(connection, subject)
    return role


def lift_ban(connection: Connection, subject: str) -> bool:
    """Whether the subject was banned."""
    return _delete(connection, subject, grants.c.role == Role.BANNED)


def _delete(connection: Connection, subject: str, condition: ColumnElement[bool]) -> bool:
    return connection.execute(delete(grants).where(grants.c.subject == subject, condition)).rowcount == 1


def _end_turns(connection: Connection, subject: str, still_allowed: AbstractSet[str] = frozenset()) -> None:
    """Finish the open turns that concern `subject` and certainly none of `still_allowed`.

    The processes that run some lose them with their next heartbeat. A role ends none: turns do not store roles.
    """
    platforms_with_roles = {allowed.partition(":")[0] for allowed in still_allowed if is_role_subject(allowed)}
    person_key = person_key_of_subject(subject)
    may_concern = turns.c.person_key == person_key if person_key is not None else true()
    for row in connection.execute(select(turns.c.id, turns.c.incoming_json).where(may_concern, IS_OPEN)).all():
        incoming = decode_incoming(row.incoming_json)
        subjects = set(grant_subjects(incoming)) if incoming is not None else set()
        if (person_key is None and subject not in subjects) or subjects & still_allowed:
            continue
        if incoming is not None and incoming.place.server and incoming.place.platform in platforms_with_roles:
            continue
        connection.execute(
            update(turns)
            .where(turns.c.id == row.id, IS_OPEN)
            .values(
                state=TurnState.STOPPED,
                finished_at=database_now(),
                incoming_json=erase_content(row.incoming_json),
                note=None,
                buttons_json=None,
            )
        )


def list_grants(connection: Connection) -> list[Grant]:
    """All grants, sorted by platform and kind."""
    rows = connection.execute(select(grants).order_by(grants.c.subject))
    return [Grant(row.subject, Role(row.role), row.name, row.created_at) for row in rows]


def roles_by_subject(connection: Connection) -> dict[str, Role]:
    return {row.subject: Role(row.role) for row in connection.execute(select(grants))}


def is_operator(connection: Connection, platform: str, user: str) -> bool:
    subject = grant_subject(platform, ScopeKind.PERSON, user)
    return connection.scalar(select(grants.c.role).where(grants.c.subject == subject)) == Role.OPERATOR
