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
        self._known: OrderedDict[str, Account | None] = OrderedDict()

    async def of(self, person: str) -> Account:
        """Raises `StoreError`."""
        if self.vault is None:
            return self.house
        if person not in self._known:
            self._known[person] = await self._read(person)
            while len(self._known) > MOST:
                self._known.popitem(last=False)
        self._known.move_to_end(person)
        return self._known[person] or self.house

    async def _read(self, person: str) -> Account | None:
        locked = await self._store.read(_key_of, person)
        if locked is None or self.vault is None:
            return None
        secret = self.vault.open(locked)
        if secret is None:
            log.warning("a person's key can not be decrypted", person=person)
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
        self._known.pop(person, None)

    async def forget(self, person: str) -> bool:
        """Whether there was a key."""
        self._known.pop(person, None)
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
