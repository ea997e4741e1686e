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
from core.settings import Access as Mode
from core.store.conversations import get_state, grant, granted, put_state
from core.store.database import Store

__all__ = ["Access", "new_code", "subjects"]

log = structlog.get_logger(__name__)

STATE = "pairing"
ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
CODE_LENGTH = 10  # 50 bits
LIVES = 3600.0  # seconds
WRONG_TRIES = 20  # before a code is void
FRESH = 5.0  # seconds for which grants are believed without looking again
DENIED_FRESH = 0.5  # seconds, where they let nobody in: a group may have moved, a word been given


def _hash(code: str) -> str:
    return hashlib.sha256(_plain(code).encode()).hexdigest()


def _plain(code: str) -> str:
    return "".join(c for c in code.upper() if c in ALPHABET)


async def new_code(store: Store) -> str:
    """A pairing code that holds for an hour; only its hash is kept."""
    code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
    await store.write(put_state, STATE, f"{_hash(code)} {time.time() + LIVES}")
    return f"{code[:5]}-{code[5:]}"


def subjects(incoming: Incoming) -> list[str]:
    """Who and where: a grant to any of them is enough."""
    place, platform = incoming.place, incoming.place.platform
    found = [f"{platform}:person:{incoming.sender.user}", f"{platform}:chat:{place.chat}"]
    return found + ([f"{platform}:server:{place.server}"] if place.server else [])


class Access:
    def __init__(self, store: Store, mode: Mode) -> None:
        self._store = store
        self._mode = mode
        self._granted: dict[str, str] = {}
        self._read_at = -FRESH
        self._wrong = ("", 0)
        """The code that was guessed at, by its hash, and how often."""

    async def nobody_yet(self) -> bool:
        return self._mode is Mode.PAIRING and not await self._grants()

    async def _grants(self, fresh: float = FRESH) -> dict[str, str]:
        if time.monotonic() - self._read_at > fresh:
            self._granted = await self._store.read(granted)
            self._read_at = time.monotonic()
        return self._granted

    def renew(self) -> None:
        """Look again at who may: something has changed."""
        self._read_at = -FRESH

    async def allows(self, incoming: Incoming) -> bool:
        if self._mode is Mode.OPEN:
            return True
        wanted = set(subjects(incoming))
        return not (
            wanted.isdisjoint(await self._grants())
            and wanted.isdisjoint(await self._grants(DENIED_FRESH))
        )

    async def pair(self, incoming: Incoming) -> bool:
        """Whether `incoming` brings the pairing code; its sender is the operator then."""
        code = incoming.text.strip()
        if incoming.command != "start" or not incoming.place.private:
            return False
        if len(_plain(code)) != CODE_LENGTH:
            return False
        kept = await self._store.read(get_state, STATE)
        expected, _, until = (kept or "").partition(" ")
        wrong = self._wrong[1] if self._wrong[0] == expected else 0
        if not expected or float(until) < time.time() or wrong >= WRONG_TRIES:
            return False
        if not hmac.compare_digest(_hash(code), expected):
            self._wrong = expected, wrong + 1
            return False
        sender = incoming.sender
        subject = f"{sender.platform}:person:{sender.user}"
        await self._store.write(grant, subject, "operator", sender.name[:200])
        await self._store.write(put_state, STATE, None)
        self.renew()
        log.info("paired", subject=subject)
        return True
