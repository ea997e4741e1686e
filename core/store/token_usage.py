"""The ledger: tokens by account, model, kind and day, and what is being asked right now.

`begin` notes what a request is expected to cost before it is sent, `end` replaces that by what it
cost; a request of a process that died counts as expected.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from core.store.schema import daily_usage, database_now, reservations, token_usage

__all__ = [
    "TokenUsage",
    "UsageKey",
    "add_daily_usage",
    "get_daily_usage",
    "get_usage_by_model",
    "mark_exhausted",
    "reserve",
    "settle_abandoned",
    "settle_reservation",
    "tokens_on_other_keys",
]


@dataclass(frozen=True, slots=True)
class UsageKey:
    """What a request is booked on."""

    key_id: str
    model: str
    kind: str
    day: str


@dataclass(frozen=True, slots=True)
class TokenUsage:
    tokens: int
    """By the service's own count, as far as it told."""
    reserved: int
    """What requests on their way are expected to cost."""
    requests: int
    is_exhausted: bool


NO_USAGE = TokenUsage(0, 0, 0, is_exhausted=False)


def get_usage(connection: Connection, key: UsageKey) -> TokenUsage:
    return get_usage_by_model(connection, key.key_id, key.day, [key.model], key.kind)[key.model]


def get_usage_by_model(
    connection: Connection, key_id: str, day: str, models: Sequence[str], kind: str = "chat"
) -> dict[str, TokenUsage]:
    """Of each of `models` (all of them: none given means those that were used)."""
    same_day = (
        token_usage.c.account == key_id,
        token_usage.c.day == day,
        token_usage.c.kind == kind,
    )
    of_models = (token_usage.c.model.in_(models),) if models else ()
    usage = {
        row.model: TokenUsage(row.tokens, 0, row.requests, row.exhausted)
        for row in connection.execute(select(token_usage).where(*same_day, *of_models))
    }
    reserved = connection.execute(
        select(reservations.c.model, func.sum(reservations.c.tokens).label("tokens"))
        .where(reservations.c.account == key_id, reservations.c.day == day, reservations.c.kind == kind)
        .group_by(reservations.c.model)
    )
    for row in reserved:
        if not models or row.model in models:
            booked = usage.get(row.model, NO_USAGE)
            usage[row.model] = TokenUsage(booked.tokens, int(row.tokens), booked.requests, booked.is_exhausted)
    return {model: usage.get(model, NO_USAGE) for model in (models or usage)}


def tokens_on_other_keys(connection: Connection, key_id: str, day: str, kind: str = "chat") -> int:
    """Tokens on all accounts but `account`."""
    tokens = connection.scalar(
        select(func.sum(token_usage.c.tokens)).where(
            token_usage.c.account != key_id, token_usage.c.day == day, token_usage.c.kind == kind
        )
    )
    return int(tokens or 0)


def reserve(connection: Connection, key: UsageKey, expected_tokens: int, quota: int | None) -> int | None:
    """The number of a request that may be sent; None: the day's quota would not bear it.

    Whoever is first finds room even if it may not last: a quota is there to be used up.
    """
    _lock_row(connection, key)
    usage = get_usage(connection, key)
    if usage.is_exhausted:
        return None
    if quota is not None and (
        usage.tokens >= quota or (usage.reserved and usage.tokens + usage.reserved + expected_tokens > quota)
    ):
        return None
    reservation_id: int = connection.execute(
        insert(reservations)
        .values(
            account=key.key_id,
            model=key.model,
            kind=key.kind,
            day=key.day,
            tokens=expected_tokens,
            created=database_now(),
        )
        .returning(reservations.c.id)
    ).scalar_one()
    return reservation_id


def _lock_row(connection: Connection, key: UsageKey) -> None:
    """One line of the ledger is looked at and written by one transaction at a time."""
    _add_usage(connection, key, 0, 0)


def settle_reservation(connection: Connection, reservation_id: int, tokens: int) -> None:
    """Book what request `number` cost; once, whoever does it."""
    row = connection.execute(
        delete(reservations).where(reservations.c.id == reservation_id).returning(reservations)
    ).first()
    if row is not None and tokens:
        _add_usage(connection, UsageKey(row.account, row.model, row.kind, row.day), tokens, 1)


def settle_abandoned(connection: Connection, older_than_seconds: float) -> int:
    """Book requests begun more than `older` seconds ago as expected: their process died."""
    rows = connection.execute(
        delete(reservations).where(reservations.c.created < database_now() - older_than_seconds).returning(reservations)
    ).all()
    for row in rows:
        _add_usage(connection, UsageKey(row.account, row.model, row.kind, row.day), row.tokens, 1)
    return len(rows)


def mark_exhausted(connection: Connection, key: UsageKey) -> None:
    """The service says that the day's quota is used up."""
    _add_usage(connection, key, 0, 0)
    connection.execute(update(token_usage).where(*_has_key(key)).values(exhausted=True))


def _has_key(key: UsageKey) -> tuple[ColumnElement[bool], ...]:
    return (
        token_usage.c.account == key.key_id,
        token_usage.c.model == key.model,
        token_usage.c.kind == key.kind,
        token_usage.c.day == key.day,
    )


def _add_usage(connection: Connection, key: UsageKey, tokens: int, request_count: int) -> None:
    upsert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(
        upsert(token_usage)
        .values(
            account=key.key_id,
            model=key.model,
            kind=key.kind,
            day=key.day,
            tokens=tokens,
            requests=request_count,
        )
        .on_conflict_do_update(
            index_elements=["account", "model", "kind", "day"],
            set_={
                "tokens": token_usage.c.tokens + tokens,
                "requests": token_usage.c.requests + request_count,
            },
        )
    )


def add_daily_usage(connection: Connection, subjects: Iterable[str], day: str, tokens: int, messages: int) -> None:
    """Count what people and chats used in a day."""
    upsert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    for subject in subjects:
        connection.execute(
            upsert(daily_usage)
            .values(subject=subject, day=day, tokens=tokens, messages=messages)
            .on_conflict_do_update(
                index_elements=["subject", "day"],
                set_={
                    "tokens": daily_usage.c.tokens + tokens,
                    "messages": daily_usage.c.messages + messages,
                },
            )
        )


def get_daily_usage(connection: Connection, subjects: Sequence[str], day: str) -> dict[str, tuple[int, int]]:
    """(tokens, messages) of a day by subject."""
    rows = connection.execute(select(daily_usage).where(daily_usage.c.subject.in_(subjects), daily_usage.c.day == day))
    usage = {row.subject: (int(row.tokens), int(row.messages)) for row in rows}
    return {subject: usage.get(subject, (0, 0)) for subject in subjects}
