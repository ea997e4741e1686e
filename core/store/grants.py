"""Who may use the bot. Subjects are persons, chats and servers: see `core.scopes`."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, delete, select

from core.scopes import ScopeKind, grant_subject
from core.store.dialect import insert, upsert
from core.store.schema import database_now, grants


class Role(StrEnum):
    OPERATOR = "operator"
    """An operator of the bot: sees everyone's usage and receives warnings."""
    MEMBER = "member"


@dataclass(frozen=True, slots=True)
class Grant:
    subject: str
    role: Role
    name: str
    """The person's name when they paired; empty for other grants."""
    created_at: float


def grant(connection: Connection, subject: str, role: Role, name: str) -> None:
    values = {"role": role, "name": name}
    upsert(connection, grants, {"subject": subject}, {**values, "created_at": database_now()}, update=values)


def add_member(connection: Connection, subject: str) -> Role:
    """Let the subject use the bot. Returns its role: an operator stays one."""
    row = {"subject": subject, "role": Role.MEMBER, "name": "", "created_at": database_now()}
    connection.execute(insert(connection, grants).values(**row).on_conflict_do_nothing())
    return Role(connection.scalars(select(grants.c.role).where(grants.c.subject == subject)).one())


def revoke(connection: Connection, subject: str) -> bool:
    """Whether the subject had a grant."""
    return connection.execute(delete(grants).where(grants.c.subject == subject)).rowcount == 1


def list_grants(connection: Connection) -> list[Grant]:
    """All grants, sorted by platform and kind."""
    rows = connection.execute(select(grants).order_by(grants.c.subject))
    return [Grant(row.subject, Role(row.role), row.name, row.created_at) for row in rows]


def roles_by_subject(connection: Connection) -> dict[str, Role]:
    return {row.subject: Role(row.role) for row in connection.execute(select(grants))}


def is_operator(connection: Connection, platform: str, user: str) -> bool:
    subject = grant_subject(platform, ScopeKind.PERSON, user)
    return connection.scalar(select(grants.c.role).where(grants.c.subject == subject)) == Role.OPERATOR
