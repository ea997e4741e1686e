"""The models there are: asked from the API, kept in the store, completed from a built-in table."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec
import structlog

from core.api.catalogue import (
    Model,
    ModelMatch,
    find_model,
    merge_models,
    size_in_billions,
)
from core.api.client import ModelApi
from core.api.model_data import BUILTIN_MODELS, DEFAULT_EMBEDDING_MODEL
from core.conversation.failover import fallback_models
from core.conversation.unknown_models import (
    DEFAULT_MODEL_SETTING,
    UnknownModel,
    find_unknown_models,
)
from core.errors import ModelError, ModelFailure, StoreError
from core.settings import Settings
from core.store.database import Store
from core.store.key_values import get_value, set_value

__all__ = ["ModelRegistry"]

log = structlog.get_logger(__name__)

CATALOGUE_KEY = "catalogue"
REFRESH_INTERVAL = 3600.0  # seconds between refreshes
RETRY_INTERVAL = 60.0  # seconds, when one failed
EMBEDDING_CONTEXT_TOKENS = 512  # tokens that are embedded at once


class ModelRegistry:
    """`embeds` is the model by which notes and files are found."""

    def __init__(
        self,
        api: ModelApi,
        store: Store,
        contexts: Mapping[str, int],
        embedding_model: str = DEFAULT_EMBEDDING_MODEL,
    ) -> None:
        self._embedding_model = embedding_model
        self._api = api
        self._store = store
        self._context_overrides = dict(contexts)
        self._context_limits: dict[str, int] = {}
        self._models: Mapping[str, Model] = BUILTIN_MODELS
        self.is_loaded = False
        """Whether the list is the API's own, so that a model missing in it is really gone."""

    async def load(self) -> None:
        stored = await self._store.read(get_value, CATALOGUE_KEY)
        if stored is not None:
            try:
                self._set_models(msgspec.json.decode(stored, type=list[Model]))
            except msgspec.DecodeError:
                log.warning("the kept catalogue cannot be read; asking again")

    async def fetch(self) -> None:
        """Ask the API which there are. Keeps what there was when that raises `ModelError`."""
        models = await self._api.list_models()
        if not models:
            raise ModelError("The model service listed no models", ModelFailure.EMPTY)
        self._set_models(models)
        encoded = msgspec.json.encode(list(models)).decode()
        try:
            await self._store.write(set_value, CATALOGUE_KEY, encoded)
        except StoreError as error:
            log.warning("the catalogue was not kept", error=str(error))

    async def refresh(self) -> bool:
        """Ask the API; whether it answered."""
        try:
            await self.fetch()
        except ModelError as error:
            log.warning("the list of models did not come", failure=error.failure)
            return False
        return True

    async def refresh_periodically(self, settings: Settings) -> None:
        """Refresh until cancelled. Models of the settings that are not offered are warned of."""
        pause, warned = 0.0, frozenset[UnknownModel]()
        while True:
            await asyncio.sleep(pause)
            pause = REFRESH_INTERVAL if await self.refresh() else RETRY_INTERVAL
            missing = frozenset(self.find_unknown_models(settings))
            for one in sorted(missing - warned, key=lambda one: (one.setting, one.model)):
                stands_in = self.successor(one.model, settings) if one.setting == DEFAULT_MODEL_SETTING else None
                log.warning(
                    "a model of the settings is not offered",
                    setting=one.setting,
                    model=one.model,
                    instead=stands_in or "none",
                    close=list(one.suggestions),
                )
            warned = missing

    def _set_models(self, models: Sequence[Model]) -> None:
        self._models = merge_models({m.id: m for m in models}, BUILTIN_MODELS, self._context_overrides)
        self.is_loaded = True

    def chat_models(self) -> list[Model]:
        """Models one can talk to, by name."""
        return sorted(
            (model for model in self._models.values() if not model.is_embedding_model),
            key=lambda model: model.name.casefold(),
        )

    def embedding_models(self) -> list[Model]:
        """Models that turn texts into vectors and answer nothing. The service does not list
        them with the others.
        """
        listed = [model for model in self._models.values() if model.is_embedding_model]
        if all(model.id != self._embedding_model for model in listed):
            unknown = Model(self._embedding_model, EMBEDDING_CONTEXT_TOKENS, is_embedding_model=True)
            listed.append(BUILTIN_MODELS.get(self._embedding_model, unknown))
        return listed

    def chat_models_by_size(self) -> list[Model]:
        """Models one can talk to, the smallest first, as their names tell."""
        return sorted(self.chat_models(), key=lambda model: (size_in_billions(model), model.id))

    def get(self, id_: str) -> Model | None:
        return self._models.get(id_)

    def successor(self, id_: str, settings: Settings) -> str | None:
        """Who follows a model that the service does not offer any more; None: it does."""
        if not self.is_loaded or id_ in self._models:
            return None
        candidates = [settings.successors.get(id_), settings.default_model, *settings.fallbacks]
        available = [model for model in candidates if model in self._models]
        # Without any, who answers when a model cannot.
        return next(iter(available or fallback_models(id_, self.chat_models(), ())), None)

    def find_unknown_models(self, settings: Settings) -> list[UnknownModel]:
        """Models of the settings that are not offered, as far as the service told."""
        return find_unknown_models(settings, self._models) if self.is_loaded else []

    def display_name(self, id_: str) -> str:
        """For people."""
        model = self._models.get(id_)
        return model.name if model else id_.rpartition("/")[2]

    def context_tokens(self, id_: str) -> int:
        """Tokens in the window of a model, known or not."""
        model = self._models.get(id_)
        limit = self._context_overrides.get(id_) or (model.context_window if model else 8192)
        return min(limit, self._context_limits.get(id_, limit))

    def record_context_limit(self, id_: str, limit: int) -> None:
        """The server named a smaller window than the catalogue."""
        if id_ in self._models and limit > 0:
            self._context_limits[id_] = limit

    def find(self, query: str) -> ModelMatch:
        return find_model(self.chat_models(), query)

    def suggest(self, query: str) -> list[Model]:
        """The chat models that `query` may mean, best first; all of them if it is empty."""
        models = self.chat_models()
        if query.strip():
            match = find_model(models, query)
            first = [match.model] if match.model else list(match.candidates)
            wanted = query.casefold().strip()
            rest = [m for m in models if wanted in m.id.casefold() and m not in first]
            models = first + rest
        return models
