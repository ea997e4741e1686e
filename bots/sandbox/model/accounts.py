"""Accounts, their keys and daily quotas, and the exact usage of each."""

import uuid
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from core.clock import Clock

DAY_SECONDS = 86_400


class Endpoint(StrEnum):
    CHAT = "chat"
    EMBEDDINGS = "embeddings"
    SPEECH = "speech"


class UsageKey(NamedTuple):
    api_key: str
    model: str
    endpoint: Endpoint


@dataclass(slots=True)
class Account:
    api_key: str
    quotas: dict[str, int] = field(default_factory=dict)
    """Tokens a day by model. A model without an entry has no quota."""
    is_paid: bool = False
    """The plan includes the models of higher tiers."""


class UsageLedger:
    """The tokens used today, a UTC day by `clock`."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._today: Counter[UsageKey] = Counter()
        self._current_day = self._day_number()

    def _day_number(self) -> int:
        return int(self.clock.time() // DAY_SECONDS)

    @property
    def today(self) -> Counter[UsageKey]:
        if self._day_number() != self._current_day:
            self.start_new_day()
        return self._today

    def start_new_day(self) -> None:
        """Reset the usage of today, whatever the clock says."""
        self._today = Counter()
        self._current_day = self._day_number()

    def add(self, key: UsageKey, tokens: int) -> None:
        self.today[key] += tokens

    def tokens_used(
        self, *, api_key: str | None = None, model: str | None = None, endpoint: Endpoint | None = None
    ) -> int:
        """Today's tokens, of everything or of what the arguments select."""
        return sum(
            tokens
            for key, tokens in self.today.items()
            if api_key in (None, key.api_key) and model in (None, key.model) and endpoint in (None, key.endpoint)
        )

    def __getitem__(self, model: str) -> int:
        """Today's tokens of a model, of all accounts."""
        return self.tokens_used(model=model)


def model_uuid(model_id: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, model_id))
