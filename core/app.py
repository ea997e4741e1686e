"""Parley put together: store, models, engine and the adapters, from start to end."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from core.api.client import ModelApi, StreamTimeouts
from core.conversation.model_registry import ModelRegistry
from core.errors import ConfigurationError, StoreError
from core.port import AccountKey, Adapter
from core.settings import Settings
from core.store.database import Store
from core.store.key_values import get_value, set_value
from core.store.leases import Leases, delete_leases
from core.supervision import supervise
from core.turns.access_control import AccessControl, create_pairing_code
from core.turns.engine import Engine

__all__ = ["Services", "open_services", "serve"]

log = structlog.get_logger(__name__)

SHUTDOWN_GRACE_SECONDS = 12.0  # seconds running answers get when Parley is told to end
ADAPTER_STOP_SECONDS = 5.0  # seconds the adapters get after that


@dataclass(frozen=True, slots=True)
class Services:
    """What adapters are made with."""

    settings: Settings
    store: Store
    api: ModelApi
    models: ModelRegistry
    owner: str
    """This process's name in the database."""
    leases: Leases
    """What this process alone does, of all that share the database."""

    async def load_state(self, name: str) -> str | None:
        return await self.store.read(get_value, name)

    async def save_state(self, name: str, value: str) -> None:
        await self.store.write(set_value, name, value)


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Open the store and the API client. Raises `ConfigurationError` and `UnavailableError`."""
    if settings.api_key is None:
        raise ConfigurationError("IOINTELLIGENCE_API_KEY is not set: an API key of IO Intelligence is needed.")
    store = Store(settings.database_url)
    api = ModelApi(
        settings.base_url,
        settings.api_key.get_secret_value(),
        timeouts=StreamTimeouts(
            first_token=settings.first_token_timeout,
            between_tokens=settings.stall_timeout,
            total=settings.answer_timeout,
        ),
    )
    try:
        await store.open()
        models = ModelRegistry(api, store, settings.contexts, settings.embedding_model)
        await models.load()
        owner = uuid.uuid4().hex
        yield Services(settings, store, api, models, owner, Leases(store, owner))
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
    """Serve `chats` until `stopping` is set or one of them cannot go on.

    Raises what an adapter raised: `ConfigurationError`, `UnavailableError`.
    """
    adapters_by_account = {AccountKey(chat.platform, chat.account): chat for chat in adapters}
    engine = Engine(
        services.settings,
        services.store,
        services.api,
        services.models,
        adapters_by_account,
        services.owner,
    )
    if services.store.is_exclusive:
        await services.store.write(delete_leases)
    await _offer_pairing(services, show_pairing_code)
    service_tasks = [
        asyncio.create_task(engine.run(), name="engine"),
        asyncio.create_task(services.models.refresh_periodically(services.settings), name="catalogue"),
    ]
    adapter_tasks = [asyncio.create_task(supervise(c, engine.inbox), name=c.platform) for c in adapters]
    stop_waiter = asyncio.create_task(stop_requested.wait())
    try:
        await asyncio.wait([stop_waiter, *service_tasks, *adapter_tasks], return_when=asyncio.FIRST_COMPLETED)
        log.info("ending", patience=SHUTDOWN_GRACE_SECONDS)
        services.leases.close()
        await engine.close(SHUTDOWN_GRACE_SECONDS if stop_requested.is_set() else 1.0)
    finally:
        for task in (stop_waiter, *adapter_tasks, *service_tasks):
            task.cancel()
        done, unfinished = await asyncio.wait((*adapter_tasks, *service_tasks), timeout=ADAPTER_STOP_SECONDS)
        for task in unfinished:
            log.warning("did not end in time", task=task.get_name())
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


async def _offer_pairing(services: Services, show_pairing_code: Callable[[str], None] | None) -> None:
    if not await AccessControl(services.store, services.settings.access).needs_pairing():
        return
    try:
        code = await create_pairing_code(services.store)
    except StoreError as error:
        raise ConfigurationError(f"The database cannot be written: {error}") from error
    if show_pairing_code is not None:
        show_pairing_code(code)
