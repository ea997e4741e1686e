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

from core.api.client import ModelApi
from core.conversation.ledger import key_id_of
from core.store.database import Store
from core.store.personal_keys import delete_key, get_encrypted_key, save_encrypted_key

__all__ = ["ApiKey", "ApiKeys", "Vault"]

log = structlog.get_logger(__name__)

MAX_CACHED_KEYS = 1000


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key in use; `name` tells it apart in the ledger without telling it."""

    key_id: str
    api: ModelApi
    is_personal: bool = False
    """A person's, not the bot's."""


class Vault:
    """Encrypts with a passphrase of the operator's."""

    def __init__(self, passphrase: str) -> None:
        key = hashlib.scrypt(passphrase.encode(), salt=b"parley keys", n=2**14, r=8, p=1, dklen=32)
        self._fernet = Fernet(base64.urlsafe_b64encode(key))

    def encrypt(self, secret: str) -> str:
        return self._fernet.encrypt(secret.encode()).decode()

    def decrypt(self, encrypted: str) -> str | None:
        """None where it was locked with another passphrase."""
        try:
            return self._fernet.decrypt(encrypted.encode()).decode()
        except (InvalidToken, ValueError):
            return None


class ApiKeys:
    def __init__(self, store: Store, api: ModelApi, api_key: str, vault: Vault | None) -> None:
        self._store = store
        self.bot_key = ApiKey(key_id_of(api_key), api)
        self.vault = vault
        self._decrypted: OrderedDict[str, tuple[str, ApiKey | None]] = OrderedDict()
        """By person: the key as it is stored, and what it opens to."""

    async def for_person(self, person: str) -> ApiKey:
        """Raises `StoreError`."""
        if self.vault is None:
            return self.bot_key
        encrypted = await self._store.read(get_encrypted_key, person)  # any process may have changed it
        if encrypted is None:
            self._decrypted.pop(person, None)
            return self.bot_key
        if self._decrypted.get(person, ("",))[0] != encrypted:
            self._decrypted[person] = encrypted, self._decrypt(person, encrypted)
            while len(self._decrypted) > MAX_CACHED_KEYS:
                self._decrypted.popitem(last=False)
        self._decrypted.move_to_end(person)
        return self._decrypted[person][1] or self.bot_key

    def _decrypt(self, person: str, encrypted: str) -> ApiKey | None:
        secret = self.vault.decrypt(encrypted) if self.vault else None
        if secret is None:
            log.warning("a person's key cannot be decrypted", person=person)
            return None
        return self.from_secret(secret)

    async def has_undecryptable_key(self, person: str) -> bool:
        """Whether there is a key that was locked with another passphrase."""
        encrypted = await self._store.read(get_encrypted_key, person)
        return bool(encrypted and self.vault and self.vault.decrypt(encrypted) is None)

    def from_secret(self, secret: str) -> ApiKey:
        return ApiKey(key_id_of(secret), self.bot_key.api.with_key(secret), is_personal=True)

    async def save(self, person: str, secret: str) -> None:
        assert self.vault is not None  # noqa: S101 (asked before)
        await self._store.write(save_encrypted_key, person, self.vault.encrypt(secret))

    async def delete(self, person: str) -> bool:
        """Whether there was a key."""
        return await self._store.write(delete_key, person)
