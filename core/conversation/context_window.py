"""Selects the part of a conversation that fits a model's context window. Pure functions.

The oldest exchanges (a question and its answer) are left out until the estimated request, a reserve for the error of
the estimate and a reserve for the answer fit:

    window 8192 = request 5200 + reserve 900 + answer 2048 + unused 44

The error reserve is small for tokens that the service counted in the previous request (`CountedRequest`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from core.api.client import Message
from core.api.images import MessageImage
from core.conversation.token_estimator import CountedRequest, TokenEstimator
from core.conversation.tokens import TokenWeights

ESTIMATE_RESERVE_FRACTION = 0.25
"""Reserve as a share of an estimate: 19 of 20 estimates are off by less."""
UNCALIBRATED_RESERVE_FRACTION = 0.4
"""Reserve as a share of an estimate for a model whose token weights are not learned yet."""
COUNTED_RESERVE_FRACTION = 0.02
"""Reserve as a share of the tokens that the service counted."""
MIN_RESERVE_TOKENS = 64
TOKENS_PER_MESSAGE = 4
"""The overhead of a message beyond its text."""
MAX_ANSWER_RESERVE_TOKENS = 8192


class PromptTooLongError(Exception):
    """The question alone does not fit."""

    def __init__(self, needed: int, available: int) -> None:
        super().__init__(f"about {needed} tokens, room for {available}")
        self.needed = needed
        """In tokens."""
        self.available = available
        """In tokens."""


@dataclass(frozen=True, slots=True)
class FittedPrompt:
    messages: tuple[Message, ...]
    omitted: int
    """How many of the oldest messages did not fit."""
    estimated_tokens: int
    reserve_tokens: int
    """The possible error of the estimate, in tokens."""

    def remaining_tokens(self, context_tokens: int) -> int:
        """The tokens that are certainly available for the answer."""
        return context_tokens - self.estimated_tokens - self.reserve_tokens


def answer_reserve(context_tokens: int, max_answer_tokens: int = 0) -> int:
    """The tokens to reserve for the answer: `max_answer_tokens`, at most half of the window; by default a quarter."""
    return min(max_answer_tokens, context_tokens // 2) or min(MAX_ANSWER_RESERVE_TOKENS, context_tokens // 4)


def fit_prompt(
    system: str,
    history: Sequence[Message],
    prompt: str,
    *,
    context_tokens: int,
    max_answer_tokens: int = 0,
    estimator: TokenEstimator | None = None,
    images: tuple[MessageImage, ...] = (),
) -> FittedPrompt:
    """The messages of a request that fits a window of `context_tokens`, with `answer_reserve` tokens to spare.

    `images` belong to the prompt.

    Raises `PromptTooLongError`.
    """
    estimator = estimator or TokenEstimator(TokenWeights())
    available = context_tokens - answer_reserve(context_tokens, max_answer_tokens)
    request = _RequestEstimate(estimator, system, history, Message("user", prompt, images))
    omitted = 0
    estimate = request.without(0)
    for exchange in _exchanges(history):
        if estimate.total <= available:
            break
        omitted += len(exchange)
        estimate = request.without(omitted)
    if estimate.total > available:
        raise PromptTooLongError(round(estimate.tokens), round(available * estimate.tokens / estimate.total))
    messages = [Message("system", system)] if system else []
    messages += history[omitted:]
    messages.append(Message("user", prompt, images))
    return FittedPrompt(tuple(messages), omitted, round(estimate.tokens), round(estimate.reserve))


@dataclass(frozen=True, slots=True)
class _Estimate:
    tokens: float
    reserve: float

    @property
    def total(self) -> float:
        return self.tokens + self.reserve


class _RequestEstimate:
    """The tokens of a request, for any number of oldest messages left out.

    If this request contains one that the service has counted (the anchor), only the messages since then are
    estimated:

        this request   system  m1  m2  m3  m4  prompt
        the anchor     system      m2  m3              counted: 900 tokens
                                           m4  prompt  estimated: 120 tokens

    A request with images has no anchor: models count images differently.
    """

    def __init__(self, estimator: TokenEstimator, system: str, history: Sequence[Message], question: Message) -> None:
        self._estimator = estimator
        self._system = system
        self._history = history
        self._question = question
        self._reserve_fraction = ESTIMATE_RESERVE_FRACTION if estimator.is_calibrated else UNCALIBRATED_RESERVE_FRACTION
        self._counted_tokens = 0.0
        self._counted_start = 0
        self._tokens_since = 0.0
        anchor = estimator.anchor
        has_images = any(message.images for message in (*history, question))
        if anchor is not None and not has_images and anchor.system_hash == hash(system):
            self._align(anchor)

    @cached_property
    def _cumulative_tokens(self) -> list[float]:
        """What is estimated for the oldest 0, 1, 2 ... messages. Not needed if the whole anchor fits."""
        estimate = self._estimator.estimate_text
        tokens = (estimate(message.content) + _image_tokens(message) for message in self._history)
        return [*accumulate(tokens, initial=0.0)]

    @cached_property
    def _fixed_tokens(self) -> float:
        prompt = self._question.content
        texts = [self._system, prompt] if self._system else [prompt]
        return self._estimator.estimate_request(texts) + _image_tokens(self._question)

    def _align(self, anchor: CountedRequest) -> None:
        """Find the last place where the messages of the anchor occur in this request."""
        estimator = self._estimator
        all_texts = [message.content for message in (*self._history, self._question)]
        digests = tuple(map(hash, all_texts))
        length = len(anchor.message_hashes)
        for start in range(len(digests) - length, -1, -1):
            if digests[start : start + length] == anchor.message_hashes:
                break
        else:
            return
        rest = all_texts[start + length :]
        since = sum(map(estimator.estimate_text, rest))
        if rest and anchor.answer_tokens and hash(rest[0]) == anchor.answer_hash:
            since += anchor.answer_tokens + TOKENS_PER_MESSAGE - estimator.estimate_text(rest[0])
            self._counted_tokens = anchor.answer_tokens
        self._counted_tokens += anchor.tokens
        self._tokens_since = since
        self._counted_start = start
        self._anchor_tokens = anchor.tokens

    def without(self, omitted: int) -> _Estimate:
        """The request without the oldest `omitted` messages."""
        if self._counted_tokens and omitted == self._counted_start:
            return self._from_count(0.0)
        tokens = self._fixed_tokens + self._cumulative_tokens[-1] - self._cumulative_tokens[omitted]
        estimated = _Estimate(tokens, max(MIN_RESERVE_TOKENS, self._reserve_fraction * tokens))
        if not self._counted_tokens or omitted < self._counted_start:
            return estimated
        anchored = self._from_count(self._cumulative_tokens[omitted] - self._cumulative_tokens[self._counted_start])
        # If most of the counted messages are left out, estimating the rest is more accurate than subtracting.
        return min(estimated, anchored, key=lambda estimate: estimate.total)

    def _from_count(self, omitted_tokens: float) -> _Estimate:
        tokens = max(0.0, self._anchor_tokens + self._tokens_since - omitted_tokens)
        estimated_tokens = omitted_tokens + max(0.0, self._tokens_since - (self._counted_tokens - self._anchor_tokens))
        reserve = self._reserve_fraction * estimated_tokens + COUNTED_RESERVE_FRACTION * self._counted_tokens
        return _Estimate(tokens, max(MIN_RESERVE_TOKENS, reserve))


def _image_tokens(message: Message) -> int:
    return sum(image.tokens for image in message.images)


def _exchanges(history: Sequence[Message]) -> list[list[Message]]:
    """The history as questions with their answers."""
    groups: list[list[Message]] = []
    for message in history:
        if message.role == "user" or not groups:
            groups.append([])
        groups[-1].append(message)
    return groups
