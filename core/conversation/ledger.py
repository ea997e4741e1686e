"""Daily token quotas, by API key, model and kind of request.

Every request is reserved before it is sent and settled afterwards:

    async with ledger.reserve(key_id, model, prompt_tokens=900, answer_tokens=800) as reservation:
        ...                                  # books 1700 tokens, so that concurrent requests stay within the quota
        reservation.reported_tokens = 1204   # the service's count replaces them

API keys are known by their digest. A day begins at the operator's reset hour, UTC. Quotas come from the settings, or
else from the catalogue; a model in neither has none.
"""

import asyncio
import contextlib
import hashlib
import itertools
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import structlog

from core.conversation.model_registry import ModelRegistry
from core.conversation.unknown_models import EVERY_MODEL
from core.errors import ModelError, ModelFailure, StoreError
from core.metrics import NO_METRICS, Metrics
from core.settings import Settings
from core.store import token_usage
from core.store.database import Store
from core.store.token_usage import StoredReservation, TokenUsage, UsageKey, UsageKind
from core.timings import Timings

log = structlog.get_logger(__name__)
T = TypeVar("T")

QUOTA_WARNING_FRACTION = 0.8
EMBEDDING_SHARE = 0.5
"""The share of the embedding model's daily quota that one person may spend on storing files."""
DAY_SECONDS = 86_400
BILLED_FAILURES = frozenset(
    {ModelFailure.STALLED, ModelFailure.TRUNCATED, ModelFailure.MALFORMED, ModelFailure.EMPTY, ModelFailure.FILTERED}
)
"""Failures after the service accepted the request, which it counts."""


