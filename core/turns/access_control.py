"""Who may use the bot. Without a grant: no reply, no button, no token.

With `pairing` nobody may until the operator pairs: a code is shown where the operator can see it
(log, `parley pair`), and who sends it to the bot in a private chat becomes the operator.
"""

import hashlib
import hmac
import secrets
import time

import structlog

from core.port import Incoming
from core.scopes import ScopeKind, grant_subject, grant_subjects
from core.settings import AccessMode as Mode
from core.store.database import Store
from core.store.grants import Role, grant, roles_by_subject
from core.store.key_values import get_value, set_value

__all__ = ["AccessControl", "create_pairing_code"]

log = structlog.get_logger(__name__)

PAIRING_STATE_KEY = "pairing"
CODE_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
CODE_LENGTH = 10  # 50 bits
CODE_LIFETIME_SECONDS = 3600.0  # seconds
MAX_WRONG_CODES = 20  # before a code is void
GRANT_CACHE_SECONDS = 5.0  # seconds for which grants are believed without looking again
DENIAL_CACHE_SECONDS = 0.5  # seconds, where they let nobody in: a group may have moved, a word been given


def _hash_code(code: str) -> str:
    return hashlib.sha256(_normalise_code(code).encode()).hexdigest()


def _normalise_code(code: str) -> str:
    return "".join(c for c in code.upper() if c in CODE_ALPHABET)


async def create_pairing_code(store: Store) -> str:
    """A pairing code that holds for an hour; only its hash is kept."""
    code = "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH))
    await store.write(set_value, PAIRING_STATE_KEY, f"{_hash_code(code)} {time.time() + CODE_LIFETIME_SECONDS}")
    return f"{code[:5]}-{code[5:]}"


class AccessControl:
    def __init__(self, store: Store, mode: Mode) -> None:
        self._store = store
        self._mode = mode
        self._cached_grants: dict[str, Role] = {}
        self._cached_at = -GRANT_CACHE_SECONDS
        self._wrong_guesses = ("", 0)
        """The code that was guessed at, by its hash, and how often."""

    async def needs_pairing(self) -> bool:
        return self._mode is Mode.PAIRING and not await self._load_grants()

    async def _load_grants(self, max_age: float = GRANT_CACHE_SECONDS) -> dict[str, Role]:
        if time.monotonic() - self._cached_at > max_age:
            self._cached_grants = await self._store.read(roles_by_subject)
            self._cached_at = time.monotonic()
        return self._cached_grants

    def invalidate(self) -> None:
        """Look again at who may: something has changed."""
        self._cached_at = -GRANT_CACHE_SECONDS

    async def allows(self, incoming: Incoming) -> bool:
        if self._mode is Mode.OPEN:
            return True
        sender_subjects = set(grant_subjects(incoming))
        return not (
            sender_subjects.isdisjoint(await self._load_grants())
            and sender_subjects.isdisjoint(await self._load_grants(DENIAL_CACHE_SECONDS))
        )

    async def pair(self, incoming: Incoming) -> bool:
        """Whether `incoming` brings the pairing code; its sender is the operator then."""
        code = incoming.text.strip()
        if incoming.command != "start" or not incoming.place.is_private:
            return False
        if len(_normalise_code(code)) != CODE_LENGTH:
            return False
        stored = await self._store.read(get_value, PAIRING_STATE_KEY)
        expected, _, expires_at = (stored or "").partition(" ")
        wrong_guesses = self._wrong_guesses[1] if self._wrong_guesses[0] == expected else 0
        if not expected or float(expires_at) < time.time() or wrong_guesses >= MAX_WRONG_CODES:
            return False
        if not hmac.compare_digest(_hash_code(code), expected):
            self._wrong_guesses = expected, wrong_guesses + 1
            return False
        sender = incoming.sender
        subject = grant_subject(sender.platform, ScopeKind.PERSON, sender.user)
        await self._store.write(grant, subject, Role.OPERATOR, sender.name[:200])
        await self._store.write(set_value, PAIRING_STATE_KEY, None)
        self.invalidate()
        log.info("paired", subject=subject)
        return True
