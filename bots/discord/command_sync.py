"""Registers the commands with Discord when they have changed."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import structlog

from bots.discord.commands import commands_digest, commands_payload
from bots.discord.errors import PERMANENT_FAILURES
from bots.discord.http_client import HttpClient
from bots.discord.timings import DiscordTimings
from core.backoff import Backoff
from core.commands.declarations import Command
from core.errors import DeliveryError, StoreError

log = structlog.get_logger(__name__)


class StateStore(Protocol):
    """Stores a few small strings beyond the process."""

    async def load_state(self, name: str) -> str | None: ...
    async def save_state(self, name: str, value: str) -> None: ...


class CommandSync:
    """Overwrites all commands if their digest differs from the saved one.

    Runs independently of the connection, so that the bot can chat even if this fails.
    """

    def __init__(
        self, http: HttpClient, state: StateStore, commands: Sequence[Command], timings: DiscordTimings
    ) -> None:
        self._http = http
        self._state = state
        self._payload = commands_payload(commands)
        self._digest = commands_digest(self._payload)
        self._backoff = Backoff(timings.first_retry_delay, timings.max_retry_delay)
        self._clock = timings.clock
        self._task: asyncio.Task[None] | None = None

    def start(self, application_id: str) -> None:
        """Start in the background; further calls have no effect."""
        if self._task is None:
            self._task = asyncio.create_task(self._sync_with_retry(application_id))

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _sync_with_retry(self, application_id: str) -> None:
        while True:
            retry_after: float | None = None
            try:
                await self._sync(application_id)
                return
            except DeliveryError as error:
                log.warning("discord.commands_not_synced", failure=error.failure)
                if error.failure in PERMANENT_FAILURES:
                    return
                retry_after = error.retry_after
            except StoreError:
                log.warning("discord.commands_not_synced", failure="store")
            await self._clock.sleep(retry_after or self._backoff.next_delay())

    async def _sync(self, application_id: str) -> None:
        name = f"discord.commands.{application_id}"
        if await self._state.load_state(name) == self._digest:
            return
        await self._http.call("PUT", f"/applications/{application_id}/commands", self._payload)
        await self._state.save_state(name, self._digest)
        log.info("discord.commands_synced", commands=len(self._payload))
