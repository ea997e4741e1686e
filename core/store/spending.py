"""The ledger: tokens by account, model, kind and day, and what is being asked right now.

`begin` notes what a request is expected to cost before it is sent, `end` replaces that by what it
cost; a request of a process that died counts as expected.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from core.store.schema import allowances, clock, requests, spending

__all__ = [
    "Line",
    "Spent",
    "allow",
    "allowance",
    "begin",
    "end",
    "exhaust",
    "settle",
    "spent_elsewhere",
    "spent_on",
]


@dataclass(frozen=True, slots=True)
class Line:
    """What a request is booked on."""

    account: str
    model: str
    kind: str
    day: str


@dataclass(frozen=True, slots=True)
class Spent:
    tokens: int
    """By the service's own count, as far as it told."""
    open: int
    """What requests on their way are expected to cost."""
    requests: int
    exhausted: bool


NOTHING = Spent(0, 0, 0, exhausted=False)


def spent(connection: Connection, line: Line) -> Spent:
    return spent_on(connection, line.account, line.day, [line.model], line.kind)[line.model]


def spent_on(
    connection: Connection, account: str, day: str, models: Sequence[str], kind: str = "chat"
) -> dict[str, Spent]:
    """Of each of `models` (all of them: none given means those that were used)."""
    of = (spending.c.account == account, spending.c.day == day, spending.c.kind == kind)
    wanted = (spending.c.model.in_(models),) if models else ()
    found = {
        row.model: Spent(row.tokens, 0, row.requests, row.exhausted)
        for row in connection.execute(select(spending).where(*of, *wanted))
    }
    asked = connection.execute(
        select(requests.c.model, func.sum(requests.c.tokens).label("tokens"))
        .where(requests.c.account == account, requests.c.day == day, requests.c.kind == kind)
        .group_by(requests.c.model)
    )
    for row in asked:
        if not models or row.model in models:
            known = found.get(row.model, NOTHING)
            found[row.model] = Spent(known.tokens, int(row.tokens), known.requests, known.exhausted)
    return {model: found.get(model, NOTHING) for model in (models or found)}


def spent_elsewhere(connection: Connection, account: str, day: str, kind: str = "chat") -> int:
    """Tokens on all accounts but `account`."""
    tokens = connection.scalar(
        select(func.sum(spending.c.tokens)).where(
            spending.c.account != account, spending.c.day == day, spending.c.kind == kind
        )
    )
    return int(tokens or 0)


def begin(connection: Connection, line: Line, expected: int, quota: int | None) -> int | None:
    """The number of a request that may be sent; None: the day's quota would not bear it.

    Whoever is first finds room even if it may not last: a quota is there to be used up.
    """
    _lock(connection, line)
    now = spent(connection, line)
    if now.exhausted:
        return None
    if quota is not None and (
        now.tokens >= quota or (now.open and now.tokens + now.open + expected > quota)
    ):
        return None
    number: int = connection.execute(
        insert(requests)
        .values(
            account=line.account,
            model=line.model,
            kind=line.kind,
            day=line.day,
            tokens=expected,
            created=clock(),
        )
        .returning(requests.c.id)
    ).scalar_one()
    return number


def _lock(connection: Connection, line: Line) -> None:
    """One line of the ledger is looked at and written by one transaction at a time."""
    _add(connection, line, 0, 0)


def end(connection: Connection, number: int, tokens: int) -> None:
    """Book what request `number` cost; once, whoever does it."""
    row = connection.execute(
        delete(requests).where(requests.c.id == number).returning(requests)
    ).first()
    if row is not None and tokens:
        _add(connection, Line(row.account, row.model, row.kind, row.day), tokens, 1)


def settle(connection: Connection, older: float) -> int:
    """Book requests begun more than `older` seconds ago as expected: their process died."""
    rows = connection.execute(
        delete(requests).where(requests.c.created < clock() - older).returning(requests)
    ).all()
    for row in rows:
        _add(connection, Line(row.account, row.model, row.kind, row.day), row.tokens, 1)
    return len(rows)


def exhaust(connection: Connection, line: Line) -> None:
    """The service says that the day's quota is used up."""
    _add(connection, line, 0, 0)
    connection.execute(update(spending).where(*_is(line)).values(exhausted=True))


def _is(line: Line) -> tuple[ColumnElement[bool], ...]:
    return (
        spending.c.account == line.account,
        spending.c.model == line.model,
        spending.c.kind == line.kind,
        spending.c.day == line.day,
    )


def _add(connection: Connection, line: Line, tokens: int, count: int) -> None:
    upsert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(
        upsert(spending)
        .values(
            account=line.account,
            model=line.model,
            kind=line.kind,
            day=line.day,
            tokens=tokens,
            requests=count,
        )
        .on_conflict_do_update(
            index_elements=["account", "model", "kind", "day"],
            set_={
                "tokens": spending.c.tokens + tokens,
                "requests": spending.c.requests + count,
            },
        )
    )


def allow(
    connection: Connection, subjects: Iterable[str], day: str, tokens: int, messages: int
) -> None:
    """Count what people and chats used in a day."""
    upsert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    for subject in subjects:
        connection.execute(
            upsert(allowances)
            .values(subject=subject, day=day, tokens=tokens, messages=messages)
            .on_conflict_do_update(
                index_elements=["subject", "day"],
                set_={
                    "tokens": allowances.c.tokens + tokens,
                    "messages": allowances.c.messages + messages,
                },
            )
        )


def allowance(
    connection: Connection, subjects: Sequence[str], day: str
) -> dict[str, tuple[int, int]]:
    """(tokens, messages) of a day by subject."""
    rows = connection.execute(
        select(allowances).where(allowances.c.subject.in_(subjects), allowances.c.day == day)
    )
    found = {row.subject: (int(row.tokens), int(row.messages)) for row in rows}
    return {subject: found.get(subject, (0, 0)) for subject in subjects}
