"""What `parley top` reads, on both databases."""

from dataclasses import replace
from functools import partial

from sqlalchemy import Connection, update

from core.api.events import UsageReport
from core.port import AccountKey
from core.store import answers, rate_limits, schema, turns
from core.store.database import Store
from core.store.leases import Leases
from core.store.overview import MAX_ROWS, Overview, read_overview
from core.store.token_usage import UsageKey, UsageKind, reserve
from core.store.turns import Turn, TurnState
from tests.core.store.turn_helpers import ACCOUNT, accept, claim, make_older

KEY = UsageKey("house", "phi-4", UsageKind.CHAT, "2026-12-01")


def end_earlier(connection: Connection, seconds: float) -> None:
    finished_at = schema.turns.c.finished_at
    connection.execute(update(schema.turns).values(finished_at=finished_at - seconds))


def accept_earlier(connection: Connection, turn: Turn, seconds: float) -> None:
    is_turn, created_at = schema.turns.c.id == turn.id, schema.turns.c.created_at
    connection.execute(update(schema.turns).where(is_turn).values(created_at=created_at - seconds))


def make_requests_older(connection: Connection, seconds: float) -> None:
    created_at = schema.reservations.c.created_at
    connection.execute(update(schema.reservations).values(created_at=created_at - seconds))


async def answered(store: Store, turn: Turn, tokens: int = 5) -> None:
    stored = partial(answers.store_answer, prompt="why?", answer="So.", note="", model="phi-4")
    await store.write(partial(stored, usage=UsageReport(3, tokens)), turn)
    await store.write(turns.finish_turn, turn, TurnState.DONE)


async def read(store: Store) -> Overview:
    return await store.read(read_overview)


async def test_nothing_happens_in_an_empty_database(store: Store) -> None:
    assert await read(store) == Overview({}, (), {}, 0.0, (), (), (), 0, 0)


async def test_open_turns_are_counted_and_the_oldest_are_shown(store: Store) -> None:
    for number in range(MAX_ROWS + 2):
        await accept(store, f"u{number}", conversation=str(number % 2))
    running = await claim(store)
    await store.write(partial(reserve, turn_id=running[0].id), KEY, 100, None)
    await store.write(partial(reserve, turn_id=running[0].id), replace(KEY, model="qwen"), 100, None)
    await store.write(make_older, 60)
    overview = await read(store)
    assert overview.open_by_state == {"queued": MAX_ROWS, "running": 2}
    assert len(overview.oldest) == MAX_ROWS
    first, second = overview.oldest[:2]
    assert (first.id, first.platform, first.state, first.model, first.reason) == (1, "telegram", "running", "qwen", "")
    assert (second.id, second.model) == (2, "")
    assert 60 <= first.age_seconds < 660
    assert overview.finished_by_state == {}


async def test_finished_turns_of_the_last_hour_are_counted(store: Store) -> None:
    for number in range(4):
        await accept(store, f"u{number}", conversation=str(number))
    done, empty, failed, old = await claim(store)
    await answered(store, old)
    await store.write(end_earlier, 3700)
    await store.write(turns.finish_turn, failed, TurnState.FAILED, "  It broke.\nAt line 1.")
    await answered(store, empty, tokens=0)  # it took long, and is no answer
    await store.write(accept_earlier, empty, 5000)
    await store.write(make_older, 40)
    await answered(store, done)
    overview = await read(store)
    assert overview.finished_by_state == {"done": 2, "failed": 1}
    assert 40 <= overview.answer_seconds < 640
    (failure,) = overview.failed
    assert (failure.id, failure.reason) == (failed.id, "It broke.")
    assert 0 <= failure.age_seconds < 600
    assert (overview.open_by_state, overview.oldest) == ({}, ())


async def test_newest_failures_are_shown_first(store: Store) -> None:
    for number in range(2):
        await accept(store, f"u{number}", conversation=str(number))
    first, second = await claim(store)
    await store.write(turns.finish_turn, second, TurnState.FAILED, "second")
    await store.write(end_earlier, 100)
    await store.write(turns.finish_turn, first, TurnState.FAILED, "first")
    assert [failure.reason for failure in (await read(store)).failed] == ["first", "second"]


async def test_requests_are_counted_by_model_and_kind(store: Store) -> None:
    for key in (KEY, replace(KEY, model="qwen"), replace(KEY, model="qwen"), replace(KEY, kind=UsageKind.EMBEDDINGS)):
        await store.write(reserve, key, 1, None)
        await store.write(make_requests_older, 60)
    requests = (await read(store)).requests
    assert [(each.model, each.count) for each in requests] == [("qwen", 2), ("phi-4", 1), ("phi-4", 1)]
    assert {each.kind for each in requests} == {"chat", "embeddings"}
    assert 180 <= requests[0].oldest_seconds < 780


async def test_waits_of_platforms_are_shown_the_longest_first(store: Store) -> None:
    other = AccountKey("discord", "2")
    for account, chat, seconds in ((ACCOUNT, "5", 100), (other, "", 1000), (ACCOUNT, "6", -1)):
        await store.write(rate_limits.save_platform_wait, account, chat, seconds)
    overview = await read(store)
    assert [(wait.account, wait.is_account_wide) for wait in overview.waits] == [
        ("discord:2", True),
        ("telegram:1", False),
    ]
    assert 400 < overview.waits[0].remaining_seconds <= 1000
    assert overview.wait_count == 2


async def test_valid_leases_are_counted_without_reservations(store: Store) -> None:
    leases = Leases(store, "me")
    assert await leases.try_acquire("poller", 1000)
    assert await leases.try_acquire("dead", -1)
    assert await leases.try_reserve("login", 1000)
    assert (await read(store)).lease_count == 1
