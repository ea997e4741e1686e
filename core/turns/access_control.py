"""Who may use the bot. People without a grant get no answer and cost no token; banned people get nothing at all.

In the mode `pairing` nobody has a grant until the operator pairs: a code is shown where only the operator sees it (the
log, `parley pair`), and the person who sends it to the bot in a private chat becomes the operator.
"""

import hashlib
import hmac
import secrets
from enum import Enum, auto

import structlog
from sqlalchemy import Connection

from core.bounded_dict import BoundedDict
from core.commands.pairing_code import CODE_ALPHABET, CODE_LENGTH, is_pairing_code, normalise_code
from core.port import Incoming
from core.scopes import grant_subjects, is_role_subject, person_subject, role_subjects
from core.settings import AccessMode
from core.store.database import Store
from core.store.grants import Role, grant, roles_by_subject
from core.store.key_values import delete_value, get_value, set_value
from core.throttled_log import ThrottledLog
from core.timings import Timings

log = structlog.get_logger(__name__)

PAIRING_STATE_KEY = "pairing"
MAX_WRONG_GUESSES = 20
"""After this many, a sender's codes are ignored until a new code is created. Others can still use this one."""
MAX_TRACKED_GUESSERS = 1000
MAX_NAME_CHARS = 200


async def create_pairing_code(store: Store, *, timings: Timings = Timings()) -> str:
    """A new pairing code; older ones are void. Only its hash is stored."""
    code = "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH))
    expires_at = timings.clock.time() + timings.pairing_code_lifetime
    await store.write(set_value, PAIRING_STATE_KEY, f"{_hash_code(code)} {expires_at}")
    return f"{code[:5]}-{code[5:]}"


class Access(Enum):
    ALLOWED = auto()
    DENIED = auto()
    """No grant."""
    BANNED = auto()


class AccessControl:
    def __init__(self, store: Store, mode: AccessMode, *, timings: Timings = Timings()) -> None:
        self._store = store
        self._mode = mode
        self._clock = timings.clock
        self._timings = timings
        self._cached_roles: dict[str, Role] = {}
        self._cached_at: float | None = None
        self._guessed_hash = ""
        self._wrong_guesses: BoundedDict[str, int] = BoundedDict(MAX_TRACKED_GUESSERS)
        """By sender: wrong guesses at the code with `_guessed_hash`."""
        self._throttled_log = ThrottledLog(clock=timings.clock)

    async def allows(self, incoming: Incoming) -> bool:
        return await self.check(incoming) is Access.ALLOWED

    async def check(self, incoming: Incoming) -> Access:
        """What the sender of an event may do here. Reads the grants at most once in `grant_cache_lifetime`, or, for
        people without one, in `denial_cache_lifetime`.
        """
        subjects = [*grant_subjects(incoming), *role_subjects(incoming.sender)]
        access = self._find(subjects, await self._roles(self._timings.grant_cache_lifetime))
        if access is Access.DENIED:
            access = self._find(subjects, await self._roles(self._timings.denial_cache_lifetime))
        if access is Access.ALLOWED and incoming.sender.roles is None and self._bans_a_role():
            return Access.DENIED  # the unknown roles may be banned
        return access

    def _bans_a_role(self) -> bool:
        return any(role is Role.BANNED and is_role_subject(subject) for subject, role in self._cached_roles.items())

    def _find(self, subjects: list[str], roles: dict[str, Role]) -> Access:
        held = [roles[subject] for subject in subjects if subject in roles]
        if Role.BANNED in held:
            return Access.BANNED
        return Access.ALLOWED if held or self._mode is AccessMode.OPEN else Access.DENIED

    async def _roles(self, max_age: float) -> dict[str, Role]:
        now = self._clock.monotonic()
        if self._cached_at is None or now - self._cached_at > max_age:
            self._cached_roles = await self._store.read(roles_by_subject)
            self._cached_at = now
        return self._cached_roles

    def invalidate(self) -> None:
        """Read the grants again: they may have changed."""
        self._cached_at = None

    def log_denial(self, incoming: Incoming, access: Access = Access.DENIED) -> None:
        subjects = grant_subjects(incoming)  # as `parley allow` takes them
        is_banned = access is Access.BANNED
        self._throttled_log.log(
            f"denied {subjects}",
            lambda suppressed: log.info("access.denied", subjects=subjects, banned=is_banned, suppressed=suppressed),
        )

    async def pair(self, incoming: Incoming) -> bool:
        """Whether the event contains the pairing code; its sender then is the operator."""
        code = incoming.text.strip()
        if incoming.command != "start" or not incoming.place.is_private or not is_pairing_code(code):
            return False
        subject = person_subject(incoming.sender)
        stored_code = await self._store.read(get_value, PAIRING_STATE_KEY)
        if stored_code is None or not self._is_correct_code(code, stored_code, subject):
            return False
        if not await self._store.write(_redeem_code, stored_code, subject, incoming.sender.name[:MAX_NAME_CHARS]):
            return False
        self.invalidate()
        log.info("access.paired", subject=subject)
        return True

    def _is_correct_code(self, code: str, stored_code: str, subject: str) -> bool:
        expected_hash, _, expires_at = stored_code.partition(" ")
        if float(expires_at) < self._clock.time():
            return False
        if self._guessed_hash != expected_hash:
            self._guessed_hash = expected_hash
            self._wrong_guesses.clear()
        if self._wrong_guesses.get(subject, 0) >= MAX_WRONG_GUESSES:
            return False
        if hmac.compare_digest(_hash_code(code), expected_hash):
            return True
        self._count_wrong_guess(subject)
        return False

    def _count_wrong_guess(self, subject: str) -> None:
        guesses = self._wrong_guesses[subject] = self._wrong_guesses.get(subject, 0) + 1
        self._throttled_log.log(
            f"guessed {subject}",
            lambda suppressed: log.info("access.wrong_code", subject=subject, suppressed=suppressed),
        )
        if guesses == MAX_WRONG_GUESSES:
            self._throttled_log.log(
                f"blocked {subject}",
                lambda suppressed: log.warning("access.guesses_blocked", subject=subject, suppressed=suppressed),
            )


def _redeem_code(connection: Connection, stored_code: str, subject: str, name: str) -> bool:
    """Use up the code and make the subject an operator. False if somebody was faster or there is a new code."""
    if not delete_value(connection, PAIRING_STATE_KEY, stored_code):
        return False
    grant(connection, subject, Role.OPERATOR, name)
    return True


def _hash_code(code: str) -> str:
    return hashlib.sha256(normalise_code(code).encode()).hexdigest()
