"""Puts Parley together: store, models, engine and adapters, from start to shutdown."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from core.api.client import ModelApi, StreamTimeouts
from core.clock import Clock, SystemClock
from core.conversation.model_registry import ModelRegistry
from core.errors import ConfigurationError
from core.port import AccountKey, Adapter
from core.settings import Settings
from core.store.database import Store
from core.store.key_values import get_value, set_value
from core.store.leases import Leases, delete_leases
from core.supervision import supervise
from core.timings import Timings
from core.turns.access_control import AccessControl, create_pairing_code
from core.turns.engine import Engine

__all__ = ["Services", "open_services", "serve"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Services:
    """What adapters are created with."""

    settings: Settings
    store: Store
    api: ModelApi
    models: ModelRegistry
    owner: str
    """This process's name in the database."""
    leases: Leases
    clock: Clock
    timings: Timings

    async def load_state(self, key: str) -> str | None:
        return await self.store.read(get_value, key)

    async def save_state(self, key: str, value: str) -> None:
        await self.store.write(set_value, key, value)


@asynccontextmanager
async def open_services(
    settings: Settings, *, clock: Clock = SystemClock(), timings: Timings = Timings()
) -> AsyncIterator[Services]:
    """Open the database and the API client. Raises `ConfigurationError` and `UnavailableError`."""
    if settings.api_key is None:
        raise ConfigurationError("IOINTELLIGENCE_API_KEY is not set: an API key of IO Intelligence is needed.")
    store = Store(settings.database_url, clock=clock, timings=timings)
    api = ModelApi(
        settings.base_url,
        settings.api_key.get_secret_value(),
        timeouts=StreamTimeouts(
            first_token=settings.first_token_timeout,
            between_tokens=settings.stall_timeout,
            total=settings.answer_timeout,
        ),
        timings=timings,
        clock=clock,
    )
    try:
        await store.open()
        models = ModelRegistry(api, store, settings.contexts, settings.embedding_model, clock=clock, timings=timings)
        await models.load()
        owner = uuid.uuid4().hex
        leases = Leases(store, owner, clock=clock, timings=timings)
        yield Services(settings, store, api, models, owner, leases, clock, timings)
    finally:
        await api.close()
        await store.close()


async def serve(
    services: Services,
    adapters: Sequence[Adapter],
    stop_requested: asyncio.Event,
    *,
    show_pairing_code: Callable[[str], None] | None = None,
) -> None:
    """Serve `adapters` until `stop_requested` is set or one of them cannot go on.

    Raises what an adapter raises: `ConfigurationError`, `UnavailableError`.
    """
    clock, timings = services.clock, services.timings
    engine = Engine(
        services.settings,
        services.store,
        services.api,
        services.models,
        {AccountKey(adapter.platform, adapter.account): adapter for adapter in adapters},
        services.owner,
        clock=clock,
        timings=timings,
    )
    if services.store.is_exclusive:
        await services.store.write(delete_leases)
    await _offer_pairing(services, show_pairing_code)
    tasks = [
        asyncio.create_task(engine.run(), name="engine"),
        asyncio.create_task(services.models.refresh_periodically(services.settings), name="catalogue"),
        *(
            asyncio.create_task(supervise(adapter, engine.inbox, clock=clock, timings=timings), name=adapter.platform)
            for adapter in adapters
        ),
    ]
    stop_task = asyncio.create_task(stop_requested.wait())
    try:
        await asyncio.wait([stop_task, *tasks], return_when=asyncio.FIRST_COMPLETED)
        grace_seconds = timings.shutdown_grace if stop_requested.is_set() else timings.failure_grace
        log.info("app.stopping", grace_seconds=grace_seconds)
        services.leases.close()
        await engine.close(grace_seconds)
    finally:
        for task in (stop_task, *tasks):
            task.cancel()
        done, unfinished = await asyncio.wait(tasks, timeout=timings.adapter_stop_timeout)
        for task in unfinished:
            log.warning("app.task_hangs", task=task.get_name())
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


async def _offer_pairing(services: Services, show_pairing_code: Callable[[str], None] | None) -> None:
    """Show a pairing code while nobody may use the bot."""
    clock, timings = services.clock, services.timings
    access_control = AccessControl(services.store, services.settings.access, clock=clock, timings=timings)
    if not await access_control.needs_pairing():
        return
    code = await create_pairing_code(services.store, clock=clock, timings=timings)
    if show_pairing_code is not None:
        show_pairing_code(code)
