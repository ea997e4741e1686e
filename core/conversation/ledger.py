"""Quotas: what a model may still be asked today, by account.

An account is an API key, known here by its digest. A day begins at the operator's reset hour,
UTC. Quotas come from the settings, then the catalogue; a model without one has none.
"""

import asyncio
import contextlib
import hashlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from core.api.model_data import BUILTIN_MODELS
from core.conversation.model_registry import ModelRegistry
from core.errors import ModelError, ModelFailure, StoreError
from core.store import token_usage
from core.store.database import Store
from core.store.token_usage import TokenUsage, UsageKey, UsageKind

__all__ = [
    "Ledger",
    "QuotaStatus",
    "QuotaWarning",
    "Reservation",
    "key_id_of",
]

log = structlog.get_logger(__name__)

EVERY_MODEL = "*"
QUOTA_WARNING_FRACTION = 0.8
QUOTA_ROLLOVER_SECONDS = 600.0  # seconds: a quota that comes back within them is not used up for the day
BILLED_FAILURES = frozenset(
    {
        ModelFailure.STALLED,
        ModelFailure.TRUNCATED,
        ModelFailure.MALFORMED,
        ModelFailure.EMPTY,
        ModelFailure.FILTERED,
    }
)
"""Failures after the service began to work: it counts what it was asked."""
MAX_REQUEST_SECONDS = 43_200.0  # seconds: no request lasts as long (PARLEY_ANSWER_TIMEOUT)


