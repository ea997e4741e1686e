"""What of a conversation fits the model: whole exchanges, the newest first. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.api.client import Message
from core.conversation.measure import Measure, digest
from core.conversation.tokens import Weights

__all__ = ["Fitted", "PromptTooLongError", "Said", "answer_room", "fit"]

ESTIMATED = 0.25  # kept free of what is estimated: nineteen of twenty texts are off by less
UNKNOWN = 0.4  # the same, for a model that has not counted often enough yet
ANCHORED = 0.02  # of what the service counted itself
LEAST_RESERVE = 64
LONGEST_ANSWER = 8192  # tokens kept free for the answer, at most

Said = tuple[str, str]
"""(role, text)."""


class PromptTooLongError(Exception):
    """The question alone does not fit. Both figures in tokens."""

    def __init__(self, needed: int, room: int) -> None:
        super().__init__(f"about {needed} tokens, room for {room}")
        self.needed = needed
        self.room = room


@dataclass(frozen=True, slots=True)
class Fitted:
    messages: tuple[Message, ...]
    left_out: int
    """Older messages that did not fit."""
    estimate: int
    """Tokens of the request."""
    reserve: int
    """Tokens by which the estimate may be wrong."""

    def room(self, context: int) -> int:
        """Tokens that are certainly left for an answer in a window of `context`."""
        return context - self.estimate - self.reserve


def answer_room(context: int, answer: int = 0) -> int:
    """Tokens kept free for the answer: `answer`, or (0) a quarter of the window, bounded."""
    return min(answer, context // 2) or min(LONGEST_ANSWER, context // 4)


def fit(
    system: str,
    history: Sequence[Said],
    prompt: str,
    *,
    context: int,
    answer: int = 0,
    measure: Measure | None = None,
) -> Fitted:
    """Choose what to show to a model with a window of `context` tokens, of which `answer` stay
    free for the answer (see `answer_room`). Raises `PromptTooLongError`.
    """
    measure = measure or Measure(Weights())
    room = context - answer_room(context, answer)
    exchanges = _exchanges(history)
    counted = _Count(measure, system, history, prompt)
    left_out = 0
    estimate, reserve = counted.without(0)
    for exchange in exchanges:
        if estimate + reserve <= room:
            break
        left_out += len(exchange)
        estimate, reserve = counted.without(left_out)
    if estimate + reserve > room:
        certain = round(room * estimate / (estimate + reserve))
        raise PromptTooLongError(round(estimate), certain)
    shown = [Message("system", system)] if system else []
    shown += [
        Message("assistant" if role == "assistant" else "user", text)
        for role, text in history[left_out:]
    ]
    shown.append(Message("user", prompt))
    return Fitted(tuple(shown), left_out, round(estimate), round(reserve))


class _Count:
    """Tokens of a request that leaves out the oldest messages."""

    def __init__(self, measure: Measure, system: str, history: Sequence[Said], prompt: str) -> None:
        self._unsure = ESTIMATED if measure.known else UNKNOWN
        each = [measure.text(text) for _, text in history]
        self._older = [0.0]
        for tokens in each:
            self._older.append(self._older[-1] + tokens)
        fixed = measure.request([system, prompt] if system else [prompt])
        self._whole = fixed + self._older[-1]
        self._anchor = 0.0
        self._start = 0
        self._since = 0.0
        anchor = measure.anchor
        if anchor is not None and anchor.system == digest(system):
            self._align(measure, history, prompt)

    def _align(self, measure: Measure, history: Sequence[Said], prompt: str) -> None:
        """Find the request that the service counted within this one."""
        anchor = measure.anchor
        assert anchor is not None  # noqa: S101 (asked before)
        all_texts = [*(text for _, text in history), prompt]
        digests = tuple(map(digest, all_texts))
        length = len(anchor.messages)
        for start in range(len(digests) - length, -1, -1):
            if digests[start : start + length] == anchor.messages:
                break
        else:
            return
        rest = all_texts[start + length :]
        since = sum(map(measure.text, rest))
        if rest and anchor.answer_tokens and digest(rest[0]) == anchor.answer:
            since += anchor.answer_tokens + 4 - measure.text(rest[0])
            self._anchor = anchor.answer_tokens
        self._anchor += anchor.tokens
        self._since = since
        self._start = start
        self._tokens = anchor.tokens

    def without(self, left_out: int) -> tuple[float, float]:
        """(estimate, reserve) of the request without the oldest `left_out` messages."""
        plain = self._whole - self._older[left_out]
        guessed = plain, max(LEAST_RESERVE, self._unsure * plain)
        if not self._anchor or left_out < self._start:
            return guessed
        anchored = self._anchored(left_out)
        # Where most of what was counted is left out, a guess at the rest is the surer one.
        return min(guessed, anchored, key=sum) if left_out > self._start else anchored

    def _anchored(self, left_out: int) -> tuple[float, float]:
        gone = self._older[left_out] - self._older[self._start]
        estimate = max(0.0, self._tokens + self._since - gone)
        guessed = gone + max(0.0, self._since - (self._anchor - self._tokens))
        reserve = self._unsure * guessed + ANCHORED * self._anchor
        return estimate, max(LEAST_RESERVE, reserve)


def _exchanges(history: Sequence[Said]) -> list[list[Said]]:
    """A question and what was answered to it stay together."""
    groups: list[list[Said]] = []
    for role, text in history:
        if role == "user" or not groups:
            groups.append([])
        groups[-1].append((role, text))
    return groups
