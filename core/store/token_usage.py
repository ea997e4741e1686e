"""Tokens used: by API key, model, kind and day; by person or chat and day; and reservations for running requests.

`reserve` books the expected cost of a request before it is sent, `settle_reservation` replaces it with the real cost.
`settle_abandoned` books the expected cost for requests of dead processes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, bindparam, delete, func, insert, select, update

from core.store.dialect import InsertFactory, insert_factory, sum_statement, upsert
from core.store.schema import daily_usage, database_now, messages, reservations, token_usage, turns


class UsageKind(StrEnum):
    """Each kind has its own quota."""

    CHAT = "chat"
    EMBEDDINGS = "embeddings"


@dataclass(frozen=True, slots=True)
class UsageKey:
    """The account on which a request is booked."""

    key_id: str
    model: str
    kind: UsageKind
    day: str


@dataclass(frozen=True, slots=True)
class TokenUsage:
    tokens: int = 0
    """Counted by the service where possible."""
    reserved: int = 0
    """The expected cost of running requests."""
    answers: int = 0
    """Requests that brought text for a person."""
    is_exhausted: bool = False
    """Whether the service reported the day's quota as used up."""


@dataclass(frozen=True, slots=True)
class StoredReservation:
    id: int
    used_tokens: int
    """Those of the day before this request, without what is reserved."""


@dataclass(frozen=True, slots=True)
class DailyUsage:
    """The usage of one person or chat in a day."""

    tokens: int = 0
    questions: int = 0


@dataclass(frozen=True, slots=True)
class ModelUsage:
    model: str
    tokens: int
    answers: int


def get_usage_by_model(
    connection: Connection, key_id: str, day: str, models: Sequence[str], kind: UsageKind = UsageKind.CHAT
) -> dict[str, TokenUsage]:
    """Usage of each of `models`; if empty, of all models used."""
    used, reserved = (SELECT_USAGE, SELECT_RESERVED) if models else (SELECT_ALL_USAGE, SELECT_ALL_RESERVED)
    parameters = {"key_id": key_id, "day": day, "kind": kind} | ({"models": models} if models else {})
    usage = {row.model: _token_usage(row) for row in connection.execute(used, parameters)}
    for row in connection.execute(reserved, parameters):
        usage[row.model] = replace(usage.get(row.model, TokenUsage()), reserved=int(row.tokens))
    return {model: usage.get(model, TokenUsage()) for model in (models or usage)}


def _of_day(statement: Select[Any], table: Table) -> Select[Any]:
    return statement.where(*(table.c[name] == bindparam(name) for name in ("key_id", "day", "kind")))


SELECT_ALL_USAGE = _of_day(select(token_usage), token_usage)
SELECT_USAGE = SELECT_ALL_USAGE.where(token_usage.c.model.in_(bindparam("models", expanding=True)))
SUM_RESERVED = select(reservations.c.model, func.sum(reservations.c.expected_tokens).label("tokens"))
SELECT_ALL_RESERVED = _of_day(SUM_RESERVED, reservations).group_by(reservations.c.model)
SELECT_RESERVED = SELECT_ALL_RESERVED.where(reservations.c.model.in_(bindparam("models", expanding=True)))


def _token_usage(row: Row[Any]) -> TokenUsage:
    # The column's name is older than its meaning, and other versions of Parley use it.
    return TokenUsage(row.tokens, 0, row.request_count, row.is_exhausted)


def tokens_on_other_keys(connection: Connection, key_id: str, day: str) -> int:
    """Chat tokens on all keys except `key_id`."""
    tokens = connection.scalar(
        select(func.sum(token_usage.c.tokens)).where(
            token_usage.c.key_id != key_id, token_usage.c.day == day, token_usage.c.kind == UsageKind.CHAT
        )
    )
    return int(tokens or 0)


def reserve(
    connection: Connection,
    key: UsageKey,
    expected_tokens: int,
    quota: int | None,
    *,
    within_quota: bool = False,
    turn_id: int | None = None,
) -> StoredReservation | None:
    """Reserve a request's expected cost. Returns None if the day's quota does not allow it.

    `quota` is in tokens; None: unlimited. While nothing else is reserved, a request may exceed the remaining quota,
    so that the quota can be used up; `within_quota`: it must not. `turn_id`: whose answer the request is for.
    """
    usage = _add_usage(connection, key, 0, 0)  # locks the row, so that one transaction at a time checks and reserves
    if usage.is_exhausted:
        return None
    if quota is not None:
        reserved = connection.execute(SELECT_RESERVED, {**_columns(key), "models": [key.model]}).first()
        exceeds_quota = usage.tokens + (reserved.tokens if reserved else 0) + expected_tokens > quota
        if usage.tokens >= quota or (exceeds_quota and (reserved or within_quota)):
            return None
    row = {**_columns(key), "expected_tokens": expected_tokens, "turn_id": turn_id}
    return StoredReservation(connection.execute(INSERT_RESERVATION, row).scalar_one(), usage.tokens)


INSERT_RESERVATION = insert(reservations).values(created_at=database_now()).returning(reservations.c.id)
DELETE_RESERVATION = (
    delete(reservations).where(reservations.c.id == bindparam("reservation_id")).returning(reservations)
)


