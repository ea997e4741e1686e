"""Preferences that people set, by scope (a chat, thread, person or server; see `core.scopes`) and name."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, bindparam, delete, select, update

from core.store.dialect import upsert
from core.store.schema import preferences


class PreferenceName(StrEnum):
    """People type some of the values, as in `/settings length 500`."""

    MODEL = "model"
    SYSTEM_PROMPT = "system"
    PERSONA = "persona"
    SHARED_CONVERSATION = "share"
    TEMPERATURE = "temperature"
    ANSWER_LENGTH = "length"
    REASONING_EFFORT = "effort"
    SHOW_REASONING = "reasoning"
    RICH_MESSAGES = "rich"
    LANGUAGE = "language"
    """Which the person chose for the bot's own messages."""
    CLIENT_LANGUAGE = "client language"
    """The language of the person's client, from the last event that named one."""


@dataclass(frozen=True, slots=True)
class Preference:
    value: str
    set_by: str
    """The name of the person who set it; may be empty."""
    set_by_key: str = ""
    """See `core.scopes.person_key`; empty: unknown."""
    notified_model: str = ""
    """The last model of which the person was told that it does not accept the value."""


def set_preference(connection: Connection, scope: str, name: PreferenceName, preference: Preference) -> None:
    values = {
        "value": preference.value,
        "set_by": preference.set_by,
        "set_by_key": preference.set_by_key,
        "notified_model": preference.notified_model,
    }
    upsert(connection, preferences, {"scope": scope, "name": name}, values)


def replace_value(connection: Connection, scope: str, name: PreferenceName, old: str, new: str) -> None:
    """Replace the value of a preference, unless somebody has changed it meanwhile."""
    is_preference = (preferences.c.scope == scope, preferences.c.name == name, preferences.c.value == old)
    connection.execute(update(preferences).where(*is_preference).values(value=new, notified_model=""))


def mark_notified(connection: Connection, scope: str, name: PreferenceName, model: str) -> None:
    """The person has been told that `model` does not accept this preference."""
    is_preference = (preferences.c.scope == scope, preferences.c.name == name)
    connection.execute(update(preferences).where(*is_preference).values(notified_model=model))


def delete_preference(connection: Connection, scopes: Sequence[str], name: PreferenceName) -> int:
    """Delete a preference. Returns how many of `scopes` had it."""
    return connection.execute(
        delete(preferences).where(preferences.c.scope.in_(scopes), preferences.c.name == name)
    ).rowcount


SELECT_PREFERENCES = select(preferences).where(preferences.c.scope.in_(bindparam("scopes", expanding=True)))


def list_preferences(connection: Connection, scopes: Sequence[str]) -> dict[tuple[str, str], Preference]:
    """All preferences of `scopes`, by (scope, name)."""
    rows = connection.execute(SELECT_PREFERENCES, {"scopes": scopes})
    return {
        (row.scope, row.name): Preference(row.value, row.set_by, row.set_by_key, row.notified_model) for row in rows
    }
