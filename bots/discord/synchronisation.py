"""Telling Discord which commands there are: only when they have changed."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import structlog

from bots.discord.commands import digest, payload
from bots.discord.rest import Rest
from bots.discord.supervision import Backoff
from core.commands.declared import Command
from core.errors import DeliveryError, Fault, StoreError

__all__ = ["Remember", "Synchronisation"]

log = structlog.get_logger(__name__)

LASTING = (Fault.REJECTED, Fault.FORBIDDEN, Fault.GONE)


class Remember(Protocol):
    """A few small strings that outlive the process."""

    async def recall(self, name: str) -> str | None: ...
    async def remember(self, name: str, value: str) -> None: ...


class Synchronisation:
    """One overwrite of all commands when their digest differs from the one noted.

    Runs beside the connection: a bot whose commands cannot be changed still chats.
    """

    def __init__(
        self, rest: Rest, remember: Remember, commands: Sequence[Command], backoff: Backoff
    ) -> None:
        self._rest = rest
        self._memory = remember
        self._payload = payload(commands)
        self._digest = digest(self._payload)
        self._backoff = backoff
        self._task: asyncio.Task[None] | None = None

    def want(self, application: str) -> None:
        """Begin, unless it is done or under way."""
        if self._task is None:
            self._task = asyncio.create_task(self._until_done(application))

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _until_done(self, application: str) -> None:
        while True:
            try:
                await self._once(application)
                return
            except DeliveryError as error:
                log.warning("discord commands not synchronised", fault=error.fault)
                if error.fault in LASTING:
                    return
                wait = error.retry_after
            except StoreError:
                log.warning("discord commands not synchronised", fault="store")
                wait = None
            await asyncio.sleep(wait or self._backoff.after(0))

    async def _once(self, application: str) -> None:
        name = f"discord.commands.{application}"
        if await self._memory.recall(name) == self._digest:
            return
        await self._rest.call("PUT", f"/applications/{application}/commands", self._payload)
        await self._memory.remember(name, self._digest)
        log.info("discord commands synchronised", commands=len(self._payload))
