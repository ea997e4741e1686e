"""The models that the service offers: fetches the list, stores it and completes it from the built-in table."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

import msgspec
import structlog

from core.api.advice import ADVICE
from core.api.catalogue import DEFAULT_CONTEXT_TOKENS, Model, ModelMatch, find_model, merge_models, size_in_billions
from core.api.client import ModelApi
from core.api.model_data import BUILTIN_MODELS, MODELS_WITHOUT_QUOTAS
from core.conversation.failover import fallback_models
from core.conversation.learned_facts import service_name
from core.conversation.unknown_models import DEFAULT_MODEL_SETTING, UnknownModel, find_unknown_models
from core.errors import ModelError, ModelFailure, StoreError
from core.settings import Settings
from core.store.database import Store
from core.store.key_values import get_value, set_value
from core.timings import Timings

log = structlog.get_logger(__name__)

EMBEDDING_CONTEXT_TOKENS = 512


def catalogue_key(settings: Settings) -> str:
    """Under which the list is stored: each service has its own."""
    return f"catalogue:{service_name(settings.base_url)}"


class ModelRegistry:
    def __init__(self, api: ModelApi, store: Store, settings: Settings, *, timings: Timings = Timings()) -> None:
        self._api = api
        self._store = store
        self._clock = timings.clock
        self._timings = timings
        self._settings = settings
        # Until its list arrives, another service is assumed to offer the built-in models if the default model is one.
        is_known = settings.uses_io_intelligence or settings.default_model in BUILTIN_MODELS
        self._known_models: Mapping[str, Model] = BUILTIN_MODELS if is_known else {}
        """Those that the service may offer without listing them."""
        self._models: Mapping[str, Model] = self._known_models
        self._catalogue_key = catalogue_key(settings)
        self.is_loaded = False
        """Whether the list came from the service, so that a missing model is certainly not offered."""
        self._next_search_fetch = 0.0
        """`find_offered` fetches no list before."""

    async def load(self) -> None:
        """Use the stored list until `fetch` has a newer one. Raises `StoreError`."""
        catalogue_json = await self._store.read(get_value, self._catalogue_key)
        if catalogue_json is not None:
            try:
                self.set_models(msgspec.json.decode(catalogue_json, type=list[Model]))
            except msgspec.DecodeError:
                log.warning("model.catalogue_unreadable")

    async def fetch(self) -> None:
        """Fetch the list from the service and store it. Raises `ModelError` and keeps the previous list."""
        models = await self._api.list_models()
        if not models:
            raise ModelError("The model service listed no models", ModelFailure.EMPTY)
        self.set_models(models)
        encoded = msgspec.json.encode(list(models)).decode()
        try:
            await self._store.write(set_value, self._catalogue_key, encoded)
        except StoreError as error:
            log.warning("model.catalogue_not_stored", error=str(error))

    async def refresh(self) -> bool:
        """Whether `fetch` succeeded."""
        try:
            await self.fetch()
        except ModelError as error:
            log.warning(
                "model.catalogue_not_fetched",
                failure=error.failure,
                status=error.status,
                error=str(error),
                advice=ADVICE[error.failure],
            )
            return False
        return True

    async def refresh_periodically(self) -> None:
        """Refresh until cancelled.

        Logs each configured model that the service does not offer once, and why the service refuses every question.
        """
        logged = frozenset[UnknownModel]()
        is_account_checked = False
        while True:
            is_fresh = await self.refresh()
            if is_fresh and not is_account_checked:
                await self._check_account()
                is_account_checked = True
            unknown_models = frozenset(self.find_unknown_models())
            for unknown in sorted(unknown_models - logged, key=lambda unknown: (unknown.setting, unknown.model)):
                is_default = unknown.setting == DEFAULT_MODEL_SETTING
                log.warning(
                    "model.not_offered",
                    setting=unknown.setting,
                    model=unknown.model,
                    successor=self.successor(unknown.model) if is_default else None,
                    suggestions=list(unknown.suggestions),
                )
            logged = unknown_models
            timings = self._timings
            await self._clock.sleep(
                timings.catalogue_refresh_interval if is_fresh else timings.catalogue_retry_interval
            )

    async def _check_account(self) -> None:
        """Report a wrong key and the like, which many services do not check for their lists."""
        if problem := await self._api.find_account_problem():
            log.error("model.account_refused", failure=problem.failure, advice=ADVICE[problem.failure])

    def set_models(self, models: Sequence[Model]) -> None:
        """Use `models` as the service's list."""
        is_io_intelligence = self._settings.uses_io_intelligence or any(m.is_from_io_intelligence for m in models)
        self._known_models = BUILTIN_MODELS if is_io_intelligence else {}
        table = BUILTIN_MODELS if is_io_intelligence else MODELS_WITHOUT_QUOTAS
        self._models = merge_models({m.id: m for m in models}, table, self._settings.contexts)
        self.is_loaded = True

    def chat_models(self) -> list[Model]:
        """Ordered by name."""
        return sorted(
            (model for model in self._models.values() if model.can_chat),
            key=lambda model: model.name.casefold(),
        )

    def embedding_models(self) -> list[Model]:
        """All that the service lists, plus the configured one, which may not be listed."""
        configured = self._settings.embedding_model
        models = {model.id: model for model in self._models.values() if model.is_embedding_model}
        unknown = Model(configured, EMBEDDING_CONTEXT_TOKENS, is_embedding_model=True)
        models.setdefault(configured, self._known_models.get(configured, unknown))
        return list(models.values())

    def chat_models_by_size(self) -> list[Model]:
        """Smallest first."""
        return sorted(self.chat_models(), key=lambda model: (size_in_billions(model), model.id))

    def get(self, model_id: str) -> Model | None:
        return self._models.get(model_id)

    def describe(self, model_id: str) -> Model | None:
        """The model, even if the service does not list it, as may be the case for embedding models."""
        return self._models.get(model_id) or self._known_models.get(model_id)

    def speech_model(self) -> str | None:
        """The model that transcribes recordings; None if the service lists none."""
        return min((model.id for model in self._models.values() if model.is_speech_model), default=None)

    def has_vision(self, model_id: str) -> bool:
        """Whether a model accepts pictures."""
        model = self._models.get(model_id)
        return model is not None and model.has_vision

    def vision_model(self, model_id: str) -> str | None:
        """The model to ask about a picture instead of one that accepts none; None if the service offers none."""
        candidates = [model for model in self.chat_models() if model.has_vision]
        preferred = [model for model in self._settings.fallbacks if self.has_vision(model)]
        return next(iter(fallback_models(model_id, candidates, preferred)), None)

    def successor(self, model_id: str) -> str | None:
        """The model that replaces one that the service no longer offers; None if it is offered."""
        if not self.is_loaded or model_id in self._models:
            return None
        settings = self._settings
        candidates = [settings.successors.get(model_id), settings.default_model, *settings.fallbacks]
        available = [model for model in candidates if model in self._models]
        return next(iter(available or fallback_models(model_id, self.chat_models(), ())), None)

    def find_unknown_models(self) -> list[UnknownModel]:
        """Configured models that the service does not offer; empty while its list is unknown."""
        return find_unknown_models(self._settings, self._models, self._known_models) if self.is_loaded else []

    def display_name(self, model_id: str) -> str:
        model = self._models.get(model_id)
        return model.name if model else model_id.rpartition("/")[2]

    def context_tokens(self, model_id: str) -> int:
        """The size of a model's context window: the configured or listed one, or a smaller one that errors named."""
        model = self._models.get(model_id)
        limit = self._settings.contexts.get(model_id) or (model.context_window if model else DEFAULT_CONTEXT_TOKENS)
        return min(limit, self._api.facts.context_limit(model_id) or limit)

    def find(self, query: str) -> ModelMatch:
        return find_model(self.chat_models(), query)

    async def find_offered(self, query: str) -> ModelMatch:
        """`find`, and if nothing matches, again with a new list: the service may offer the model since the last one."""
        match, now = self.find(query), self._clock.monotonic()
        if match.model is not None or match.candidates or now < self._next_search_fetch:
            return match
        self._next_search_fetch = now + self._timings.catalogue_search_interval
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timings.catalogue_search_timeout):
                await self.refresh()
        return self.find(query)

    def suggest(self, query: str) -> list[Model]:
        """The chat models that `query` may mean, best first; all of them if it is empty."""
        models = self.chat_models()
        if query.strip():
            first = find_model(models, query).models
            folded = query.casefold().strip()
            models = first + [model for model in models if folded in model.id.casefold() and model not in first]
        return models
