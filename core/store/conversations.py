"""Conversations, choices, grants and small state: the rest of the repositories."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from core.scopes import ScopeKind, grant_subject
from core.store.schema import conversations, database_now, grants, key_values, messages, preferences

__all__ = [
    "Preference",
    "delete_preference",
    "find_conversation",
    "get_value",
    "grant",
    "is_operator",
    "is_truncation_notified",
    "list_preferences",
    "mark_truncation_notified",
    "reset_history",
    "revoke",
    "roles_by_subject",
    "set_preference",
    "set_value",
]


OPERATOR_ROLE = "operator"


@dataclass(frozen=True, slots=True)
class Preference:
    value: str
    set_by: str


def find_conversation(connection: Connection, key: str) -> int | None:
    return connection.scalar(select(conversations.c.id).where(conversations.c.key == key))


def reset_history(connection: Connection, conversation: int, before_turn: int) -> None:
    """Nothing said before the turn `before` is shown to a model again; it stays stored. Carried
    out late, or again, it leaves alone what was asked since.
    """
    last_message = connection.scalar(
        select(func.coalesce(func.max(messages.c.id), 0)).where(
            messages.c.conversation == conversation, messages.c.turn < before_turn
        )
    )
    connection.execute(
        update(conversations)
        .where(conversations.c.id == conversation, conversations.c.since <= last_message)
        .values(since=last_message, told_cut=False)
    )


def is_truncation_notified(connection: Connection, conversation: int) -> bool:
    """Whether the person was told that older messages stopped fitting."""
    return bool(connection.scalar(select(conversations.c.told_cut).where(conversations.c.id == conversation)))


def mark_truncation_notified(connection: Connection, conversation: int) -> None:
    connection.execute(update(conversations).where(conversations.c.id == conversation).values(told_cut=True))


def set_preference(connection: Connection, scope: str, name: str, preference: Preference) -> None:
    upsert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    values = {"value": preference.value, "chosen_by": preference.set_by}
    connection.execute(
        upsert(preferences)
        .values(scope=scope, name=name, **values)
        .on_conflict_do_update(index_elements=["scope", "name"], set_=values)
    )


def delete_preference(connection: Connection, scopes: Sequence[str], name: str) -> int:
    return connection.execute(
        delete(preferences).where(preferences.c.scope.in_(scopes), preferences.c.name == name)
    ).rowcount


def list_preferences(connection: Connection, scopes: Sequence[str]) -> dict[tuple[str, str], Preference]:
    """Everything chosen in `scopes`, by (scope, name)."""
    rows = connection.execute(select(preferences).where(preferences.c.scope.in_(scopes)))
    return {(row.scope, row.name): Preference(row.value, row.chosen_by) for row in rows}


def grant(connection: Connection, subject: str, role: str, name: str) -> None:
    upsert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    values = {"role": role, "name": name}
    connection.execute(
        upsert(grants)
        .values(subject=subject, created=database_now(), **values)
        .on_conflict_do_update(index_elements=["subject"], set_=values)
    )


def revoke(connection: Connection, subject: str) -> bool:
    return connection.execute(delete(grants).where(grants.c.subject == subject)).rowcount == 1


def roles_by_subject(connection: Connection) -> dict[str, str]:
    """Who may use the bot: role by subject."""
    return {row.subject: row.role for row in connection.execute(select(grants))}


def is_operator(connection: Connection, platform: str, user: str) -> bool:
    subject = grant_subject(platform, ScopeKind.PERSON, user)
    return connection.scalar(select(grants.c.role).where(grants.c.subject == subject)) == OPERATOR_ROLE


def get_value(connection: Connection, key: str) -> str | None:
    return connection.scalar(select(key_values.c.value).where(key_values.c.name == key))


def set_value(connection: Connection, key: str, value: str | None) -> None:
    if value is None:
        connection.execute(delete(key_values).where(key_values.c.name == key))
        return
    upsert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(
        upsert(key_values)
        .values(name=key, value=value)
        .on_conflict_do_update(index_elements=["name"], set_={"value": value})
    )


def values_by_prefix(connection: Connection, prefix: str) -> dict[str, str]:
    rows = connection.execute(select(key_values).where(key_values.c.name.startswith(prefix, autoescape=True)))
    return {row.name: row.value for row in rows}
