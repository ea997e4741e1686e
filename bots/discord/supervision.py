"""Keeping a gateway client alive: what is fatal, how long to wait, how often to identify."""

import asyncio
import random
import time
from collections import deque

import discord

from core.errors import ConfigurationError, UnavailableError

__all__ = ["Backoff", "Identifies", "fatal"]

DAY = 24 * 60 * 60
MOST_IDENTIFIES = 900
"""A day; Discord resets the token of a bot that goes beyond 1000."""

CLOSED = {
    4004: "Discord does not accept the bot's token: set DISCORD_BOT_TOKEN to the current one.",
    4010: "Discord refuses the shard: another number of shards is wanted.",
    4011: "Discord wants this bot sharded: it is in too many servers for one connection.",
    4012: "Discord refuses the gateway's version: update discord.py.",
    4013: "Discord does not know the intents: update discord.py.",
    4014: (
        "Discord does not grant the message content intent: switch it on in the developer portal "
        "(Bot, Privileged Gateway Intents) or leave DISCORD_MESSAGE_CONTENT unset."
    ),
}


def fatal(error: BaseException) -> ConfigurationError | None:
    """What the operator must change, where restarting does not help."""
    if isinstance(error, ConfigurationError):
        return error
    if isinstance(error, discord.LoginFailure):
        return ConfigurationError(CLOSED[4004])
    if isinstance(error, discord.PrivilegedIntentsRequired):
        return ConfigurationError(CLOSED[4014])
    if isinstance(error, discord.ConnectionClosed) and error.code in CLOSED:
        return ConfigurationError(CLOSED[error.code])
    return None


class Backoff:
    """Doubling waits with jitter; begins anew after a life that was long enough."""

    def __init__(self, first: float, last: float) -> None:
        self._first = first
        self._last = last
        self._tries = 0

    def after(self, lived: float) -> float:
        """Seconds to wait after a client that lived for `lived` seconds."""
        if lived > self._last:
            self._tries = 0
        wait = min(self._last, self._first * float(1 << min(self._tries, 16)))
        self._tries += 1
        return wait * random.uniform(0.5, 1.0)  # noqa: S311 (jitter, not a secret)


class Identifies:
    """The budget of IDENTIFYs: one after the other, and never too many a day."""

    def __init__(self, every: float, most: int = MOST_IDENTIFIES) -> None:
        self._every = every
        self._most = most
        self._made: deque[float] = deque(maxlen=most)
        self._turn = asyncio.Lock()

    async def take(self) -> None:
        """Wait for the right to IDENTIFY. Raises `UnavailableError` when the day's are used up."""
        async with self._turn:
            now = time.monotonic()
            if len(self._made) == self._most and now - self._made[0] < DAY:
                raise UnavailableError("Too many connections to Discord today.")
            if self._made and (wait := self._made[-1] + self._every - now) > 0:
                await asyncio.sleep(wait)
            self._made.append(time.monotonic())