def settle_reservation(
    connection: Connection, reservation_id: int, tokens: int, *, has_answered: bool = False
) -> TokenUsage | None:
    """Book the real cost of a request. Returns the day's usage, without what is reserved.

    `has_answered`: it brought text for a person.

    None: a call for the same reservation was before. It does nothing again.
    """
    row = connection.execute(DELETE_RESERVATION, {"reservation_id": reservation_id}).first()
    if row is None:
        return None
    return _add_usage(connection, _usage_key(row), tokens, int(has_answered))


def settle_abandoned(connection: Connection, older_than_seconds: float) -> int:
    """Book the expected cost of old reservations, whose process died. Returns how many there were."""
    is_abandoned = reservations.c.created_at < database_now() - older_than_seconds
    rows = connection.execute(delete(reservations).where(is_abandoned).returning(reservations)).all()
    for row in rows:
        _add_usage(connection, _usage_key(row), row.expected_tokens, 0)
    return len(rows)


def _usage_key(row: Row[Any]) -> UsageKey:
    return UsageKey(row.key_id, row.model, UsageKind(row.kind), row.day)


def mark_exhausted(connection: Connection, key: UsageKey) -> None:
    """Record that the service reported the day's quota as used up."""
    is_exhausted = {"is_exhausted": True}
    upsert(connection, token_usage, asdict(key), {"tokens": 0, "request_count": 0, **is_exhausted}, update=is_exhausted)


def _add_usage(connection: Connection, key: UsageKey, tokens: int, answers: int) -> TokenUsage:
    """Returns the sums."""
    statement = _add_usage_statement(insert_factory(connection))
    amounts = {"tokens": tokens, "request_count": answers}
    return _token_usage(connection.execute(statement, {**_columns(key), **amounts}).one())


@cache
def _add_usage_statement(insert: InsertFactory) -> Any:
    key = ("key_id", "model", "kind", "day")
    return sum_statement(insert, token_usage, key, ("tokens", "request_count")).returning(token_usage)


def _columns(key: UsageKey) -> dict[str, Any]:
    return {"key_id": key.key_id, "model": key.model, "kind": key.kind, "day": key.day}


def add_daily_usage(connection: Connection, subjects: Iterable[str], day: str, tokens: int, questions: int) -> None:
    """Count usage for people and chats."""
    amounts = {"day": day, "tokens": tokens, "questions": questions}
    if rows := [{"subject": subject, **amounts} for subject in subjects]:
        statement = sum_statement(insert_factory(connection), daily_usage, ("subject", "day"), ("tokens", "questions"))
        connection.execute(statement, rows)


def charge_daily_usage(connection: Connection, limits: Mapping[str, int], day: str, tokens: int) -> bool:
    """Count tokens for people and chats, unless one would exceed its limit for the day: then False."""
    add_daily_usage(connection, limits, day, 0, 0)  # locks the rows
    used = get_daily_usage(connection, list(limits), day)
    if any(used[subject].tokens + tokens > limit for subject, limit in limits.items()):
        return False
    add_daily_usage(connection, limits, day, tokens, 0)
    return True


def adjust_daily_usage(connection: Connection, subjects: Iterable[str], day: str, difference: int) -> None:
    """Correct what `charge_daily_usage` has counted. A row that was deleted meanwhile does not come back."""
    for subject in subjects:
        is_row = (daily_usage.c.subject == subject, daily_usage.c.day == day)
        connection.execute(update(daily_usage).where(*is_row).values(tokens=daily_usage.c.tokens + difference))


def get_daily_usage(connection: Connection, subjects: Sequence[str], day: str) -> dict[str, DailyUsage]:
    """By subject."""
    rows = connection.execute(SELECT_DAILY_USAGE, {"subjects": subjects, "day": day})
    usage = {row.subject: DailyUsage(int(row.tokens), int(row.questions)) for row in rows}
    return {subject: usage.get(subject, DailyUsage()) for subject in subjects}


SELECT_DAILY_USAGE = select(daily_usage).where(
    daily_usage.c.subject.in_(bindparam("subjects", expanding=True)), daily_usage.c.day == bindparam("day")
)


def usage_since(
    connection: Connection, person_key: str, since: float, *, is_personal_key: bool = False
) -> list[ModelUsage]:
    """A person's usage since `since` (seconds since 1970), on the bot's key or their own, most tokens first."""
    tokens = func.sum(turns.c.prompt_tokens + turns.c.completion_tokens)
    rows = connection.execute(
        select(turns.c.model, tokens, func.count(messages.c.id))
        .outerjoin(messages, (messages.c.turn_id == turns.c.id) & (messages.c.role == "assistant"))
        .where(
            turns.c.person_key == person_key,
            turns.c.created_at >= since,
            turns.c.model.is_not(None),
            turns.c.used_personal_key.is_(is_personal_key),
        )
        .group_by(turns.c.model)
        .order_by(tokens.desc())
    )
    return [ModelUsage(model, int(total), answers) for model, total, answers in rows]
