"""Small state by key: the model catalogue, the pairing code, token weights, positions of adapters."""

from collections.abc import Callable

from sqlalchemy import Connection, delete, select

from core.store.dialect import insert, upsert
from core.store.schema import key_values


def get_value(connection: Connection, key: str) -> str | None:
    return connection.scalar(select(key_values.c.value).where(key_values.c.key == key))


def set_value(connection: Connection, key: str, value: str) -> None:
    upsert(connection, key_values, {"key": key}, {"value": value})


def get_or_create_value(connection: Connection, key: str, value: str) -> str:
    """The stored value; `value` if there is none yet. All transactions get the same."""
    connection.execute(insert(connection, key_values).values(key=key, value=value).on_conflict_do_nothing())
    return str(connection.scalars(select(key_values.c.value).where(key_values.c.key == key)).one())


def update_value(connection: Connection, key: str, change: Callable[[str], str]) -> str:
    """Store what `change` makes of the value, which no other transaction changes meanwhile: of "" if there is none yet.

    Returns the value before.
    """
    connection.execute(insert(connection, key_values).values(key=key, value="").on_conflict_do_nothing())
    locked = select(key_values.c.value).where(key_values.c.key == key).with_for_update()
    value = str(connection.scalars(locked).one())
    set_value(connection, key, change(value))
    return value


def delete_value(connection: Connection, key: str, value: str) -> bool:
    """Delete the key if it has this value. Of several transactions that try, one gets True."""
    statement = delete(key_values).where(key_values.c.key == key, key_values.c.value == value)
    return connection.execute(statement).rowcount == 1
