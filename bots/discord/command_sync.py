"""Telling Discord which commands there are: only when they have changed."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import structlog

from bots.discord.commands import commands_digest, commands_payload
from bots.discord.http_client import HttpClient
from bots.discord.identify_limiter import Backoff
from core.commands.declarations import Command
from core.errors import DeliveryError, DeliveryFailure, StoreError

__all__ = ["CommandSync", "StateStore"]

log = structlog.get_logger(__name__)

PERMANENT_FAILURES = (DeliveryFailure.REJECTED, DeliveryFailure.FORBIDDEN, DeliveryFailure.GONE)


class StateStore(Protocol):
    """A few small strings that outlive the process."""

    async def load_state(self, name: str) -> str | None: ...
    async def save_state(self, name: str, value: str) -> None: ...


class CommandSync:
    """One overwrite of all commands when their digest differs from the one noted.

    Runs beside the connection: a bot whose commands cannot be changed still chats.
    """

    def __init__(self, http: HttpClient, state: StateStore, commands: Sequence[Command], backoff: Backoff) -> None:
        self._http = http
        self._state = state
        self._payload = commands_payload(commands)
        self._digest = commands_digest(self._payload)
        self._backoff = backoff
        self._task: asyncio.Task[None] | None = None

    def start(self, application_id: str) -> None:
        """Begin, unless it is done or under way."""
        if self._task is None:
            self._task = asyncio.create_task(self._sync_with_retry(application_id))

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _sync_with_retry(self, application_id: str) -> None:
        while True:
            try:
                await self._sync(application_id)
                return
            except DeliveryError as error:
                log.warning("discord commands not synchronised", fault=error.failure)
                if error.failure in PERMANENT_FAILURES:
                    return
                wait = error.retry_after
            except StoreError:
                log.warning("discord commands not synchronised", fault="store")
                wait = None
            await asyncio.sleep(wait or self._backoff.next_delay(0))

    async def _sync(self, application_id: str) -> None:
        name = f"discord.commands.{application_id}"
        if await self._state.load_state(name) == self._digest:
            return
        await self._http.call("PUT", f"/applications/{application_id}/commands", self._payload)
        await self._state.save_state(name, self._digest)
        log.info("discord commands synchronised", commands=len(self._payload))