def key_id_of(api_key: str) -> str:
    """A name for a key that does not tell the key."""
    return hashlib.sha256(api_key.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class QuotaStatus:
    """Today's state of one model. Tokens; `limit` None: no quota."""

    limit: int | None
    usage: TokenUsage

    @property
    def remaining(self) -> int | None:
        if self.limit is None:
            return None
        return 0 if self.usage.is_exhausted else max(0, self.limit - self.usage.tokens)

    @property
    def used_fraction(self) -> float:
        """Used part of the quota, 0 to 1."""
        if self.usage.is_exhausted:
            return 1.0
        return min(1.0, self.usage.tokens / self.limit) if self.limit else 0.0


@dataclass(frozen=True, slots=True)
class QuotaWarning:
    """Most of a model's quota for today is used."""

    model: str
    """Its name for people."""
    used_fraction: float
    seconds_until_reset: float


@dataclass(slots=True)
class Reservation:
    """What one request costs, in tokens: as the service told, else as well as we know."""

    prompt_tokens: int
    """What is asked, estimated."""
    reported_tokens: int = 0
    """By the service, for all of it."""
    answer_tokens: int = 0
    """What came of the answer, estimated."""
    failure: ModelFailure | None = None

    @property
    def cost(self) -> int:
        if self.reported_tokens:
            return self.reported_tokens
        is_refused = self.failure is not None and self.failure not in BILLED_FAILURES
        return 0 if is_refused and not self.answer_tokens else self.prompt_tokens + self.answer_tokens


class Ledger:
    """`house` is the bot's own account, of whose quotas the operator is warned; `clock` is
    seconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        registry: ModelRegistry,
        *,
        quotas: Mapping[str, int],
        reset_hour: int,
        bot_key_id: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._registry = registry
        self._quotas = quotas
        self._bot_key_id = bot_key_id
        self._reset_offset = timedelta(hours=reset_hour)
        self._clock = clock
        self._warned: set[tuple[str, str, str]] = set()
        self.warnings: deque[QuotaWarning] = deque(maxlen=20)
        """For an operator to be told; whoever tells them takes them out."""

    def today(self) -> str:
        return (datetime.fromtimestamp(self._clock(), UTC) - self._reset_offset).date().isoformat()

    def day_start(self) -> float:
        """Seconds since 1970."""
        return self._clock() + self.seconds_until_reset() - 86_400

    def seconds_until_reset(self) -> float:
        """Seconds to the end of the day."""
        now = datetime.fromtimestamp(self._clock(), UTC) - self._reset_offset
        tomorrow = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        return (tomorrow - now).total_seconds()

    def daily_limit(self, model: str) -> int | None:
        """Tokens a day; None: as many as the service gives."""
        configured = self._quotas.get(model, self._quotas.get(EVERY_MODEL))
        if configured is None:
            # Models that embed are not in the list of those one can talk to.
            known = self._registry.get(model) or BUILTIN_MODELS.get(model)
            configured = known.daily_quota if known else None
        return configured or None

    async def get_quotas(
        self, key_id: str, models: Sequence[str], kind: UsageKind = UsageKind.CHAT
    ) -> dict[str, QuotaStatus]:
        usage_by_model = await self._store.read(token_usage.get_usage_by_model, key_id, self.today(), models, kind)
        return {model: QuotaStatus(self.daily_limit(model), now) for model, now in usage_by_model.items()}

    @asynccontextmanager
    async def reserve(
        self, key_id: str, model: str, prompt_tokens: int, answer_tokens: int = 0, kind: UsageKind = UsageKind.CHAT
    ) -> AsyncIterator[Reservation]:
        """Book a request while it is made: before, what it is expected to cost (`asked` tokens
        and an answer of `answer`), after it what it cost.

        Raises `ModelError` when today's quota is used up, and `StoreError`.
        """
        reservation_id = await self._reserve(key_id, model, prompt_tokens + answer_tokens, kind)
        if reservation_id is None:
            raise ModelError(
                "Today's quota is used up",
                ModelFailure.QUOTA,
                retry_after=self.seconds_until_reset(),
            )
        reservation = Reservation(prompt_tokens)
        try:
            yield reservation
        except ModelError as error:
            reservation.failure = error.failure
            raise
        finally:
            await asyncio.shield(self._settle(reservation_id, key_id, model, reservation.cost, kind))

    async def _reserve(self, key_id: str, model: str, expected_tokens: int, kind: UsageKind) -> int | None:
        key = UsageKey(key_id, model, kind, self.today())
        task = asyncio.ensure_future(
            self._store.write(token_usage.reserve, key, expected_tokens, self.daily_limit(model))
        )
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # Nobody would end what may be booked by now.
            with contextlib.suppress(StoreError):
                if (reservation_id := await task) is not None:
                    await self._store.write(token_usage.settle_reservation, reservation_id, 0)
            raise

    async def _settle(self, reservation_id: int, key_id: str, model: str, tokens: int, kind: UsageKind) -> None:
        """Book what it cost, and warn the operator when most of the quota is gone."""
        try:
            await self._store.write(token_usage.settle_reservation, reservation_id, tokens)
            await self._warn_if_nearly_used(key_id, model, kind)
        except StoreError as error:
            # No reason to lose an answer: what was expected stays booked.
            log.warning("cost not booked", account=key_id, model=model, error=str(error))

    async def _warn_if_nearly_used(self, key_id: str, model: str, kind: UsageKind) -> None:
        limit, day = self.daily_limit(model), self.today()
        if key_id != self._bot_key_id or limit is None or (key_id, model, day) in self._warned:
            return
        quota = (await self.get_quotas(key_id, [model], kind))[model]
        if quota.used_fraction >= QUOTA_WARNING_FRACTION:
            self._warned = {known for known in self._warned if known[2] == day}
            self._warned.add((key_id, model, day))
            name, seconds_until_reset = self._registry.display_name(model), self.seconds_until_reset()
            self.warnings.append(QuotaWarning(name, quota.used_fraction, seconds_until_reset))
            log.warning(
                "quota nearly used up",
                account=key_id,
                model=model,
                used=quota.usage.tokens,
                quota=limit,
                seconds_until_reset=round(seconds_until_reset),
            )

    async def personal_key_tokens(self) -> int:
        """Today's tokens on keys that people brought."""
        return await self._store.read(token_usage.tokens_on_other_keys, self._bot_key_id, self.today())

    async def record_refusal(
        self, key_id: str, model: str, error: ModelError, kind: UsageKind = UsageKind.CHAT
    ) -> None:
        """The service says that the day's quota is used up, whatever we counted. Where its day
        ends a little later than ours, ours is not spoilt.
        """
        is_quota_refusal = error.failure is ModelFailure.QUOTA and error.status is not None
        is_day_new = self._clock() - self.day_start() < QUOTA_ROLLOVER_SECONDS and error.retry_after is None
        if not is_quota_refusal or is_day_new or (error.retry_after or QUOTA_ROLLOVER_SECONDS) < QUOTA_ROLLOVER_SECONDS:
            return
        key = UsageKey(key_id, model, kind, self.today())
        await self._store.write(token_usage.mark_exhausted, key)

    async def settle_abandoned(self, older_than_seconds: float = MAX_REQUEST_SECONDS) -> None:
        """Book as expected what was asked more than `older` seconds ago: its process died."""
        if settled := await self._store.write(token_usage.settle_abandoned, older_than_seconds):
            log.info("requests of dead processes booked", requests=settled)
