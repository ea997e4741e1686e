"""Personal API keys: encryption, and how several processes see them."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from core.api.client import ModelApi
from core.conversation.api_keys import ApiKeys
from core.conversation.ledger import key_id_of
from core.conversation.vault import CIPHERTEXT_PREFIX, SALT_KEY, Vault, open_vault
from core.settings import Settings
from core.store.database import Store
from core.store.key_values import get_value
from core.store.personal_keys import get_encrypted_key, save_encrypted_key
from tests.postgresql import postgresql_url
from tests.sqlite import sqlite_url

pytestmark = pytest.mark.slow

PASSPHRASE = "the passphrase"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(sqlite_url(tmp_path))
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def vault(store: Store) -> Vault:
    return await open_vault(store, PASSPHRASE)


@pytest.fixture
async def api() -> AsyncIterator[ModelApi]:
    api = ModelApi("http://127.0.0.1:1", "bot's key")
    yield api
    await api.close()


def api_keys(store: Store, api: ModelApi, vault: Vault) -> ApiKeys:
    return ApiKeys(store, api, Settings(api_key=SecretStr("bots-key")), vault)


async def test_key_change_reaches_all_processes(store: Store, api: ModelApi, vault: Vault) -> None:
    one, other = (api_keys(store, api, vault) for _ in range(2))
    assert await other.find_personal_key("ann") is None
    await one.save("ann", "Ann's key")
    assert await other.find_personal_key("ann") is not None
    await one.save("ann", "Ann's next key")
    changed = await other.find_personal_key("ann")
    assert changed is not None
    assert changed.key_id == key_id_of("Ann's next key")
    await one.delete("ann")
    assert await other.find_personal_key("ann") is None


async def test_key_copied_to_another_person_cannot_be_used(store: Store, api: ModelApi, vault: Vault) -> None:
    keys = api_keys(store, api, vault)
    await keys.save("ann", "Ann's key")
    encrypted = await store.read(get_encrypted_key, "ann")
    assert encrypted is not None
    await store.write(save_encrypted_key, "eve", encrypted)
    with structlog.testing.capture_logs() as logs:
        assert await keys.find_personal_key("eve") is None
    assert [entry["event"] for entry in logs] == ["model.personal_key_unreadable"]
    assert await keys.has_undecryptable_key("eve")
    assert await keys.find_personal_key("ann") is not None


async def test_key_of_earlier_version_is_encrypted_anew_at_first_use(store: Store, api: ModelApi, vault: Vault) -> None:
    key = hashlib.scrypt(PASSPHRASE.encode(), salt=b"parley keys", n=2**14, r=8, p=1, dklen=32)
    outdated = Fernet(base64.urlsafe_b64encode(key)).encrypt(b"Ann's key").decode()
    await store.write(save_encrypted_key, "ann", outdated)
    keys = api_keys(store, api, vault)
    first = await keys.find_personal_key("ann")
    assert first is not None
    stored = await store.read(get_encrypted_key, "ann")
    assert stored is not None
    assert stored.startswith(CIPHERTEXT_PREFIX)
    assert vault.decrypt(stored, "ann") == "Ann's key"
    assert vault.decrypt(stored, "eve") is None
    assert await keys.find_personal_key("ann") is first, "decrypted once"


async def test_salt_is_per_database_and_survives_restart(store: Store, vault: Vault, tmp_path: Path) -> None:
    encrypted = vault.encrypt("secret", "ann")
    assert vault.encrypt("secret", "ann") != encrypted
    assert (await open_vault(store, PASSPHRASE)).decrypt(encrypted, "ann") == "secret"
    assert (await open_vault(store, "another")).decrypt(encrypted, "ann") is None
    (tmp_path / "other").mkdir()
    elsewhere = Store(sqlite_url(tmp_path / "other"))
    assert (await open_vault(elsewhere, PASSPHRASE)).decrypt(encrypted, "ann") is None
    await elsewhere.close()


async def test_stored_keys_stay_readable_and_cost_guessers_much(store: Store) -> None:
    """The format and the derivation are part of the database: 2**17 steps of scrypt over the database's salt."""
    vault = await open_vault(store, PASSPHRASE)
    salt = await store.read(get_value, SALT_KEY)
    assert salt is not None
    key = hashlib.scrypt(
        PASSPHRASE.encode(), salt=bytes.fromhex(salt), n=2**17, r=8, p=1, dklen=32, maxmem=2**28 + 2**20
    )
    nonce = b"0123456789ab"
    data = nonce + AESGCM(key).encrypt(nonce, b"secret", b"ann")
    assert vault.decrypt(f"{CIPHERTEXT_PREFIX}{base64.urlsafe_b64encode(data).decode()}", "ann") == "secret"


async def test_damaged_ciphertext_is_unreadable(vault: Vault) -> None:
    encrypted = vault.encrypt("secret", "ann")
    for damaged in ("", CIPHERTEXT_PREFIX, f"{CIPHERTEXT_PREFIX}!", encrypted[:-8], f"{CIPHERTEXT_PREFIX}\u00fc"):
        assert vault.decrypt(damaged, "ann") is None


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_processes_that_start_together_share_salt(tmp_path: Path, database: str) -> None:
    url = sqlite_url(tmp_path) if database == "sqlite" else postgresql_url()
    stores = [Store(url) for _ in range(3)]
    vaults = await asyncio.gather(*(open_vault(store, PASSPHRASE) for store in stores))
    assert {other.decrypt(vaults[0].encrypt("secret", "ann"), "ann") for other in vaults} == {"secret"}
    for store in stores:
        await store.close()
