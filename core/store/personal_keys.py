"""People's own API keys. The caller encrypts them."""

from sqlalchemy import Connection, delete, select, update

from core.store.dialect import upsert
from core.store.schema import database_now, personal_keys


def get_encrypted_key(connection: Connection, person_key: str) -> str | None:
    return connection.scalar(select(personal_keys.c.encrypted_key).where(personal_keys.c.person_key == person_key))


def list_encrypted_keys(connection: Connection) -> list[tuple[str, str]]:
    """Every person's key with its owner's `person_key`."""
    rows = connection.execute(select(personal_keys.c.person_key, personal_keys.c.encrypted_key))
    return [(row.person_key, row.encrypted_key) for row in rows]


def save_encrypted_key(connection: Connection, person_key: str, encrypted_key: str) -> None:
    values = {"encrypted_key": encrypted_key}
    upsert(
        connection, personal_keys, {"person_key": person_key}, {**values, "created_at": database_now()}, update=values
    )


def replace_encrypted_key(connection: Connection, person_key: str, encrypted_key: str, replacement: str) -> None:
    """Store the same key encrypted again, unless the person has changed or deleted it."""
    is_unchanged = (personal_keys.c.person_key == person_key, personal_keys.c.encrypted_key == encrypted_key)
    connection.execute(update(personal_keys).where(*is_unchanged).values(encrypted_key=replacement))


def delete_key(connection: Connection, person_key: str) -> bool:
    """Whether there was a key."""
    return connection.execute(delete(personal_keys).where(personal_keys.c.person_key == person_key)).rowcount == 1
