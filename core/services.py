"""What one process serves with, created once and shared by its adapters, commands and turns."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.api.client import ModelApi
from core.conversation.api_keys import ApiKeys
from core.conversation.composer import Composer
from core.conversation.learned_facts import LearnedFacts
from core.conversation.ledger import Ledger
from core.conversation.model_pauses import ModelPauses
from core.conversation.model_registry import ModelRegistry
from core.conversation.speech import SpeechRecognition
from core.conversation.summariser import Summariser
from core.conversation.token_estimator import TokenEstimators
from core.memory.file_reader import FileReader
from core.memory.image_reader import ImageReader
from core.memory.service import MemoryService
from core.metrics import NO_METRICS, Metrics
from core.settings import Settings
from core.store.database import Store
from core.store.key_values import get_value, set_value, update_value
from core.store.leases import Leases
from core.timings import Timings
from core.tracing import NO_TRACER, Tracer

if TYPE_CHECKING:
    from core.conversation.vault import Vault


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    store: Store
    api: ModelApi
    models: ModelRegistry
    facts: LearnedFacts
    api_keys: ApiKeys
    ledger: Ledger
    pauses: ModelPauses
    composer: Composer
    summariser: Summariser
    memory: MemoryService
    images: ImageReader
    speech: SpeechRecognition
    owner: str
    """This process's name in the database."""
    leases: Leases
    timings: Timings
    metrics: Metrics
    tracer: Tracer

    async def load_state(self, key: str) -> str | None:
        return await self.store.read(get_value, key)

    async def save_state(self, key: str, value: str) -> None:
        await self.store.write(set_value, key, value)

    async def update_state(self, key: str, change: Callable[[str], str]) -> str:
        return await self.store.write(update_value, key, change)


def build_services(
    settings: Settings,
    store: Store,
    api: ModelApi,
    models: ModelRegistry,
    facts: LearnedFacts,
    vault: "Vault | None",
    *,
    speech_api: ModelApi | None = None,
    timings: Timings = Timings(),
    metrics: Metrics = NO_METRICS,
    tracer: Tracer = NO_TRACER,
) -> Services:
    api_keys = ApiKeys(store, api, settings, vault)
    bot_key_id = api_keys.bot_key.key_id
    ledger = Ledger(store, models, settings, bot_key_id, timings=timings, metrics=metrics)
    owner = uuid.uuid4().hex
    reader = FileReader(timings=timings)
    return Services(
        settings,
        store,
        api,
        models,
        facts,
        api_keys,
        ledger,
        ModelPauses(store, settings.base_url, timings=timings),
        Composer(store, models, TokenEstimators(store)),
        Summariser(store, models, ledger),
        MemoryService(store, ledger, model=settings.embedding_model, timings=timings, reader=reader),
        ImageReader(reader, settings.image_side),
        SpeechRecognition(models, settings, speech_api),
        owner,
        Leases(store, owner, timings=timings),
        timings,
        metrics,
        tracer,
    )