def key_id_of(api_key: str) -> str:
    """Digest of an API key: identifies it without revealing it."""
    return hashlib.sha256(api_key.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class QuotaStatus:
    """The quota of one model today."""

    limit: int | None
    """Tokens a day; None: no quota."""
    usage: TokenUsage

    @property
    def remaining(self) -> int | None:
        """Tokens; None: no known quota."""
        if self.usage.is_exhausted:
            return 0
        return None if self.limit is None else max(0, self.limit - self.usage.tokens)

    @property
    def used_fraction(self) -> float:
        """From 0 to 1."""
        if self.usage.is_exhausted:
            return 1.0
        return min(1.0, self.usage.tokens / self.limit) if self.limit else 0.0

    @property
    def remaining_fraction(self) -> float | None:
        """From 0 to 1; None: no known quota."""
        return None if self.remaining is None else 1.0 - self.used_fraction


@dataclass(frozen=True, slots=True)
class QuotaWarning:
    """A warning: a model's quota for today is nearly used up."""

    model: str
    """Its name for people."""
    used_fraction: float
    seconds_until_reset: float


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a person, or a chat, may use in a day."""

    used: int
    limit: int
    unit: str
    """"token" or "question"."""
    is_chat: bool


@dataclass(slots=True)
class Reservation:
    """The cost of one request, as far as it is known."""

    id: int
    key: UsageKey
    prompt_tokens: int
    """Estimated."""
    used_tokens: int = 0
    """Those of the day before this request."""
    reported_tokens: int = 0
    """The service's count for prompt and answer; 0 if it reports none."""
    answer_tokens: int = 0
    """Estimated tokens of the answer received so far; not needed if the service reports a count."""
    failure: ModelFailure | None = None
    has_answered: bool = False
    """Whether it brought text for a person."""
    is_settled_later: bool = False
    """Whoever made the request settles it, not `Ledger.reserve`."""

    @property
    def cost(self) -> int:
        """In tokens."""
        if self.reported_tokens:
            return self.reported_tokens
        is_refused = self.failure is not None and self.failure not in BILLED_FAILURES
        return 0 if is_refused and not self.answer_tokens else self.prompt_tokens + self.answer_tokens


@dataclass(frozen=True, slots=True)
class Charge:
    """Requests that count towards the daily limits of a person and a chat."""

    reservations: list[Reservation] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        return sum(reservation.cost for reservation in self.reservations)


class Ledger:
    """Warnings are about the key `bot_key_id`."""

    def __init__(
        self,
        store: Store,
        registry: ModelRegistry,
        settings: Settings,
        bot_key_id: str = "",
        *,
        timings: Timings = Timings(),
        metrics: Metrics = NO_METRICS,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._registry = registry
        self._settings = settings
        self._bot_key_id = bot_key_id
        self._reset_offset = timedelta(hours=settings.quota_reset_hour)
        self._clock = timings.clock
        self._timings = timings
        self._warned: set[tuple[str, str, str]] = set()
        self.warnings: deque[QuotaWarning] = deque(maxlen=20)
        """Warnings for the operator; whoever displays one removes it."""

    def today(self) -> str:
        """The date as YYYY-MM-DD."""
        return (datetime.fromtimestamp(self._clock.time(), UTC) - self._reset_offset).date().isoformat()

    def day_start(self) -> float:
        """Seconds since 1970."""
        return self._clock.time() + self.seconds_until_reset() - DAY_SECONDS

    def seconds_until_reset(self) -> float:
        now = datetime.fromtimestamp(self._clock.time(), UTC) - self._reset_offset
        tomorrow = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        return (tomorrow - now).total_seconds()

    def daily_limit(self, model: str) -> int | None:
        """Tokens a day; None: no quota."""
        configured = self._settings.quotas.get(model, self._settings.quotas.get(EVERY_MODEL))
        if configured is None:
            description = self._registry.describe(model)
            configured = description.daily_quota if description else None
        return configured or None

    async def get_quotas(
        self, key_id: str, models: Sequence[str], kind: UsageKind = UsageKind.CHAT
    ) -> dict[str, QuotaStatus]:
        usage_by_model = await self._store.read(token_usage.get_usage_by_model, key_id, self.today(), models, kind)
        return {model: QuotaStatus(self.daily_limit(model), usage) for model, usage in usage_by_model.items()}

    async def get_allowances(self, subjects: Sequence[str]) -> list[Allowance]:
        """Today's limits of a person and, outside a private chat, of the chat. Raises `StoreError`."""
        settings = self._settings
        limits = ((settings.person_tokens, settings.person_messages), (settings.chat_tokens, settings.chat_messages))
        if not any(itertools.chain(*limits)):
            return []
        usage_by_subject = await self._store.read(token_usage.get_daily_usage, subjects, self.today())
        allowances = []
        for subject, (max_tokens, max_questions) in zip(subjects, limits, strict=False):
            usage, is_chat = usage_by_subject[subject], subject != subjects[0]
            allowances.append(Allowance(usage.tokens, max_tokens, "token", is_chat))
            allowances.append(Allowance(usage.questions, max_questions, "question", is_chat))
        return [allowance for allowance in allowances if allowance.limit]

    @asynccontextmanager
    async def reserve(
        self,
        key_id: str,
        model: str,
        prompt_tokens: int,
        answer_tokens: int = 0,
        kind: UsageKind = UsageKind.CHAT,
        *,
        within_quota: bool = False,
        turn_id: int | None = None,
    ) -> AsyncIterator[Reservation]:
        """Reserve the expected cost of a request while the body runs, then book the real cost.

        `within_quota`: what is left of the quota must suffice; otherwise one request at a time may exceed it.
        `turn_id`: whose answer the request is for. Raises `ModelError` if today's quota does not allow the request, and
        `StoreError`.
        """
        key = UsageKey(key_id, model, kind, self.today())
        stored = await self._reserve(key, prompt_tokens + answer_tokens, within_quota, turn_id)
        if stored is None:
            raise ModelError("Today's quota is used up", ModelFailure.QUOTA, retry_after=self.seconds_until_reset())
        reservation = Reservation(stored.id, key, prompt_tokens, stored.used_tokens)
        try:
            yield reservation
        except ModelError as error:
            reservation.failure = error.failure
            await self.record_refusal(key_id, model, error, kind)
            raise
        finally:
            if not reservation.is_settled_later:
                await self.settle(reservation)

    @asynccontextmanager
    async def charge(
        self, subjects: Sequence[str], expected_tokens: int, *, embedding_model: str | None = None
    ) -> AsyncIterator[Charge]:
        """Count the tokens of other requests than chat towards the daily limits of a person and a chat.

        The expected tokens are counted while the body runs, then those of `Charge.reservations`. With
        `embedding_model`, one person gets at most `EMBEDDING_SHARE` of its quota. Raises `ModelError` if a limit does
        not allow them, and `StoreError`.
        """
        charge, day = Charge(), self.today()
        limits = (self._settings.person_tokens, self._settings.chat_tokens)
        limited = {subject: limit for subject, limit in zip(subjects, limits, strict=False) if limit}
        if subjects and embedding_model is not None and (quota := self.daily_limit(embedding_model)):
            limited[f"embeddings:{subjects[0]}"] = round(quota * EMBEDDING_SHARE)
        if not limited:
            yield charge
            return
        is_allowed = await _undo_if_cancelled(
            self._store.write(token_usage.charge_daily_usage, limited, day, expected_tokens),
            lambda is_counted: self._settle_charge(limited, day, -expected_tokens if is_counted else 0),
        )
        if not is_allowed:
            raise ModelError("Today's limit does not allow this request", ModelFailure.ALLOWANCE)
        try:
            yield charge
        finally:
            await asyncio.shield(self._settle_charge(limited, day, charge.tokens - expected_tokens))

    async def _settle_charge(self, subjects: Iterable[str], day: str, difference: int) -> None:
        try:
            await self._store.write(token_usage.adjust_daily_usage, subjects, day, difference)
        except StoreError as error:
            log.warning("quota.charge_not_settled", difference=difference, error=str(error))

    async def _reserve(
        self, key: UsageKey, expected_tokens: int, within_quota: bool, turn_id: int | None
    ) -> StoredReservation | None:
        quota = self.daily_limit(key.model)

        async def undo(stored: StoredReservation | None) -> None:
            if stored is not None:
                await self._store.write(token_usage.settle_reservation, stored.id, 0)

        return await _undo_if_cancelled(
            self._store.write(
                token_usage.reserve, key, expected_tokens, quota, within_quota=within_quota, turn_id=turn_id
            ),
            undo,
        )

    async def settle(self, reservation: Reservation) -> None:
        """Book the real cost of a request, also if this is cancelled meanwhile."""
        await asyncio.shield(self._settle(reservation))

    async def _settle(self, reservation: Reservation) -> None:
        usage = None
        try:
            # With priority, because an answer waits for it.
            usage = await self._store.write_with_priority(
                token_usage.settle_reservation,
                reservation.id,
                reservation.cost,
                has_answered=reservation.has_answered,
            )
        except StoreError as error:
            # Do not fail the answer: the expected cost stays reserved.
            key = reservation.key
            log.warning("quota.usage_not_booked", key_id=key.key_id, model=key.model, error=str(error))
        self.record_settlement(reservation, usage)

    def record_settlement(self, reservation: Reservation, usage: TokenUsage | None) -> None:
        """What follows from a `settle_reservation`, which returned `usage`."""
        key = reservation.key
        self._metrics.tokens_used(key.model, key.kind, reservation.cost)
        if usage is not None and key.day == self.today():
            self._warn_if_nearly_used(key, usage)

    def warn_before_settlement(self, reservation: Reservation) -> None:
        """Warn now if the cost of this request, which is settled with its answer, leaves little of the quota."""
        key = reservation.key
        if key.day == self.today():
            self._warn_if_nearly_used(key, TokenUsage(reservation.used_tokens + reservation.cost))

    def _warn_if_nearly_used(self, key: UsageKey, usage: TokenUsage) -> None:
        key_id, model, day = key.key_id, key.model, key.day
        limit = self.daily_limit(model)
        if key_id != self._bot_key_id or limit is None or (key_id, model, day) in self._warned:
            return
        quota = QuotaStatus(limit, usage)
        if quota.used_fraction >= QUOTA_WARNING_FRACTION:
            self._warned = {warning for warning in self._warned if warning[2] == day}
            self._warned.add((key_id, model, day))
            name, seconds_until_reset = self._registry.display_name(model), self.seconds_until_reset()
            self.warnings.append(QuotaWarning(name, quota.used_fraction, seconds_until_reset))
            log.warning(
                "quota.nearly_exhausted",
                key_id=key_id,
                model=model,
                used=quota.usage.tokens,
                quota=limit,
                seconds_until_reset=round(seconds_until_reset),
            )

    async def personal_key_tokens(self) -> int:
        """Today's tokens on all personal keys."""
        return await self._store.read(token_usage.tokens_on_other_keys, self._bot_key_id, self.today())

    async def record_refusal(
        self, key_id: str, model: str, error: ModelError, kind: UsageKind = UsageKind.CHAT
    ) -> None:
        """Mark the day's quota as exhausted if the service says so, whatever the local count. Raises `StoreError`.

        Ignores refusals within minutes of the service's reset, which may be a little later than the local one.
        """
        if error.failure is not ModelFailure.QUOTA or error.status is None:
            return
        rollover = self._timings.quota_rollover
        seconds_into_day = self._clock.time() - self.day_start()
        if seconds_into_day < rollover if error.retry_after is None else 0 < error.retry_after < rollover:
            return
        key = UsageKey(key_id, model, kind, self.today())
        await self._store.write(token_usage.mark_exhausted, key)

    async def settle_abandoned(self, older_than_seconds: float | None = None) -> None:
        """Book the expected cost of requests whose process died.

        By default, only requests so old that no process can still be waiting for them. Raises `StoreError`.
        """
        age = self._timings.max_request if older_than_seconds is None else older_than_seconds
        if settled := await self._store.write(token_usage.settle_abandoned, age):
            log.info("quota.abandoned_requests_booked", requests=settled)


async def _undo_if_cancelled(write: Coroutine[Any, Any, T], undo: Callable[[T], Awaitable[None]]) -> T:
    """The result of `write`. If this is cancelled, what was written is undone: nothing else would settle it."""
    task = asyncio.create_task(write)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with contextlib.suppress(StoreError):
            await undo(await task)
        raise
