"""Who may use the bot, and who never may. Subjects are persons, chats, servers and roles: see `core.scopes`."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, delete, select, update

from core.scopes import ScopeKind, grant_subject, person_key_of_subject
from core.store.dialect import insert, upsert
from core.store.incoming_codec import erase_content
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


def revoke(connection: Connection, subject: str) -> bool:
    """Take a grant away; a ban stays. Whether the subject had one."""
    return _delete(connection, subject, grants.c.role != Role.BANNED)


def list_operators(connection: Connection) -> list[str]:
    """The subjects of the operators, sorted."""
    return list(
        connection.scalars(select(grants.c.subject).where(grants.c.role == Role.OPERATOR).order_by(grants.c.subject))
    )


def has_operator(connection: Connection) -> bool:
    return bool(list_operators(connection))


def ban(connection: Connection, subject: str) -> Role:
    """Ban the subject. A person's waiting and running turns end without a reply. Their request for access is deleted.

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
    person_key = person_key_of_subject(subject)
    if role is Role.BANNED and person_key is not None:
        connection.execute(delete(access_requests).where(access_requests.c.subject == subject))
        _end_turns(connection, person_key)
    return role


def lift_ban(connection: Connection, subject: str) -> bool:
    """Whether the subject was banned."""
    return _delete(connection, subject, grants.c.role == Role.BANNED)


def _delete(connection: Connection, subject: str, condition: ColumnElement[bool]) -> bool:
    return connection.execute(delete(grants).where(grants.c.subject == subject, condition)).rowcount == 1


def _end_turns(connection: Connection, person_key: str) -> None:
    """Finish the person's open turns. The processes that run some lose them with their next heartbeat."""
    is_theirs = (turns.c.person_key == person_key, IS_OPEN)
    for row in connection.execute(select(turns.c.id, turns.c.incoming_json).where(*is_theirs)).all():
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
