"""What happens at the moment, for `parley top`. Only reads."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, select

from core.store.leases import RESERVATION_PREFIX
from core.store.schema import IS_OPEN, database_now, leases, rate_limits, reservations, turns
from core.store.turns import TurnState

MAX_ROWS = 20


@dataclass(frozen=True, slots=True)
class OpenTurn:
    id: int
    platform: str
    state: str
    model: str
    """That is asked now, or whose answer is stored; empty if there is none yet."""
    age_seconds: float
    reason: str = ""
    """The first line of why a failed turn failed."""


@dataclass(frozen=True, slots=True)
class OpenRequests:
    """Requests to the model service that run now."""

    model: str
    kind: str
    count: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class PlatformWaitSummary:
    """A platform accepts nothing for a while."""

    account: str
    is_account_wide: bool
    remaining_seconds: float


@dataclass(frozen=True, slots=True)
class Overview:
    open_by_state: dict[str, int]
    oldest: tuple[OpenTurn, ...]
    """Open turns."""
    finished_by_state: dict[str, int]
    """In the last hour."""
    answer_seconds: float
    """From the question to its end, on average of the last hour's answers."""
    failed: tuple[OpenTurn, ...]
    """The newest of the last hour; `age_seconds` counts from their end."""
    requests: tuple[OpenRequests, ...]
    waits: tuple[PlatformWaitSummary, ...]
    """The longest."""
    wait_count: int
    lease_count: int
    """Bots that poll, shards and processes."""


def read_overview(connection: Connection, seconds: float = 3600.0) -> Overview:
    """`seconds`: how far back finished turns count."""
    now = connection.scalars(select(database_now())).one()
    by_state = select(turns.c.state, func.count().label("number")).group_by(turns.c.state)
    is_recent = turns.c.finished_at >= now - seconds
    age = now - turns.c.created_at
    asked_model = select(reservations.c.model).where(reservations.c.turn_id == turns.c.id)
    asked_model = asked_model.order_by(reservations.c.id.desc()).limit(1)
    model = func.coalesce(asked_model.scalar_subquery(), turns.c.model).label("model")
    reason = func.coalesce(turns.c.failure, turns.c.note).label("reason")
    columns = (turns.c.id, turns.c.event_key, turns.c.state, model, reason)
    oldest = select(*columns, age.label("age")).where(IS_OPEN).order_by(turns.c.id).limit(MAX_ROWS)
    failed = (
        select(*columns, (now - turns.c.finished_at).label("age"))
        .where(is_recent, turns.c.state == TurnState.FAILED)
        .order_by(turns.c.finished_at.desc())
        .limit(MAX_ROWS)
    )
    duration = select(func.avg(turns.c.finished_at - turns.c.created_at)).where(
        is_recent, turns.c.state == TurnState.DONE, turns.c.completion_tokens > 0
    )
    is_waiting = rate_limits.c.blocked_until > now
    waits = connection.execute(
        select(rate_limits.c.account_key, rate_limits.c.chat, (rate_limits.c.blocked_until - now).label("remaining"))
        .where(is_waiting)
        .order_by(rate_limits.c.blocked_until.desc())
        .limit(MAX_ROWS)
    )
    held = select(func.count()).where(leases.c.expires_at > now, leases.c.name.not_like(f"{RESERVATION_PREFIX}%"))
    return Overview(
        {row.state: row.number for row in connection.execute(by_state.where(IS_OPEN))},
        _read_turns(connection, oldest),
        {row.state: row.number for row in connection.execute(by_state.where(is_recent))},
        float(connection.scalar(duration) or 0.0),
        _read_turns(connection, failed),
        _read_requests(connection, now),
        tuple(PlatformWaitSummary(row.account_key, not row.chat, row.remaining) for row in waits),
        connection.scalar(select(func.count()).where(is_waiting)) or 0,
        connection.scalar(held) or 0,
    )


def _read_turns(connection: Connection, query: Select[Any]) -> tuple[OpenTurn, ...]:
    return tuple(
        OpenTurn(row.id, row.event_key.partition(":")[0], row.state, row.model or "", row.age, _first_line(row.reason))
        for row in connection.execute(query)
    )


def _read_requests(connection: Connection, now: float) -> tuple[OpenRequests, ...]:
    open_requests = select(
        reservations.c.model,
        reservations.c.kind,
        func.count().label("number"),
        (now - func.min(reservations.c.created_at)).label("age"),
    ).group_by(reservations.c.model, reservations.c.kind)
    rows = connection.execute(open_requests.order_by(func.count().desc(), reservations.c.model))
    return tuple(OpenRequests(row.model, row.kind, row.number, row.age) for row in rows)


def _first_line(reason: str | None) -> str:
    return next(iter((reason or "").strip().splitlines()), "")
