"""Keeping an adapter alive: run anew when it breaks or goes deaf, ended when that is no use."""

import asyncio
import random
import time
from dataclasses import dataclass

import structlog

from core.errors import ConfigurationError, UnavailableError
from core.port import Alive, Chat, Inbox

__all__ = ["Patience", "supervise"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """All in seconds."""

    deaf: float = 120.0
    """Without a sign of life from the platform."""
    watch: float = 5.0
    """Between two looks."""
    first: float = 1.0
    longest: float = 60.0
    """The pauses before an adapter is run again: doubled, with jitter."""
    ending: float = 10.0
    """For an adapter to end when told to."""


async def supervise(chat: Chat, inbox: Inbox, patience: Patience | None = None) -> None:
    """Run `chat` until it ends by itself or is cancelled.

    Raises `ConfigurationError`, where running it again is no use, and `UnavailableError`, where
    another process has to.
    """
    patience = patience or Patience()
    pause = patience.first
    while True:
        began = time.monotonic()
        try:
            if await _lived(chat, inbox, patience):
                return
        except (ConfigurationError, UnavailableError):
            raise
        except Exception:
            log.exception("adapter broke", platform=chat.platform)
        if time.monotonic() - began > patience.longest:
            pause = patience.first
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (jitter, no secret)
        pause = min(2 * pause, patience.longest)


async def _lived(chat: Chat, inbox: Inbox, patience: Patience) -> bool:
    """Whether it ended by itself; else it went deaf."""
    running = asyncio.create_task(chat.run(inbox), name=chat.platform)
    began = time.monotonic()
    try:
        while not running.done():
            await asyncio.wait({running}, timeout=patience.watch)
            heard = chat.last_heard if isinstance(chat, Alive) else None
            if heard is not None and time.monotonic() - max(heard, began) > patience.deaf:
                log.error("adapter went deaf", platform=chat.platform)
                return False
        await running
        return True
    finally:
        if not running.done():
            running.cancel()
            await asyncio.wait({running}, timeout=patience.ending)
            if not running.done():
                raise UnavailableError(f"{chat.platform} hangs and cannot be ended.")
