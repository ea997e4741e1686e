"""Facts learned about the models of a service, so that no request repeats a mistake.

Here the facts live in memory; `core.conversation.learned_facts` shares them among processes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from core.api.context_overflow import MAX_CONTEXT_TOKENS, MIN_CONTEXT_TOKENS

MAX_COUNT_DIFFERENCE = 0.02
"""Two counts that differ by a smaller share confirm each other."""


class FactKind(StrEnum):
    REJECTED_PART = "rejected part"
    """The service rejects a part of requests, as `core.api.adaptation` names it: "system role", "temperature=0.3"."""
    CONTEXT_LIMIT = "context limit"
    """The model's context window, in tokens."""
    COUNTED_LIMIT = "counted limit"
    """The window, derived from the count of a single request that was cut. A second count makes it a CONTEXT_LIMIT."""


@dataclass(frozen=True, slots=True)
class Fact:
    model: str
    kind: FactKind
    detail: str


class ServiceFacts:
    """The facts about all models of one service."""

    def __init__(self) -> None:
        self._facts: frozenset[Fact] = frozenset()

    def rejected_parts(self, model: str) -> frozenset[str]:
        return frozenset(self._details(model, FactKind.REJECTED_PART))

    def context_limit(self, model: str) -> int | None:
        """In tokens; None if nothing is known."""
        return min(map(int, self._details(model, FactKind.CONTEXT_LIMIT)), default=None)

    def _details(self, model: str, kind: FactKind) -> list[str]:
        return [fact.detail for fact in self._facts if (fact.model, fact.kind) == (model, kind)]

    async def learn_rejected_parts(self, model: str, parts: Iterable[str]) -> None:
        await self._learn(Fact(model, FactKind.REJECTED_PART, part) for part in parts)

    async def learn_context_limit(self, model: str, tokens: int, *, is_counted: bool) -> None:
        """Learn a window that an error names, or with `is_counted` the token count of a request that was cut."""
        if not MIN_CONTEXT_TOKENS <= tokens <= MAX_CONTEXT_TOKENS:
            return
        counts = map(int, self._details(model, FactKind.COUNTED_LIMIT))
        is_confirmed = any(abs(tokens - count) <= MAX_COUNT_DIFFERENCE * tokens for count in counts)
        kind = FactKind.COUNTED_LIMIT if is_counted and not is_confirmed else FactKind.CONTEXT_LIMIT
        await self._learn([Fact(model, kind, str(tokens))])

    async def _learn(self, facts: Iterable[Fact]) -> None:
        self._facts |= frozenset(facts)
