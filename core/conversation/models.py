"""The models there are: asked from the API, kept in the store, completed from a built-in table."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec
import structlog

from core.api.catalogue import Match, Model, builtin, find, merge, size
from core.api.client import ModelApi
from core.api.table import EMBEDDING
from core.conversation.failover import successors
from core.conversation.named import DEFAULT, Missing, missing
from core.errors import Failure, ModelError, StoreError
from core.settings import Settings
from core.store.conversations import get_state, put_state
from core.store.database import Store

__all__ = ["Models", "describe", "length"]

log = structlog.get_logger(__name__)

STATE = "catalogue"
EVERY = 3600.0  # seconds between refreshes
SOON = 60.0  # seconds, when one failed
PIECE = 512  # tokens that are embedded at once


def length(tokens: int) -> str:
    """A context length for people: 128k."""
    return f"{tokens // 1000}k" if tokens >= 1000 else str(tokens)


class Models:
    """`embeds` is the model by which notes and files are found."""

    def __init__(
        self,
        api: ModelApi,
        store: Store,
        contexts: Mapping[str, int],
        embeds: str = EMBEDDING,
    ) -> None:
        self._embeds = embeds
        self._api = api
        self._store = store
        self._overrides = dict(contexts)
        self._learnt: dict[str, int] = {}
        self._all: dict[str, Model] = builtin()
        self.known = False
        """Whether the list is the API's own, so that a model missing in it is really gone."""

    async def load(self) -> None:
        kept = await self._store.read(get_state, STATE)
        if kept is not None:
            try:
                self._take(msgspec.json.decode(kept, type=list[Model]))
            except msgspec.DecodeError:
                log.warning("the kept catalogue cannot be read; asking again")

    async def ask(self) -> None:
        """Ask the API which there are. Keeps what there was when that raises `ModelError`."""
        models = await self._api.models()
        if not models:
            raise ModelError("The model service listed no models", Failure.EMPTY)
        self._take(models)
        kept = msgspec.json.encode(list(models)).decode()
        try:
            await self._store.write(put_state, STATE, kept)
        except StoreError as error:
            log.warning("the catalogue was not kept", error=str(error))

    async def refresh(self) -> bool:
        """Ask the API; whether it answered."""
        try:
            await self.ask()
        except ModelError as error:
            log.warning("the list of models did not come", failure=error.failure)
            return False
        return True

    async def keep_fresh(self, settings: Settings) -> None:
        """Refresh until cancelled. Models of the settings that are not offered are warned of."""
        pause, warned = 0.0, frozenset[Missing]()
        while True:
            await asyncio.sleep(pause)
            pause = EVERY if await self.refresh() else SOON
            missing = frozenset(self.missing(settings))
            for one in sorted(missing - warned, key=lambda one: (one.setting, one.model)):
                stands_in = self.successor(one.model, settings) if one.setting == DEFAULT else None
                log.warning(
                    "a model of the settings is not offered", setting=one.setting,
                    model=one.model, instead=stands_in or "none", close=list(one.close),
                )  # fmt: skip
            warned = missing

    def _take(self, models: Sequence[Model]) -> None:
        self._all = merge({m.id: m for m in models}, builtin(), self._overrides)
        self.known = True

    def chat(self) -> list[Model]:
        """Models one can talk to, by name."""
        return sorted(
            (model for model in self._all.values() if not model.embeds),
            key=lambda model: model.name.casefold(),
        )

    def embedding(self) -> list[Model]:
        """Models that turn texts into vectors and answer nothing. The service does not list
        them with the others.
        """
        listed = [model for model in self._all.values() if model.embeds]
        if all(model.id != self._embeds for model in listed):
            unknown = Model(self._embeds, PIECE, embeds=True)
            listed.append(builtin().get(self._embeds, unknown))
        return listed

    def by_size(self) -> list[Model]:
        """Models one can talk to, the smallest first, as their names tell."""
        return sorted(self.chat(), key=lambda model: (size(model), model.id))

    def get(self, id_: str) -> Model | None:
        return self._all.get(id_)

    def successor(self, id_: str, settings: Settings) -> str | None:
        """Who follows a model that the service does not offer any more; None: it does."""
        if not self.known or id_ in self._all:
            return None
        wanted = [settings.successors.get(id_), settings.default_model, *settings.fallbacks]
        there = [model for model in wanted if model in self._all]
        # Without any, who answers when a model cannot.
        return next(iter(there or successors(id_, self.chat(), ())), None)

    def missing(self, settings: Settings) -> list[Missing]:
        """Models of the settings that are not offered, as far as the service told."""
        return missing(settings, self._all) if self.known else []

    def name(self, id_: str) -> str:
        """For people."""
        model = self._all.get(id_)
        return model.name if model else id_.rpartition("/")[2]

    def context(self, id_: str) -> int:
        """Tokens in the window of a model, known or not."""
        model = self._all.get(id_)
        limit = self._overrides.get(id_) or (model.context if model else 8192)
        return min(limit, self._learnt.get(id_, limit))

    def learn(self, id_: str, limit: int) -> None:
        """The server named a smaller window than the catalogue."""
        if id_ in self._all and limit > 0:
            self._learnt[id_] = limit

    def find(self, query: str) -> Match:
        return find(self.chat(), query)

    def suggest(self, query: str, most: int = 25) -> list[tuple[str, str]]:
        """(label, id), best first, for a platform's completion."""
        models = self.chat()
        if query.strip():
            match = find(models, query)
            first = [match.model] if match.model else list(match.candidates)
            wanted = query.casefold().strip()
            rest = [m for m in models if wanted in m.id.casefold() and m not in first]
            models = first + rest
        return [(describe(model)[:100], model.id) for model in models[:most]]


def describe(model: Model) -> str:
    """One line: name, window, what it can do."""
    marks = (
        (model.reasons, "reasons"),
        (model.vision, "sees images"),
        (model.embeds, "embeddings only"),
    )
    told = (mark for holds, mark in marks if holds)
    return " · ".join((model.name, length(model.context), *told))
