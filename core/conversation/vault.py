"""Encryption of personal API keys with the operator's passphrase (`PARLEY_SECRET_KEY`).

The encryption key is derived from the passphrase and a salt that each database has for itself. Every ciphertext is
bound to its owner: copied into another person's row it cannot be decrypted.
"""

import asyncio
import base64
import hashlib
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.store.database import Store
from core.store.key_values import get_or_create_value

SALT_KEY = "personal_keys.salt"
SALT_BYTES = 16
NONCE_BYTES = 12
CIPHERTEXT_PREFIX = "v2:"
SCRYPT_N, SCRYPT_R = 2**17, 8
"""Half a second and 128 MiB, once per start."""
SCRYPT_MAX_MEMORY = 2 * 128 * SCRYPT_N * SCRYPT_R


class Vault:
    """Slow to create: see `open_vault`."""

    def __init__(self, passphrase: str, salt: bytes) -> None:
        key = hashlib.scrypt(
            passphrase.encode(), salt=salt, n=SCRYPT_N, r=SCRYPT_R, p=1, dklen=32, maxmem=SCRYPT_MAX_MEMORY
        )
        self._cipher = AESGCM(key)
        self._previous_cipher = _previous_cipher(passphrase)

    def encrypt(self, secret: str, owner: str) -> str:
        nonce = secrets.token_bytes(NONCE_BYTES)
        ciphertext = self._cipher.encrypt(nonce, secret.encode(), owner.encode())
        return CIPHERTEXT_PREFIX + base64.urlsafe_b64encode(nonce + ciphertext).decode()

    def decrypt(self, encrypted: str, owner: str) -> str | None:
        """None if it was encrypted with another passphrase, or for another owner."""
        try:
            if self.is_outdated(encrypted):
                return self._previous_cipher.decrypt(encrypted.encode()).decode()
            data = base64.urlsafe_b64decode(encrypted.removeprefix(CIPHERTEXT_PREFIX))
            return self._cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], owner.encode()).decode()
        except (InvalidTag, InvalidToken, ValueError):
            return None

    @staticmethod
    def is_outdated(encrypted: str) -> bool:
        """Whether an earlier version of Parley encrypted it, without binding it to its owner."""
        return not encrypted.startswith(CIPHERTEXT_PREFIX)


def _previous_cipher(passphrase: str) -> Fernet:
    """What earlier versions of Parley encrypted with."""
    key = hashlib.scrypt(passphrase.encode(), salt=b"parley keys", n=2**14, r=8, p=1, dklen=32)
    return Fernet(base64.urlsafe_b64encode(key))


async def open_vault(store: Store, passphrase: str) -> Vault:
    """The vault of this database; creates the salt if there is none. Raises `StoreError`."""
    salt = await store.write(get_or_create_value, SALT_KEY, secrets.token_hex(SALT_BYTES))
    return await asyncio.to_thread(Vault, passphrase, bytes.fromhex(salt))
