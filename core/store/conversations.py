"""Conversations, choices, grants and small state: the rest of the repositories."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from core.store.schema import choices, clock, conversations, grants, messages, state

__all__ = [
    "Choice",
    "all_choices",
    "begin_anew",
    "choose",
    "find",
    "get_state",
    "grant",
    "granted",
    "is_operator",
    "knows_cut",
    "put_state",
    "revoke",
    "told_cut",
    "unchoose",
]


OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Choice:
    value: str
    chosen_by: str


def find(connection: Connection, key: str) -> int | None:
    return connection.scalar(select(conversations.c.id).where(conversations.c.key == key))


def begin_anew(connection: Connection, conversation: int, before: int) -> None:
    """Nothing said before the turn `before` is shown to a model again; it stays stored. Carried
    out late, or again, it leaves alone what was asked since.
    """
    last = connection.scalar(
        select(func.coalesce(func.max(messages.c.id), 0)).where(
            messages.c.conversation == conversation, messages.c.turn < before
        )
    )
    connection.execute(
        update(conversations)
        .where(conversations.c.id == conversation, conversations.c.since <= last)
        .values(since=last, told_cut=False)
    )


def knows_cut(connection: Connection, conversation: int) -> bool:
    """Whether the person was told that older messages stopped fitting."""
    return bool(
        connection.scalar(
            select(conversations.c.told_cut).where(conversations.c.id == conversation)
        )
    )


def told_cut(connection: Connection, conversation: int) -> None:
    connection.execute(
        update(conversations).where(conversations.c.id == conversation).values(told_cut=True)
    )


def choose(connection: Connection, scope: str, name: str, choice: Choice) -> None:
    upsert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    values = {"value": choice.value, "chosen_by": choice.chosen_by}
    connection.execute(
        upsert(choices)
        .values(scope=scope, name=name, **values)
        .on_conflict_do_update(index_elements=["scope", "name"], set_=values)
    )


def unchoose(connection: Connection, scopes: Sequence[str], name: str) -> int:
    return connection.execute(
        delete(choices).where(choices.c.scope.in_(scopes), choices.c.name == name)
    ).rowcount


def all_choices(connection: Connection, scopes: Sequence[str]) -> dict[tuple[str, str], Choice]:
    """Everything chosen in `scopes`, by (scope, name)."""
    rows = connection.execute(select(choices).where(choices.c.scope.in_(scopes)))
    return {(row.scope, row.name): Choice(row.value, row.chosen_by) for row in rows}


def grant(connection: Connection, subject: str, role: str, name: str) -> None:
    upsert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    values = {"role": role, "name": name}
    connection.execute(
        upsert(grants)
        .values(subject=subject, created=clock(), **values)
        .on_conflict_do_update(index_elements=["subject"], set_=values)
    )


def revoke(connection: Connection, subject: str) -> bool:
    return connection.execute(delete(grants).where(grants.c.subject == subject)).rowcount == 1


def granted(connection: Connection) -> dict[str, str]:
    """Who may use the bot: role by subject."""
    return {row.subject: row.role for row in connection.execute(select(grants))}


def is_operator(connection: Connection, platform: str, user: str) -> bool:
    subject = f"{platform}:person:{user}"
    return connection.scalar(select(grants.c.role).where(grants.c.subject == subject)) == OPERATOR


def get_state(connection: Connection, name: str) -> str | None:
    return connection.scalar(select(state.c.value).where(state.c.name == name))


def put_state(connection: Connection, name: str, value: str | None) -> None:
    if value is None:
        connection.execute(delete(state).where(state.c.name == name))
        return
    upsert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(
        upsert(state)
        .values(name=name, value=value)
        .on_conflict_do_update(index_elements=["name"], set_={"value": value})
    )


def states(connection: Connection, prefix: str) -> dict[str, str]:
    rows = connection.execute(select(state).where(state.c.name.startswith(prefix, autoescape=True)))
    return {row.name: row.value for row in rows}
