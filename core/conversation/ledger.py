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

from core.api.catalogue import builtin
from core.conversation.models import Models
from core.errors import Failure, ModelError, StoreError
from core.store import spending
from core.store.database import Store
from core.store.spending import Line, Spent

__all__ = ["CHAT", "EMBEDDINGS", "Booking", "Ledger", "Quota", "account_of", "span"]

log = structlog.get_logger(__name__)

CHAT, EMBEDDINGS = "chat", "embeddings"  # kinds of use, each with its own quota
EVERY_MODEL = "*"
BUILTIN = builtin()
WARN_AT = 0.8
SOON = 600.0  # seconds: a quota that comes back within them is not used up for the day
COUNTED = frozenset({
    Failure.STALLED, Failure.TRUNCATED, Failure.MALFORMED, Failure.EMPTY, Failure.FILTERED,
})  # fmt: skip
"""Failures after the service began to work: it counts what it was asked."""
DEAD_AFTER = 43_200.0  # seconds: no request lasts as long (PARLEY_ANSWER_TIMEOUT)


def account_of(api_key: str) -> str:
    """A name for a key that does not tell the key."""
    return hashlib.sha256(api_key.encode()).hexdigest()[:16]


def span(seconds: float) -> str:
    """For people: 40 s, 12 min, 3 h."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{round(seconds / 3600)} h"


@dataclass(frozen=True, slots=True)
class Quota:
    """Today's state of one model. Tokens; `limit` None: no quota."""

    limit: int | None
    spent: Spent

    @property
    def left(self) -> int | None:
        if self.limit is None:
            return None
        return 0 if self.spent.exhausted else max(0, self.limit - self.spent.tokens)

    @property
    def share(self) -> float:
        """Used part of the quota, 0 to 1."""
        if self.spent.exhausted:
            return 1.0
        return min(1.0, self.spent.tokens / self.limit) if self.limit else 0.0


@dataclass(slots=True)
class Booking:
    """What one request costs, in tokens: as the service told, else as well as we know."""

    asked: int
    """What is asked, estimated."""
    told: int = 0
    """By the service, for all of it."""
    said: int = 0
    """What came of the answer, estimated."""
    failure: Failure | None = None

    @property
    def cost(self) -> int:
        if self.told:
            return self.told
        refused = self.failure is not None and self.failure not in COUNTED
        return 0 if refused and not self.said else self.asked + self.said


class Ledger:
    """`house` is the bot's own account, of whose quotas the operator is warned; `clock` is
    seconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        models: Models,
        *,
        quotas: Mapping[str, int],
        reset_hour: int,
        house: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._models = models
        self._quotas = quotas
        self._house = house
        self._reset = timedelta(hours=reset_hour)
        self._clock = clock
        self._warned: set[tuple[str, str, str]] = set()
        self.warnings: deque[str] = deque(maxlen=20)
        """For an operator to be told; whoever tells them takes them out."""

    def today(self) -> str:
        return (datetime.fromtimestamp(self._clock(), UTC) - self._reset).date().isoformat()

    def day_began(self) -> float:
        """Seconds since 1970."""
        return self._clock() + self.resets_in() - 86_400

    def resets_in(self) -> float:
        """Seconds to the end of the day."""
        now = datetime.fromtimestamp(self._clock(), UTC) - self._reset
        tomorrow = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        return (tomorrow - now).total_seconds()

    def limit(self, model: str) -> int | None:
        """Tokens a day; None: as many as the service gives."""
        given = self._quotas.get(model, self._quotas.get(EVERY_MODEL))
        if given is None:
            # Models that embed are not in the list of those one can talk to.
            known = self._models.get(model) or BUILTIN.get(model)
            given = known.daily_quota if known else None
        return given or None

    async def quotas(
        self, account: str, models: Sequence[str], kind: str = CHAT
    ) -> dict[str, Quota]:
        found = await self._store.read(spending.spent_on, account, self.today(), models, kind)
        return {model: Quota(self.limit(model), now) for model, now in found.items()}

    @asynccontextmanager
    async def booking(
        self, account: str, model: str, asked: int, answer: int = 0, kind: str = CHAT
    ) -> AsyncIterator[Booking]:
        """Book a request while it is made: before, what it is expected to cost (`asked` tokens
        and an answer of `answer`), after it what it cost.

        Raises `ModelError` when today's quota is used up, and `StoreError`.
        """
        number = await self._begin(account, model, asked + answer, kind)
        if number is None:
            raise ModelError(
                "Today's quota is used up", Failure.QUOTA, retry_after=self.resets_in()
            )
        booking = Booking(asked)
        try:
            yield booking
        except ModelError as error:
            booking.failure = error.failure
            raise
        finally:
            await asyncio.shield(self._end(number, account, model, booking.cost, kind))

    async def _begin(self, account: str, model: str, expected: int, kind: str) -> int | None:
        line = Line(account, model, kind, self.today())
        task = asyncio.ensure_future(
            self._store.write(spending.begin, line, expected, self.limit(model))
        )
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # Nobody would end what may be booked by now.
            with contextlib.suppress(StoreError):
                if (number := await task) is not None:
                    await self._store.write(spending.end, number, 0)
            raise

    async def _end(self, number: int, account: str, model: str, tokens: int, kind: str) -> None:
        """Book what it cost, and warn the operator when most of the quota is gone."""
        try:
            await self._store.write(spending.end, number, tokens)
            await self._warn(account, model, kind)
        except StoreError as error:
            # No reason to lose an answer: what was expected stays booked.
            log.warning("cost not booked", account=account, model=model, error=str(error))

    async def _warn(self, account: str, model: str, kind: str) -> None:
        limit, day = self.limit(model), self.today()
        if account != self._house or limit is None or (account, model, day) in self._warned:
            return
        quota = (await self.quotas(account, [model], kind))[model]
        if quota.share >= WARN_AT:
            self._warned = {known for known in self._warned if known[2] == day}
            self._warned.add((account, model, day))
            self.warnings.append(
                f"{self._models.name(model)}: {round(quota.share * 100)} % of today's quota is "
                f"used; it begins anew in {span(self.resets_in())}."
            )
            log.warning(
                "quota nearly used up",
                account=account, model=model, used=quota.spent.tokens, quota=limit,
                resets_in=span(self.resets_in()),
            )  # fmt: skip

    async def elsewhere(self) -> int:
        """Today's tokens on keys that people brought."""
        return await self._store.read(spending.spent_elsewhere, self._house, self.today(), CHAT)

    async def refused(self, account: str, model: str, error: ModelError, kind: str = CHAT) -> None:
        """The service says that the day's quota is used up, whatever we counted. Where its day
        ends a little later than ours, ours is not spoilt.
        """
        told = error.failure is Failure.QUOTA and error.status is not None
        new = self._clock() - self.day_began() < SOON and error.retry_after is None
        if not told or new or (error.retry_after or SOON) < SOON:
            return
        line = Line(account, model, kind, self.today())
        await self._store.write(spending.exhaust, line)

    async def settle(self, older: float = DEAD_AFTER) -> None:
        """Book as expected what was asked more than `older` seconds ago: its process died."""
        if settled := await self._store.write(spending.settle, older):
            log.info("requests of dead processes booked", requests=settled)
