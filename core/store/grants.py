"""Who may use the bot. Subjects are persons, chats and servers: see `core.scopes`."""

from enum import StrEnum

from sqlalchemy import Connection, delete, select

from core.scopes import ScopeKind, grant_subject
from core.store.dialect import upsert
from core.store.schema import database_now, grants

__all__ = ["Role", "grant", "is_operator", "revoke", "roles_by_subject"]


class Role(StrEnum):
    OPERATOR = "operator"
    """An operator of the bot: sees everyone's usage and receives warnings."""
    MEMBER = "member"


def grant(connection: Connection, subject: str, role: Role, name: str) -> None:
    values = {"role": role, "name": name}
    row = {"subject": subject, "created_at": database_now(), **values}
    connection.execute(upsert(connection, grants, row, values))


def revoke(connection: Connection, subject: str) -> bool:
    """Whether the subject had a grant."""
    return connection.execute(delete(grants).where(grants.c.subject == subject)).rowcount == 1


def roles_by_subject(connection: Connection) -> dict[str, Role]:
    return {row.subject: Role(row.role) for row in connection.execute(select(grants))}


def is_operator(connection: Connection, platform: str, user: str) -> bool:
    subject = grant_subject(platform, ScopeKind.PERSON, user)
    return connection.scalar(select(grants.c.role).where(grants.c.subject == subject)) == Role.OPERATOR
