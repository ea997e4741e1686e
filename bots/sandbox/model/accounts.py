"""Accounts, their keys and daily quotas, and what each used, exactly."""

import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from core.api.model_data import BUILTIN_MODELS

__all__ = ["Account", "Endpoint", "UsageKey", "UsageLedger", "published_quotas"]

DAY_SECONDS = 86_400  # seconds


class Endpoint(StrEnum):
    CHAT = "chat"
    EMBEDDINGS = "embeddings"


class UsageKey(NamedTuple):
    """Whose tokens, of which model, for what."""

    api_key: str
    model: str
    endpoint: Endpoint


@dataclass(slots=True)
class Account:
    api_key: str
    quotas: dict[str, int] = field(default_factory=dict)
    """Tokens a day by model; none for a model that is left out. A model either chats or embeds,
    so that each has one kind of quota."""
    is_paid: bool = False
    """Has a plan that includes the models of higher tiers."""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


def published_quotas() -> dict[str, int]:
    """The vendor's published table."""
    return {id_: model.daily_quota for id_, model in BUILTIN_MODELS.items() if model.daily_quota}


class UsageLedger:
    """Tokens used: of the day by the clock (seconds since the epoch, UTC days), and ever."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.all_time: Counter[UsageKey] = Counter()
        self._today: Counter[UsageKey] = Counter()
        self._current_day = self._day_number()

    def _day_number(self) -> int:
        return int(self.clock() // DAY_SECONDS)

    @property
    def today(self) -> Counter[UsageKey]:
        if self._day_number() != self._current_day:
            self.start_new_day()
        return self._today

    def start_new_day(self) -> None:
        """Begin a day, whatever the clock says."""
        self._today = Counter()
        self._current_day = self._day_number()

    def add(self, key: UsageKey, tokens: int) -> None:
        self.today[key] += tokens
        self.all_time[key] += tokens

    def tokens_used(
        self,
        *,
        api_key: str | None = None,
        model: str | None = None,
        endpoint: Endpoint | None = None,
    ) -> int:
        """Today's tokens of all that fits."""
        return sum(
            tokens
            for use, tokens in self.today.items()
            if api_key in (None, use.api_key) and model in (None, use.model) and endpoint in (None, use.endpoint)
        )

    def __getitem__(self, model: str) -> int:
        """Today's tokens of a model, whoever used them."""
        return self.tokens_used(model=model)

    def token_usage_json(self, account: Account) -> dict[str, Any]:
        """`GET /stats/token-usage`: models are named by their UUIDs."""
        categories = {
            "chat": None,
            "api_completions": Endpoint.CHAT,
            "embeddings": Endpoint.EMBEDDINGS,
        }
        usage = [
            {
                "category": category,
                "usage_per_model": {
                    model_uuid(use.model): tokens
                    for use, tokens in self.today.items()
                    if use.api_key == account.api_key and use.endpoint == kind
                },
            }
            for category, kind in categories.items()
        ]
        now = datetime.fromtimestamp(self.clock(), UTC).isoformat()
        return {"user_id": account.id, "usage": usage, "timestamp": now}


def model_uuid(model_id: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, model_id))
