"""Requests for access, and what is stored when an operator decides, on both databases."""

from dataclasses import replace

import pytest
from sqlalchemy import Connection, func, select, update

from core.port import EventKind, Incoming
from core.store.access_requests import (
    MAX_DECIDER_CHARS,
    MAX_PENDING,
    AccessRequest,
    Decision,
    announce_requests,
    as_notice,
    count_pending,
    decide_request,
    list_pending,
    request_access,
    seconds_until_announcement,
)
from core.store.database import Store
from core.store.grants import Role, ban, grant, roles_by_subject
from core.store.schema import access_requests, turns
from tests.core.store.turn_helpers import ANN, claim, end_batch_window, message_event

INTERVAL = 600.0
EVE = "telegram:person:7"


def stranger(number: int) -> Incoming:
    event = message_event(f"u{number}", "let me in")
    return replace(event, sender=replace(ANN, user=str(number), name=f"Stranger {number}", roles=("9",)))


def notice_to(number: int) -> Incoming:
    return as_notice(stranger(number), "requested", f"notice {number}")


async def ask(store: Store, number: int, *, has_notice: bool = False, link: str = "") -> bool:
    event = stranger(number)
    notice = notice_to(number) if has_notice else None
    return await store.write(request_access, event, event.sender.name, notice, link=link)


def age_announcements(connection: Connection, seconds: float) -> None:
    connection.execute(update(access_requests).values(announced_at=access_requests.c.announced_at - seconds))


def count_turns(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(turns)) or 0


async def test_stranger_has_one_request(store: Store) -> None:
    assert await ask(store, 7, has_notice=True)
    assert not await ask(store, 7, has_notice=True)
    (turn,) = await claim(store)
    assert (turn.incoming.kind, turn.incoming.command, turn.incoming.text) == (EventKind.COMMAND, "requested", "")
    assert turn.incoming.sender.roles == ()
    pending = await store.read(list_pending, 5)
    assert (pending.oldest, pending.count) == ([AccessRequest(EVE, "Stranger 7")], 1)


async def test_number_of_requests_is_limited(store: Store) -> None:
    def ask_many(connection: Connection) -> list[bool]:
        return [request_access(connection, stranger(number), "", None) for number in range(MAX_PENDING + 1)]

    assert await store.write(ask_many) == [True] * MAX_PENDING + [False]
    pending = await store.read(list_pending, 3)
    assert (len(pending.oldest), pending.count) == (3, MAX_PENDING)
    await store.write(decide_request, "telegram:person:0", Decision.REFUSED, ANN, "welcome", 0)
    assert await ask(store, 1000), "one is decided"


@pytest.mark.parametrize("role", Role)
async def test_request_of_somebody_known_is_not_pending(store: Store, role: Role) -> None:
    await ask(store, 7)
    await ask(store, 8)
    if role is Role.BANNED:
        await store.write(ban, EVE)
    else:
        await store.write(grant, EVE, role, "")
    assert await store.read(count_pending) == 1


async def test_operators_are_told_once_in_an_interval(store: Store) -> None:
    assert await store.read(seconds_until_announcement, INTERVAL) is None
    assert not await store.write(announce_requests, [notice_to(1)], INTERVAL)
    await ask(store, 7)
    assert await store.read(seconds_until_announcement, INTERVAL) == 0
    assert await store.write(announce_requests, [notice_to(1), notice_to(2)], INTERVAL)
    assert await store.read(count_turns) == 2
    assert await store.read(seconds_until_announcement, INTERVAL) is None, "none is new"
    await ask(store, 8)
    assert await store.read(seconds_until_announcement, INTERVAL) == pytest.approx(INTERVAL, abs=30)
    assert not await store.write(announce_requests, [notice_to(3)], INTERVAL)
    await store.write(age_announcements, INTERVAL + 1)
    assert await store.read(seconds_until_announcement, INTERVAL) == 0
    assert await store.write(announce_requests, [notice_to(3)], INTERVAL)
    assert await store.read(count_turns) == 3


@pytest.mark.parametrize("decision", Decision)
async def test_first_decision_stands(store: Store, decision: Decision) -> None:
    operator = replace(ANN, name="O" * (MAX_DECIDER_CHARS + 1))
    assert await store.write(decide_request, EVE, decision, operator, "welcome", 0) is None
    await ask(store, 7, link="phi-4")
    request = AccessRequest(EVE, "Stranger 7")
    assert await store.write(decide_request, EVE, decision, operator, "welcome", 60) == request
    decided = replace(request, decision=decision, decided_by="O" * MAX_DECIDER_CHARS)
    for second in Decision:
        assert await store.write(decide_request, EVE, second, ANN, "welcome", 0) == decided
    is_approved = decision is Decision.APPROVED
    assert await store.read(roles_by_subject) == ({EVE: Role.MEMBER} if is_approved else {})
    assert await claim(store) == [], "the welcome waits until every process knows the grant"
    await store.write(end_batch_window)
    welcomes = [(turn.incoming.command, turn.incoming.text) for turn in await claim(store)]
    assert welcomes == [("welcome", "phi-4")] * is_approved


async def test_approval_does_not_lift_a_ban(store: Store) -> None:
    await ask(store, 7)
    await store.write(grant, EVE, Role.BANNED, "")
    await store.write(decide_request, EVE, Decision.APPROVED, ANN, "welcome", 0)
    assert await store.read(roles_by_subject) == {EVE: Role.BANNED}
    assert await store.read(count_turns) == 0
