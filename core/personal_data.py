"""`parley export` and `parley forget`: what is stored about one person."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.conversation.ledger import key_id_of
from core.errors import StoreError
from core.settings import Settings
from core.store.database import Store
from core.store.erasure import erase_person, remove_traces
from core.store.grants import Role, roles_by_subject
from core.store.migrate import list_copies
from core.store.people import Person
from core.store.person_export import export_person
from core.store.personal_keys import get_encrypted_key
from core.store.process_lock import find_lock_owner


@dataclass(frozen=True, slots=True)
class SubjectErasure:
    messages: int
    entries: int
    """Notes and files."""
    is_banned: bool
    remaining_traces: str = ""
    """Why the database's file still has traces of deleted rows; empty if it has none."""


async def export_subject(store: Store, settings: Settings, subject: str) -> bytes:
    """Everything that is stored about the person, as JSON. Raises `StoreError`."""
    person = _person(subject)
    data = await store.read_snapshot(export_person, person, key_ids=await _key_ids(store, settings, person))
    return data.encode()


async def erase_subject(store: Store, settings: Settings, subject: str) -> SubjectErasure:
    """Erase the person, and the traces of deleted rows in the database's file. Raises `StoreError`.

    While the bot serves from an SQLite file, the bot removes the traces, some minutes later.
    """
    person = _person(subject)
    is_banned = (await store.read(roles_by_subject)).get(subject) is Role.BANNED
    key_ids = await _key_ids(store, settings, person)
    erased = await store.write_without_limit(erase_person, person, key_ids=key_ids, keeps_access=is_banned)
    owner = find_lock_owner(store.path) if store.is_embedded else None
    if owner is not None:
        # Its writes would fail while this process rewrites a large file.
        return SubjectErasure(erased.messages, erased.entries, is_banned, f"the bot (PID {owner}) uses the file")
    try:
        await remove_traces(store)
    except StoreError as error:
        return SubjectErasure(erased.messages, erased.entries, is_banned, str(error))
    return SubjectErasure(erased.messages, erased.entries, is_banned)


def find_copies(store: Store) -> Sequence[Path]:
    """The copies that migrations have made of an embedded database."""
    return list_copies(store.path) if store.is_embedded else ()


async def _key_ids(store: Store, settings: Settings, person: Person) -> list[str]:
    """The digest of the person's own API key, under which its usage is counted."""
    encrypted = await store.read(get_encrypted_key, person.key)
    if encrypted is None or settings.secret_key is None:
        return []
    from core.conversation.vault import open_vault

    vault = await open_vault(store, settings.secret_key.get_secret_value())
    own_key = vault.decrypt(encrypted, person.key)
    bot_key = settings.api_key.get_secret_value() if settings.api_key else ""
    return [key_id_of(own_key)] if own_key and own_key != bot_key else []


def _person(subject: str) -> Person:
    platform, _, user = subject.split(":", 2)
    return Person(platform, user)
