"""What of a conversation fits the model: whole exchanges, the newest first. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.api.client import Message
from core.conversation.token_estimator import TokenEstimator, text_hash
from core.conversation.tokens import TokenWeights

__all__ = ["FittedPrompt", "PromptTooLongError", "answer_reserve", "fit_prompt"]

ESTIMATE_RESERVE_FRACTION = 0.25  # kept free of what is estimated: nineteen of twenty texts are off by less
UNCALIBRATED_RESERVE_FRACTION = 0.4  # the same, for a model that has not counted often enough yet
COUNTED_RESERVE_FRACTION = 0.02  # of what the service counted itself
MIN_RESERVE_TOKENS = 64
MAX_ANSWER_RESERVE_TOKENS = 8192  # tokens kept free for the answer, at most


class PromptTooLongError(Exception):
    """The question alone does not fit. Both figures in tokens."""

    def __init__(self, needed: int, available: int) -> None:
        super().__init__(f"about {needed} tokens, room for {available}")
        self.needed = needed
        self.available = available


@dataclass(frozen=True, slots=True)
class FittedPrompt:
    messages: tuple[Message, ...]
    omitted: int
    """Older messages that did not fit."""
    estimated_tokens: int
    """Tokens of the request."""
    reserve_tokens: int
    """Tokens by which the estimate may be wrong."""

    def remaining_tokens(self, context_tokens: int) -> int:
        """Tokens that are certainly left for an answer in a window of `context`."""
        return context_tokens - self.estimated_tokens - self.reserve_tokens


def answer_reserve(context_tokens: int, max_answer_tokens: int = 0) -> int:
    """Tokens kept free for the answer: `answer`, or (0) a quarter of the window, bounded."""
    return min(max_answer_tokens, context_tokens // 2) or min(MAX_ANSWER_RESERVE_TOKENS, context_tokens // 4)


def fit_prompt(
    system: str,
    history: Sequence[Message],
    prompt: str,
    *,
    context_tokens: int,
    max_answer_tokens: int = 0,
    estimator: TokenEstimator | None = None,
) -> FittedPrompt:
    """Choose what to show to a model with a window of `context` tokens, of which `answer` stay
    free for the answer (see `answer_room`). Raises `PromptTooLongError`.
    """
    estimator = estimator or TokenEstimator(TokenWeights())
    available = context_tokens - answer_reserve(context_tokens, max_answer_tokens)
    exchanges = _exchanges(history)
    request = _RequestEstimate(estimator, system, history, prompt)
    omitted = 0
    estimate, reserve = request.without(0)
    for exchange in exchanges:
        if estimate + reserve <= available:
            break
        omitted += len(exchange)
        estimate, reserve = request.without(omitted)
    if estimate + reserve > available:
        certain_tokens = round(available * estimate / (estimate + reserve))
        raise PromptTooLongError(round(estimate), certain_tokens)
    messages = [Message("system", system)] if system else []
    messages += history[omitted:]
    messages.append(Message("user", prompt))
    return FittedPrompt(tuple(messages), omitted, round(estimate), round(reserve))


class _RequestEstimate:
    """Tokens of a request that leaves out the oldest messages."""

    def __init__(self, estimator: TokenEstimator, system: str, history: Sequence[Message], prompt: str) -> None:
        self._reserve_fraction = ESTIMATE_RESERVE_FRACTION if estimator.is_calibrated else UNCALIBRATED_RESERVE_FRACTION
        each = [estimator.estimate_text(message.content) for message in history]
        self._cumulative_tokens = [0.0]
        for tokens in each:
            self._cumulative_tokens.append(self._cumulative_tokens[-1] + tokens)
        fixed = estimator.estimate_request([system, prompt] if system else [prompt])
        self._total_tokens = fixed + self._cumulative_tokens[-1]
        self._counted_tokens = 0.0
        self._counted_start = 0
        self._tokens_since = 0.0
        anchor = estimator.anchor
        if anchor is not None and anchor.system_hash == text_hash(system):
            self._align(estimator, history, prompt)

    def _align(self, estimator: TokenEstimator, history: Sequence[Message], prompt: str) -> None:
        """Find the request that the service counted within this one."""
        anchor = estimator.anchor
        assert anchor is not None  # noqa: S101 (asked before)
        all_texts = [*(message.content for message in history), prompt]
        digests = tuple(map(text_hash, all_texts))
        length = len(anchor.message_hashes)
        for start in range(len(digests) - length, -1, -1):
            if digests[start : start + length] == anchor.message_hashes:
                break
        else:
            return
        rest = all_texts[start + length :]
        since = sum(map(estimator.estimate_text, rest))
        if rest and anchor.answer_tokens and text_hash(rest[0]) == anchor.answer_hash:
            since += anchor.answer_tokens + 4 - estimator.estimate_text(rest[0])
            self._counted_tokens = anchor.answer_tokens
        self._counted_tokens += anchor.tokens
        self._tokens_since = since
        self._counted_start = start
        self._anchor_tokens = anchor.tokens

    def without(self, omitted: int) -> tuple[float, float]:
        """(estimate, reserve) of the request without the oldest `left_out` messages."""
        estimate = self._total_tokens - self._cumulative_tokens[omitted]
        estimated = estimate, max(MIN_RESERVE_TOKENS, self._reserve_fraction * estimate)
        if not self._counted_tokens or omitted < self._counted_start:
            return estimated
        anchored = self._from_count(omitted)
        # Where most of what was counted is left out, a guess at the rest is the surer one.
        return min(estimated, anchored, key=sum) if omitted > self._counted_start else anchored

    def _from_count(self, omitted: int) -> tuple[float, float]:
        omitted_tokens = self._cumulative_tokens[omitted] - self._cumulative_tokens[self._counted_start]
        estimate = max(0.0, self._anchor_tokens + self._tokens_since - omitted_tokens)
        estimated_tokens = omitted_tokens + max(0.0, self._tokens_since - (self._counted_tokens - self._anchor_tokens))
        reserve = self._reserve_fraction * estimated_tokens + COUNTED_RESERVE_FRACTION * self._counted_tokens
        return estimate, max(MIN_RESERVE_TOKENS, reserve)


def _exchanges(history: Sequence[Message]) -> list[list[Message]]:
    """A question and what was answered to it stay together."""
    groups: list[list[Message]] = []
    for message in history:
        if message.role == "user" or not groups:
            groups.append([])
        groups[-1].append(message)
    return groups
