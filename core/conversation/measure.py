"""Measuring requests before they are sent: by the model's own last count where there is one.

After an answer the service's count of its request is exact (the anchor): the next request of that
conversation is that count, and an estimate of what came since.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import structlog

from core.api.client import Message
from core.conversation import tokens
from core.conversation.tokens import Weights
from core.errors import StoreError
from core.store.conversations import get_state, put_state
from core.store.database import Store

__all__ = ["Anchor", "Measure", "Measures"]

log = structlog.get_logger(__name__)

MOST_ANCHORS = 2000
MOST_MODELS = 200
KEEP_EVERY = 10  # samples between writes


@dataclass(frozen=True, slots=True)
class Anchor:
    """A request as the service counted it."""

    model: str
    system: int
    messages: tuple[int, ...]
    tokens: int
    answer: int
    answer_tokens: int
    """The answer's message and its tokens; 0 where thoughts were counted with it."""


@dataclass(frozen=True, slots=True)
class Measure:
    """Counts for one model and conversation. `known`: the model's weights are learnt."""

    weights: Weights
    anchor: Anchor | None = None

    @property
    def known(self) -> bool:
        return self.weights.known

    def text(self, text: str) -> float:
        return tokens.of_text(text, self.weights.now)

    def request(self, texts: Sequence[str]) -> float:
        return tokens.of_messages(texts, self.weights.now)


def digest(text: str) -> int:
    return hash(text)


class Measures:
    """The measures of all models, learnt and kept. Bounded."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._weights: OrderedDict[str, Weights] = OrderedDict()
        self._anchors: OrderedDict[int, Anchor] = OrderedDict()
        self._fresh: dict[str, int] = {}

    async def of(self, model: str, conversation: int) -> Measure:
        """Raises `StoreError`."""
        anchor = self._anchors.get(conversation)
        same = anchor is not None and anchor.model == model
        return Measure(await self._of_model(model), anchor if same else None)

    async def _of_model(self, model: str) -> Weights:
        weights = self._weights.get(model)
        if weights is None:
            kept = await self._store.read(get_state, _name(model))
            try:
                samples = msgspec.json.decode(kept, type=list[list[float]]) if kept else []
            except msgspec.DecodeError:
                samples = []
            weights = self._weights[model] = Weights(samples)
            while len(self._weights) > MOST_MODELS:
                self._weights.popitem(last=False)
        self._weights.move_to_end(model)
        return weights

    async def learn(
        self,
        model: str,
        conversation: int,
        sent: Sequence[Message],
        usage: tuple[int, int],
        answer: str,
        *,
        thought: bool,
    ) -> None:
        """The service counted `usage` (prompt, completion) for `sent` and `answer`."""
        if usage[0] <= 0:
            return
        weights = await self._of_model(model)
        weights.learn(tokens.features(message.content for message in sent), usage[0])
        system = sent[0].content if sent[0].role == "system" else ""
        shown = sent[1:] if sent[0].role == "system" else sent
        self._anchors[conversation] = Anchor(
            model,
            digest(system),
            tuple(digest(message.content) for message in shown),
            usage[0],
            digest(answer),
            0 if thought else usage[1],
        )
        self._anchors.move_to_end(conversation)
        while len(self._anchors) > MOST_ANCHORS:
            self._anchors.popitem(last=False)
        self._fresh[model] = self._fresh.get(model, 0) + 1
        if self._fresh[model] >= KEEP_EVERY:
            del self._fresh[model]
            kept = msgspec.json.encode(weights.samples).decode()
            try:
                await self._store.write(put_state, _name(model), kept)
            except StoreError as error:
                log.warning("token counts not kept", model=model, error=str(error))


def _name(model: str) -> str:
    return f"tokens:{model}"[:200]
