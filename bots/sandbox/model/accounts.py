"""Accounts, their keys and daily quotas, and what each used, exactly."""

import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from core.api.catalogue import builtin

__all__ = ["Account", "Kind", "Ledger", "Use", "published_quotas"]

DAY = 86_400  # seconds


class Kind(StrEnum):
    CHAT = "chat"
    EMBEDDINGS = "embeddings"


class Use(NamedTuple):
    """Whose tokens, of which model, for what."""

    key: str
    model: str
    kind: Kind


@dataclass(slots=True)
class Account:
    key: str
    quotas: dict[str, int] = field(default_factory=dict)
    """Tokens a day by model; none for a model that is left out. A model either chats or embeds,
    so that each has one kind of quota."""
    paid: bool = False
    """Has a plan that includes the models of higher tiers."""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


def published_quotas() -> dict[str, int]:
    """The vendor's published table."""
    return {id_: model.daily_quota for id_, model in builtin().items() if model.daily_quota}


class Ledger:
    """Tokens used: of the day by the clock (seconds since the epoch, UTC days), and ever."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.ever: Counter[Use] = Counter()
        self._today: Counter[Use] = Counter()
        self._day = self._now()

    def _now(self) -> int:
        return int(self.clock() // DAY)

    @property
    def today(self) -> Counter[Use]:
        if self._now() != self._day:
            self.reset()
        return self._today

    def reset(self) -> None:
        """Begin a day, whatever the clock says."""
        self._today = Counter()
        self._day = self._now()

    def add(self, use: Use, tokens: int) -> None:
        self.today[use] += tokens
        self.ever[use] += tokens

    def of(
        self, *, key: str | None = None, model: str | None = None, kind: Kind | None = None
    ) -> int:
        """Today's tokens of all that fits."""
        return sum(
            tokens
            for use, tokens in self.today.items()
            if key in (None, use.key) and model in (None, use.model) and kind in (None, use.kind)
        )

    def __getitem__(self, model: str) -> int:
        """Today's tokens of a model, whoever used them."""
        return self.of(model=model)

    def statistics(self, account: Account) -> dict[str, Any]:
        """`GET /stats/token-usage`: models are named by their UUIDs."""
        categories = {"chat": None, "api_completions": Kind.CHAT, "embeddings": Kind.EMBEDDINGS}
        usage = [
            {
                "category": category,
                "usage_per_model": {
                    model_uuid(use.model): tokens
                    for use, tokens in self.today.items()
                    if use.key == account.key and use.kind == kind
                },
            }
            for category, kind in categories.items()
        ]
        now = datetime.fromtimestamp(self.clock(), UTC).isoformat()
        return {"user_id": account.id, "usage": usage, "timestamp": now}


def model_uuid(model: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, model))
