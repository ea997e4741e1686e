"""Whose API key a question is asked with: the bot's own, or the one a person brought.

A person's key is kept encrypted with `PARLEY_SECRET_KEY`, used for that person's questions alone,
and never shown again.
"""

import base64
import hashlib
from collections import OrderedDict
from dataclasses import dataclass

import structlog
from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from core.api.client import ModelApi
from core.conversation.ledger import account_of
from core.store.database import Store
from core.store.schema import clock, keys

__all__ = ["Account", "Accounts", "Vault"]

log = structlog.get_logger(__name__)

MOST = 1000


@dataclass(frozen=True, slots=True)
class Account:
    """An API key in use; `name` tells it apart in the ledger without telling it."""

    name: str
    api: ModelApi
    own: bool = False
    """A person's, not the bot's."""


class Vault:
    """Encrypts with a passphrase of the operator's."""

    def __init__(self, passphrase: str) -> None:
        key = hashlib.scrypt(passphrase.encode(), salt=b"parley keys", n=2**14, r=8, p=1, dklen=32)
        self._fernet = Fernet(base64.urlsafe_b64encode(key))

    def lock(self, secret: str) -> str:
        return self._fernet.encrypt(secret.encode()).decode()

    def open(self, locked: str) -> str | None:
        """None where it was locked with another passphrase."""
        try:
            return self._fernet.decrypt(locked.encode()).decode()
        except (InvalidToken, ValueError):
            return None


class Accounts:
    def __init__(self, store: Store, api: ModelApi, api_key: str, vault: Vault | None) -> None:
        self._store = store
        self.house = Account(account_of(api_key), api)
        self.vault = vault
        self._opened: OrderedDict[str, tuple[str, Account | None]] = OrderedDict()
        """By person: the key as it is stored, and what it opens to."""

    async def of(self, person: str) -> Account:
        """Raises `StoreError`."""
        if self.vault is None:
            return self.house
        locked = await self._store.read(_key_of, person)  # any process may have changed it
        if locked is None:
            self._opened.pop(person, None)
            return self.house
        if self._opened.get(person, ("",))[0] != locked:
            self._opened[person] = locked, self._open(person, locked)
            while len(self._opened) > MOST:
                self._opened.popitem(last=False)
        self._opened.move_to_end(person)
        return self._opened[person][1] or self.house

    def _open(self, person: str, locked: str) -> Account | None:
        secret = self.vault.open(locked) if self.vault else None
        if secret is None:
            log.warning("a person's key cannot be decrypted", person=person)
            return None
        return self.with_key(secret)

    async def unreadable(self, person: str) -> bool:
        """Whether there is a key that was locked with another passphrase."""
        locked = await self._store.read(_key_of, person)
        return bool(locked and self.vault and self.vault.open(locked) is None)

    def with_key(self, secret: str) -> Account:
        return Account(account_of(secret), self.house.api.with_key(secret), own=True)

    async def keep(self, person: str, secret: str) -> None:
        assert self.vault is not None  # noqa: S101 (asked before)
        await self._store.write(_put_key, person, self.vault.lock(secret))

    async def forget(self, person: str) -> bool:
        """Whether there was a key."""
        return await self._store.write(_drop_key, person)


def _key_of(connection: Connection, person: str) -> str | None:
    return connection.scalar(select(keys.c.secret).where(keys.c.person == person))


def _put_key(connection: Connection, person: str, secret: str) -> None:
    upsert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(
        upsert(keys)
        .values(person=person, secret=secret, created=clock())
        .on_conflict_do_update(index_elements=["person"], set_={"secret": secret})
    )


def _drop_key(connection: Connection, person: str) -> bool:
    return connection.execute(delete(keys).where(keys.c.person == person)).rowcount == 1
