"""A wait that a platform asked for holds in every process."""

import math

import pytest
from sqlalchemy import Connection, update

from core.port import AccountKey
from core.store import claims
from core.store.database import Store
from core.store.rate_limits import ChatActivity, chat_activity, load_platform_waits, save_platform_wait
from core.store.schema import rate_limits, turns
from core.store.turns import TurnState, finish_turn
from tests.core.store.turn_helpers import accept, claim
from tests.waiting import wait_until

ACCOUNT, OTHER_ACCOUNT = AccountKey("telegram", "1"), AccountKey("telegram", "2")
CHAT = "telegram:1:5"
FINISHED_TEN_SECONDS_EARLIER = update(turns).values(finished_at=turns.c.finished_at - 10)


async def test_wait_is_shared_and_longest_counts(store: Store) -> None:
    await store.write(save_platform_wait, ACCOUNT, "5", 40)
    await store.write(save_platform_wait, ACCOUNT, "5", 10)
    await store.write(save_platform_wait, ACCOUNT, "", 7)
    await store.write(save_platform_wait, OTHER_ACCOUNT, "5", 3)
    limits = await store.read(load_platform_waits, [ACCOUNT])
    assert {(limit.account, limit.chat): limit.remaining_seconds for limit in limits} == {
        (ACCOUNT, "5"): pytest.approx(40, abs=2),
        (ACCOUNT, ""): pytest.approx(7, abs=2),
    }


async def test_expired_wait_is_gone(store: Store) -> None:
    await store.write(save_platform_wait, ACCOUNT, "5", -1)
    assert await store.read(load_platform_waits, [ACCOUNT]) == []


async def test_wait_is_never_longer_than_requested(store: Store) -> None:
    """The database's clock may be set back while a chat waits."""
    await store.write(save_platform_wait, ACCOUNT, "5", 8.0)
    await store.write(set_clock_back, 3600)
    (limit,) = await store.write(load_platform_waits, [ACCOUNT])
    assert limit.remaining_seconds == 8.0

    async def has_begun_to_end() -> bool:
        (limit,) = await store.write(load_platform_waits, [ACCOUNT])
        return limit.remaining_seconds < 8.0

    await wait_until(has_begun_to_end)


async def test_wait_after_clock_was_set_back_ends(store: Store) -> None:
    await store.write(save_platform_wait, ACCOUNT, "5", 8.0)
    await store.write(set_clock_back, 3600)
    await store.write(save_platform_wait, ACCOUNT, "5", 3.0)
    (limit,) = await store.write(load_platform_waits, [ACCOUNT])
    assert 3.0 <= limit.remaining_seconds <= 8.0


async def test_processes_of_chat_are_counted(store: Store) -> None:
    await accept(store, "1", conversation="ann")
    await accept(store, "2", conversation="bob")

    async def activity(owner: str) -> tuple[int, float]:
        (chat,) = (await store.read(chat_activity, owner, [CHAT, "another"])).values()
        return chat.processes, round(chat.idle_seconds, -1)

    assert await store.read(chat_activity, "me", [CHAT]) == {}, "nobody has claimed the turns"
    first, second = await claim(store, "me")
    assert await store.read(chat_activity, "me", [CHAT]) == {CHAT: ChatActivity(1, math.inf)}
    assert await activity("other") == (1, 0)
    await store.write(claims.release_turns, "me", [second.id])
    await claim(store, "other")
    assert await activity("me") == await activity("other") == (2, 0)
    await store.write(finish_turn, first, TurnState.DONE)
    await store.write(lambda connection: connection.execute(FINISHED_TEN_SECONDS_EARLIER))
    assert await activity("other") == (1, 10)


def set_clock_back(connection: Connection, seconds: float) -> None:
    """As if the database's clock had been set back since the waits were stored."""
    connection.execute(update(rate_limits).values(blocked_until=rate_limits.c.blocked_until + seconds))
