"""Estimates the tokens of requests before they are sent.

With an answer, the service reports the exact count of its request. That count becomes the conversation's anchor: the
next request is the anchor plus an estimate of the messages since (see `context_window`). The counts also correct each
model's estimates (see `tokens`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import structlog

from core.api.client import Message
from core.api.events import UsageReport
from core.bounded_dict import BoundedDict
from core.conversation import tokens
from core.conversation.tokens import TokenWeights
from core.errors import StoreError
from core.store.database import Store
from core.store.key_values import get_value, set_value

log = structlog.get_logger(__name__)

MAX_ANCHORS = 2000
MAX_MODELS = 200
SAVE_EVERY_SAMPLES = 10


@dataclass(frozen=True, slots=True)
class CountedRequest:
    """A request as the service counted it."""

    model: str
    system_hash: int
    message_hashes: tuple[int, ...]
    tokens: int
    answer_hash: int
    answer_tokens: int
    """0 if the reported count includes reasoning."""


@dataclass(frozen=True, slots=True)
class TokenEstimator:
    """Estimates for one model and conversation."""

    weights: TokenWeights
    anchor: CountedRequest | None = None

    @property
    def is_calibrated(self) -> bool:
        return self.weights.is_calibrated

    def estimate_text(self, text: str) -> float:
        return tokens.estimate_text(text, self.weights.values)

    def estimate_request(self, texts: Sequence[str]) -> float:
        return tokens.estimate_messages(texts, self.weights.values)


class TokenEstimators:
    """Learns and stores the weights of all models, and remembers the anchors of recent conversations."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._weights: BoundedDict[str, TokenWeights] = BoundedDict(MAX_MODELS)
        self._anchors: BoundedDict[int, CountedRequest] = BoundedDict(MAX_ANCHORS)
        self._unsaved_samples: dict[str, int] = {}

    async def for_conversation(self, model: str, conversation_id: int) -> TokenEstimator:
        """Raises `StoreError`."""
        anchor = self._anchors.get(conversation_id)
        is_usable = anchor is not None and anchor.model == model
        return TokenEstimator(await self._load_weights(model), anchor if is_usable else None)

    async def _load_weights(self, model: str) -> TokenWeights:
        weights = self._weights.get(model)
        if weights is None:
            samples_json = await self._store.read(get_value, _storage_key(model))
            try:
                samples = msgspec.json.decode(samples_json, type=list[list[float]]) if samples_json else []
            except msgspec.DecodeError:
                samples = []
            weights = TokenWeights(samples)
        self._weights[model] = weights
        return weights

    async def record_usage(
        self,
        model: str,
        conversation_id: int,
        messages: Sequence[Message],
        usage: UsageReport,
        answer: str,
        *,
        has_reasoning: bool,
    ) -> None:
        """Learn from the service's count of a request and its answer. Raises `StoreError`.

        Nothing is learned from a request with images, because the count does not say how many tokens are theirs.
        """
        if usage.prompt_tokens <= 0 or any(message.images for message in messages):
            return
        weights = await self._load_weights(model)
        weights.add_sample(tokens.count_features(message.content for message in messages), usage.prompt_tokens)
        system = messages[0].content if messages[0].role == "system" else ""
        other_messages = messages[1:] if messages[0].role == "system" else messages
        self._anchors[conversation_id] = CountedRequest(
            model,
            hash(system),
            tuple(hash(message.content) for message in other_messages),
            usage.prompt_tokens,
            hash(answer),
            0 if has_reasoning else usage.completion_tokens,
        )
        self._unsaved_samples[model] = self._unsaved_samples.get(model, 0) + 1
        if self._unsaved_samples[model] >= SAVE_EVERY_SAMPLES:
            del self._unsaved_samples[model]
            encoded = msgspec.json.encode(weights.samples).decode()
            try:
                await self._store.write(set_value, _storage_key(model), encoded)
            except StoreError as error:
                log.warning("model.token_weights_not_stored", model=model, error=str(error))


def _storage_key(model: str) -> str:
    return f"tokens:{model}"[:200]
