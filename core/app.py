"""Puts Parley together: store, models, engine and adapters, from start to shutdown."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import structlog

from core.api.client import ModelApi, StreamTimeouts
from core.conversation.learned_facts import LearnedFacts
from core.conversation.model_registry import ModelRegistry
from core.errors import ConfigurationError
from core.health import Health
from core.metrics import NO_METRICS, Metrics
from core.port import AccountKey, Adapter
from core.retention import sweep_periodically
from core.services import Services, build_services
from core.settings import AccessMode, Settings
from core.store.database import Store
from core.store.grants import Role, roles_by_subject
from core.store.leases import delete_leases
from core.supervision import supervise
from core.timings import Timings
from core.tracing import NO_TRACER, Tracer
from core.turns.access_control import create_pairing_code
from core.turns.engine import Engine

log = structlog.get_logger(__name__)


@asynccontextmanager
async def open_services(
    settings: Settings,
    *,
    timings: Timings = Timings(),
    metrics: Metrics = NO_METRICS,
    tracer: Tracer = NO_TRACER,
) -> AsyncIterator[Services]:
    """Open the database and the API client. Raises `ConfigurationError` and `UnavailableError`."""
    if settings.api_key is None and settings.uses_io_intelligence:
        raise ConfigurationError(
            "IOINTELLIGENCE_API_KEY is not set: an API key of IO Intelligence is needed. For another service, set "
            "IOINTELLIGENCE_BASE_URL."
        )
    store = Store(settings.database_url, timings=timings, metrics=metrics)
    facts = LearnedFacts(store, settings.base_url, timings=timings)
    api = ModelApi(
        settings.base_url,
        settings.api_key.get_secret_value() if settings.api_key else "",
        timeouts=StreamTimeouts(
            first_token=settings.first_token_timeout,
            reasoning_first_token=settings.reasoning_timeout,
            between_tokens=settings.stall_timeout,
            total=settings.answer_timeout,
        ),
        timings=timings,
        facts=facts,
    )
    speech_api = None
    if settings.speech_url:
        speech_key = settings.speech_key.get_secret_value() if settings.speech_key else ""
        speech_api = ModelApi(settings.speech_url, speech_key, timings=timings)
    try:
        await store.open()
        await facts.refresh()
        models = ModelRegistry(api, store, settings, timings=timings)
        await models.load()
        vault = None
        if settings.secret_key:
            from core.conversation.vault import open_vault

            vault = await open_vault(store, settings.secret_key.get_secret_value())
        yield build_services(
            settings,
            store,
            api,
            models,
            facts,
            vault,
            speech_api=speech_api,
            timings=timings,
            metrics=metrics,
            tracer=tracer,
        )
    finally:
        await api.close()
        if speech_api is not None:
            await speech_api.close()
        await store.close()


async def serve(
    services: Services,
    adapters: Sequence[Adapter],
    stop_requested: asyncio.Event,
    *,
    show_pairing_code: Callable[[str], None] | None = None,
    health: Health | None = None,
) -> None:
    """Serve `adapters` until `stop_requested` is set or one of them cannot go on. `health` watches them meanwhile.

    Raises what an adapter raises: `ConfigurationError`, `UnavailableError`.
    """
    timings = services.timings
    engine = Engine(services, {AccountKey(adapter.platform, adapter.account): adapter for adapter in adapters})
    if services.store.is_exclusive:
        await services.store.write(delete_leases)
    await _offer_pairing(services, show_pairing_code)
    tasks = [
        asyncio.create_task(engine.run(), name="engine"),
        asyncio.create_task(services.models.refresh_periodically(), name="catalogue"),
        asyncio.create_task(sweep_periodically(services), name="retention"),
        *(
            asyncio.create_task(supervise(adapter, engine.inbox, timings), name=adapter.platform)
            for adapter in adapters
        ),
        *([asyncio.create_task(health.run(), name="health")] if health is not None else []),
    ]
    stop_task = asyncio.create_task(stop_requested.wait())
    try:
        await asyncio.wait([stop_task, *tasks], return_when=asyncio.FIRST_COMPLETED)
        grace_seconds = timings.shutdown_grace if stop_requested.is_set() else timings.failure_grace
        log.info("app.stopping", grace_seconds=grace_seconds)
        if health is not None:
            health.stop()
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
    roles = await services.store.read(roles_by_subject)
    if set(roles.values()) - {Role.BANNED} or services.settings.access is not AccessMode.PAIRING:
        return
    code = await create_pairing_code(services.store, timings=services.timings)
    if show_pairing_code is not None:
        show_pairing_code(code)
