"""The pauses of models that keep failing, shared by all processes through the database.

Each process counts failures for itself (`CircuitBreaker`). A pause that begins is stored, so that other processes keep
it and an operator sees it. One that is no longer stored has ended: a model answered, or the operator ended it.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from core.bounded_dict import BoundedDict
from core.conversation.failover import MAX_CIRCUITS, CircuitBreaker
from core.conversation.learned_facts import service_name
from core.errors import ModelError, StoreError
from core.store.database import Store
from core.store.model_pauses import StoredPause, delete_pauses, load_pauses, save_pause
from core.timings import Timings

log = structlog.get_logger(__name__)


class ModelPauses:
    def __init__(self, store: Store, base_url: str, *, timings: Timings = Timings()) -> None:
        self._store = store
        self._service = service_name(base_url)
        self._clock = timings.clock
        self._interval = timings.service_refresh_interval
        self._breaker = CircuitBreaker(timings=timings)
        self._stored_until: BoundedDict[tuple[str, str], float] = BoundedDict(MAX_CIRCUITS)
        """When the stored pause of a key and a model ends."""
        self._next_refresh = 0.0
        self._lock = asyncio.Lock()
        """A pause that is being stored must not be taken for one that was ended."""

    async def check(self, key_id: str, model: str) -> None:
        """Raise the `ModelError` for which the model is paused, with the remaining seconds as `retry_after`.

        Also raises `StoreError`.
        """
        if self._clock.monotonic() >= self._next_refresh:
            await self.list_pauses()
        self._breaker.check(key_id, model)

    async def record_success(self, key_id: str, model: str) -> None:
        self._breaker.close(key_id, model)
        if (key_id, model) not in self._stored_until:
            return
        async with self._lock:
            if self._stored_until.pop((key_id, model), None) is not None:
                log.info("model.resumed", model=model)
                await self._write(delete_pauses, self._service, [model], key_id)

    async def record_failure(self, key_id: str, model: str, error: ModelError) -> None:
        now = self._clock.monotonic()
        self._breaker.record_failure(key_id, model, error)
        end = self._breaker.pause_end(key_id, model)
        async with self._lock:
            # What is shorter, or hardly longer than what is stored, would be over when others read it.
            if end - max(now, self._stored_until.get((key_id, model), now)) < self._interval:
                return
            seconds = end - now
            log.warning("model.paused", model=model, failure=error.failure, error=str(error), seconds=round(seconds))
            if await self._write(save_pause, self._service, key_id, model, error, seconds):
                self._stored_until[key_id, model] = end

    async def list_pauses(self) -> list[StoredPause]:
        """All pauses, ordered by model, after taking over those that other processes began or ended.

        Raises `StoreError`.
        """
        async with self._lock:
            pauses = await self._store.read(load_pauses, self._service)
            now = self._clock.monotonic()
            self._next_refresh = now + self._interval
            stored = {(pause.key_id, pause.model): pause for pause in pauses}
            for key, end in list(self._stored_until.items()):
                if key not in stored:
                    del self._stored_until[key]
                    if now < end:
                        self._breaker.close(*key)
            for key, pause in stored.items():
                if key not in self._stored_until:
                    self._stored_until[key] = now + pause.remaining_seconds
                    self._breaker.open(*key, pause.error, pause.remaining_seconds)
        return pauses

    async def end(self, models: Sequence[str]) -> int:
        """End the pauses of these models, also in other processes. Returns how many there were. Raises `StoreError`."""
        count = await self._store.write(delete_pauses, self._service, models)
        await self.list_pauses()
        return count

    async def _write(self, function: Callable[..., Any], *args: Any) -> bool:
        """Whether it succeeded."""
        try:
            await self._store.write(function, *args)
        except StoreError as error:
            log.warning("model.pauses_not_stored", error=str(error))
            return False
        return True
