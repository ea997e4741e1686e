"""Parley put together: store, models, engine and the adapters, from start to end."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from core.api.client import ModelApi, Patience
from core.conversation.models import Models
from core.errors import ConfigurationError, StoreError
from core.port import Chat
from core.settings import Settings
from core.store.conversations import get_state, put_state
from core.store.database import Store
from core.store.leases import Leases, forget_all
from core.supervision import supervise
from core.turns.access import Access, new_code
from core.turns.engine import Engine

__all__ = ["Services", "serve", "services"]

log = structlog.get_logger(__name__)

PATIENCE = 12.0  # seconds running answers get when Parley is told to end
PACES = "discord:identify:"
CLOSING = 5.0  # seconds the adapters get after that


@dataclass(frozen=True, slots=True)
class Services:
    """What adapters are made with."""

    settings: Settings
    store: Store
    api: ModelApi
    models: Models
    owner: str
    """This process's name in the database."""
    leases: Leases
    """What this process alone does, of all that share the database."""

    async def recall(self, name: str) -> str | None:
        return await self.store.read(get_state, name)

    async def remember(self, name: str, value: str) -> None:
        await self.store.write(put_state, name, value)


@asynccontextmanager
async def services(settings: Settings) -> AsyncIterator[Services]:
    """Open the store and the API client. Raises `ConfigurationError` and `UnavailableError`."""
    if settings.api_key is None:
        raise ConfigurationError(
            "IOINTELLIGENCE_API_KEY is not set: an API key of IO Intelligence is needed."
        )
    store = Store(settings.database_url)
    api = ModelApi(
        settings.base_url,
        settings.api_key.get_secret_value(),
        patience=Patience(
            first_token=settings.first_token_timeout,
            between_tokens=settings.stall_timeout,
            total=settings.answer_timeout,
        ),
    )
    try:
        await store.open()
        models = Models(api, store, settings.contexts, settings.embedding_model)
        await models.load()
        owner = uuid.uuid4().hex
        yield Services(settings, store, api, models, owner, Leases(store, owner))
    finally:
        await api.close()
        await store.close()


async def serve(
    with_: Services,
    chats: Sequence[Chat],
    stopping: asyncio.Event,
    *,
    show_code: Callable[[str], None] | None = None,
) -> None:
    """Serve `chats` until `stopping` is set or one of them cannot go on.

    Raises what an adapter raised: `ConfigurationError`, `UnavailableError`.
    """
    by_account = {(chat.platform, chat.account): chat for chat in chats}
    engine = Engine(with_.settings, with_.store, with_.api, with_.models, by_account, with_.owner)
    if with_.store.only:
        await with_.store.write(forget_all, PACES)
    await _offer_pairing(with_, show_code)
    inner = [
        asyncio.create_task(engine.run(), name="engine"),
        asyncio.create_task(with_.models.keep_fresh(with_.settings), name="catalogue"),
    ]
    adapters = [asyncio.create_task(supervise(c, engine.inbox), name=c.platform) for c in chats]
    stopper = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait([stopper, *inner, *adapters], return_when=asyncio.FIRST_COMPLETED)
        log.info("ending", patience=PATIENCE)
        with_.leases.close()
        await engine.close(PATIENCE if stopping.is_set() else 1.0)
    finally:
        for task in (stopper, *adapters, *inner):
            task.cancel()
        done, late = await asyncio.wait((*adapters, *inner), timeout=CLOSING)
        for task in late:
            log.warning("did not end in time", task=task.get_name())
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


async def _offer_pairing(with_: Services, show_code: Callable[[str], None] | None) -> None:
    if not await Access(with_.store, with_.settings.access).nobody_yet():
        return
    try:
        code = await new_code(with_.store)
    except StoreError as error:
        raise ConfigurationError(f"The database cannot be written: {error}") from error
    if show_code is not None:
        show_code(code)
