"""Which API key pays for a question: the bot's or the person's own.

A personal key is stored encrypted with `PARLEY_SECRET_KEY`, used only for its owner's questions, and never shown
again.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from core.api.client import ModelApi
from core.bounded_dict import BoundedDict
from core.conversation.ledger import key_id_of
from core.port import Incoming
from core.scopes import person_key, usage_subjects
from core.settings import Settings
from core.store.database import Store
from core.store.personal_keys import delete_key, get_encrypted_key, replace_encrypted_key, save_encrypted_key

if TYPE_CHECKING:
    from core.conversation.vault import Vault

log = structlog.get_logger(__name__)

MAX_CACHED_KEYS = 1000


@dataclass(frozen=True, slots=True)
class ApiKey:
    key_id: str
    """Identifies the key in the ledger without revealing it."""
    api: ModelApi
    is_personal: bool = False
    subjects: tuple[str, ...] = ()
    """The person and chat whose daily limits its requests count for. Empty for a personal key: it has none."""


class ApiKeys:
    def __init__(self, store: Store, api: ModelApi, settings: Settings, vault: "Vault | None") -> None:
        self._store = store
        self.bot_key = ApiKey(key_id_of(settings.api_key.get_secret_value() if settings.api_key else ""), api)
        self.vault = vault
        self._decrypted: BoundedDict[str, tuple[str, ApiKey | None]] = BoundedDict(MAX_CACHED_KEYS)
        """By person: the stored encrypted key and its decrypted form."""

    async def for_sender(self, incoming: Incoming) -> ApiKey:
        """The key that pays for what `incoming` causes. Raises `StoreError`."""
        personal_key = await self.find_personal_key(person_key(incoming.sender))
        return personal_key or replace(self.bot_key, subjects=usage_subjects(incoming))

    async def find_personal_key(self, person_key: str) -> ApiKey | None:
        """None if the person has none, or none that can be decrypted. Raises `StoreError`."""
        if self.vault is None:
            return None
        encrypted = await self._store.read(get_encrypted_key, person_key)  # another process may have changed it
        if encrypted is None:
            self._decrypted.pop(person_key, None)
            return None
        if self._decrypted.get(person_key, ("",))[0] != encrypted:
            self._decrypted[person_key] = await self._decrypt(person_key, encrypted, self.vault)
        self._decrypted.move_to_end(person_key)
        return self._decrypted[person_key][1]

    async def _decrypt(self, person_key: str, encrypted: str, vault: "Vault") -> tuple[str, ApiKey | None]:
        """The encrypted key as it is stored afterwards, and its decrypted form."""
        secret = vault.decrypt(encrypted, person_key)
        if secret is None:
            log.warning("model.personal_key_unreadable", person=person_key)
            return encrypted, None
        if vault.is_outdated(encrypted):
            replacement = vault.encrypt(secret, person_key)
            await self._store.write(replace_encrypted_key, person_key, encrypted, replacement)
            encrypted = replacement
        return encrypted, self.from_secret(secret)

    async def has_undecryptable_key(self, person_key: str) -> bool:
        """Whether the person has a key that was encrypted with another passphrase."""
        encrypted = await self._store.read(get_encrypted_key, person_key)
        return bool(encrypted and self.vault and self.vault.decrypt(encrypted, person_key) is None)

    def from_secret(self, secret: str) -> ApiKey:
        return ApiKey(key_id_of(secret), self.bot_key.api.with_key(secret), is_personal=True)

    async def save(self, person_key: str, secret: str) -> None:
        assert self.vault is not None  # noqa: S101 (callers check)
        await self._store.write(save_encrypted_key, person_key, self.vault.encrypt(secret, person_key))

    async def delete(self, person_key: str) -> bool:
        """Whether the person had a key."""
        return await self._store.write(delete_key, person_key)
