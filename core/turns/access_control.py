"""Who may use the bot. People without a grant get no reply and no answer, and cost no token.

In the mode `pairing` nobody has a grant until the operator pairs: a code is shown where only the operator sees it (the
log, `parley pair`), and the person who sends it to the bot in a private chat becomes the operator.
"""

import hashlib
import hmac
import secrets

import structlog

from core.clock import Clock, SystemClock
from core.port import Incoming
from core.scopes import ScopeKind, grant_subject, grant_subjects
from core.settings import AccessMode
from core.store.database import Store
from core.store.grants import Role, grant, roles_by_subject
from core.store.key_values import get_value, set_value
from core.timings import Timings

__all__ = ["AccessControl", "create_pairing_code"]

log = structlog.get_logger(__name__)

PAIRING_STATE_KEY = "pairing"
CODE_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
CODE_LENGTH = 10
"""50 bits."""
MAX_WRONG_GUESSES = 20
"""After so many a code is void."""
MAX_NAME_CHARS = 200


async def create_pairing_code(store: Store, *, clock: Clock = SystemClock(), timings: Timings = Timings()) -> str:
    """A new pairing code; older ones are void. Only its hash is stored."""
    code = "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH))
    expires_at = clock.time() + timings.pairing_code_lifetime
    await store.write(set_value, PAIRING_STATE_KEY, f"{_hash_code(code)} {expires_at}")
    return f"{code[:5]}-{code[5:]}"


class AccessControl:
    def __init__(
        self, store: Store, mode: AccessMode, *, clock: Clock = SystemClock(), timings: Timings = Timings()
    ) -> None:
        self._store = store
        self._mode = mode
        self._clock = clock
        self._timings = timings
        self._cached_roles: dict[str, Role] = {}
        self._cached_at: float | None = None
        self._guessed_hash = ""
        self._wrong_guesses = 0
        """At the code with `_guessed_hash`."""

    async def allows(self, incoming: Incoming) -> bool:
        if self._mode is AccessMode.OPEN:
            return True
        subjects = set(grant_subjects(incoming))
        for max_age in (self._timings.grant_cache_lifetime, self._timings.denial_cache_lifetime):
            if not subjects.isdisjoint(await self._roles(max_age)):
                return True
        return False

    async def _roles(self, max_age: float) -> dict[str, Role]:
        now = self._clock.monotonic()
        if self._cached_at is None or now - self._cached_at > max_age:
            self._cached_roles = await self._store.read(roles_by_subject)
            self._cached_at = now
        return self._cached_roles

    def invalidate(self) -> None:
        """Read the grants again: they may have changed."""
        self._cached_at = None

    async def pair(self, incoming: Incoming) -> bool:
        """Whether the event contains the pairing code; its sender then is the operator."""
        code = incoming.text.strip()
        if incoming.command != "start" or not incoming.place.is_private:
            return False
        if len(_normalise_code(code)) != CODE_LENGTH or not await self._is_pairing_code(code):
            return False
        sender = incoming.sender
        subject = grant_subject(sender.platform, ScopeKind.PERSON, sender.user)
        await self._store.write(grant, subject, Role.OPERATOR, sender.name[:MAX_NAME_CHARS])
        await self._store.write(set_value, PAIRING_STATE_KEY, None)
        self.invalidate()
        log.info("access.paired", subject=subject)
        return True

    async def _is_pairing_code(self, code: str) -> bool:
        stored = await self._store.read(get_value, PAIRING_STATE_KEY)
        expected_hash, _, expires_at = (stored or "").partition(" ")
        if not expected_hash or float(expires_at) < self._clock.time():
            return False
        if self._guessed_hash != expected_hash:
            self._guessed_hash, self._wrong_guesses = expected_hash, 0
        if self._wrong_guesses >= MAX_WRONG_GUESSES:
            return False
        is_right = hmac.compare_digest(_hash_code(code), expected_hash)
        self._wrong_guesses += not is_right
        return is_right


def _hash_code(code: str) -> str:
    return hashlib.sha256(_normalise_code(code).encode()).hexdigest()


def _normalise_code(code: str) -> str:
    return "".join(c for c in code.upper() if c in CODE_ALPHABET)
