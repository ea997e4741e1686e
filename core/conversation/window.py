"""What of a conversation fits the model: whole exchanges, the newest first. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.api.client import Message
from core.conversation import tokens

__all__ = ["Fitted", "PromptTooLongError", "fit"]

RESERVE = 0.25  # of the estimate: nineteen of twenty texts are off by less
LEAST_RESERVE = 64
LONGEST_ANSWER = 8192  # tokens kept free for the answer, at most


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


def fit(
    system: str,
    history: Sequence[tuple[str, str]],
    prompt: str,
    *,
    context: int,
    answer: int = 0,
) -> Fitted:
    """Choose what to show to a model with a window of `context` tokens, of which `answer` (0: a
    quarter, bounded) stay free for the answer. Raises `PromptTooLongError`.
    """
    room = context - (answer or min(LONGEST_ANSWER, context // 4))
    fixed = tokens.of_messages([system, prompt] if system else [prompt])
    used = fixed
    if _with_reserve(used) > room:
        raise PromptTooLongError(round(used), room)
    taken: list[tuple[str, str]] = []
    for exchange in reversed(_exchanges(history)):
        cost = sum(tokens.MESSAGE + tokens.of_text(text) for _, text in exchange)
        if _with_reserve(used + cost) > room:
            break
        used += cost
        taken[:0] = exchange
    shown = [Message("system", system)] if system else []
    shown += [Message("assistant" if role == "assistant" else "user", text) for role, text in taken]
    shown.append(Message("user", prompt))
    return Fitted(tuple(shown), len(history) - len(taken), round(used))


def _with_reserve(estimate: float) -> float:
    return estimate + max(LEAST_RESERVE, RESERVE * estimate)


def _exchanges(history: Sequence[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """A question and what was answered to it stay together."""
    groups: list[list[tuple[str, str]]] = []
    for role, text in history:
        if role == "user" or not groups:
            groups.append([])
        groups[-1].append((role, text))
    return groups
