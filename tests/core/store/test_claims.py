"""Which process gets which turn, and when, on both databases."""

import asyncio
from functools import partial

import pytest
from sqlalchemy import Connection, select, update

from core.port import AccountKey, Place
from core.store import answer_parts, answers, claims, schema, turns
from core.store.answer_parts import PartState, SentPart
from core.store.chat_migration import move_chat
from core.store.claims import SUSPECT_ATTEMPTS, CancelResult, ClaimFilter, Heartbeat
from core.store.database import Store
from core.store.inbound import InboundLimits
from core.store.incoming_codec import encode_incoming
from core.store.turns import LostLeaseError, TurnState
from tests.core.store.turn_helpers import ACCOUNT, accept, accept_event, claim, message_event
from tests.postgresql import endless_transactions, open_store, postgresql_url
from tests.waiting import wait_until

FUTURE_TURN = 2**31
DISCORD = AccountKey("discord", "1")


async def claimed_keys(store: Store, owner: str = "me", *, lease_seconds: float = 30) -> list[str]:
    return [turn.incoming.key for turn in await claim(store, owner, lease_seconds=lease_seconds)]


async def test_a_conversation_runs_one_turn_at_a_time_in_order(store: Store) -> None:
    for key in ("u1", "u2"):
        await accept(store, key)
    await accept(store, "u3", conversation="bob")
    claimed = await claim(store)
    assert [turn.incoming.key for turn in claimed] == ["u1", "u3"]
    assert await claim(store, "other") == []
    await store.write(turns.finish_turn, claimed[0], TurnState.DONE)
    assert await claimed_keys(store) == ["u2"]


async def test_commands_overtake_prompts(store: Store) -> None:
    await accept(store, "u1")
    await claim(store)
    await accept(store, "u2", ordered=False)
    assert await claimed_keys(store) == ["u2"]


async def test_commands_of_one_conversation_leave_room_for_others(store: Store) -> None:
    for number in range(20):
        await accept(store, f"flood {number}", ordered=False)
    await accept(store, "bob's", conversation="bob", ordered=False)
    claimed = await claim(store)
    assert [turn.incoming.key for turn in claimed] == [f"flood {number}" for number in range(8)] + ["bob's"]
    assert await claim(store) == []
    await store.write(turns.finish_turn, claimed[0], TurnState.DONE)
    assert await claimed_keys(store) == ["flood 8"]


async def test_commands_are_claimed_from_a_busy_chat(store: Store) -> None:
    await accept(store, "asked")
    await accept(store, "command", ordered=False)
    await accept(store, "refused", limits=InboundLimits(max_open=1))
    claim_more = partial(claims.claim_turns, lease_seconds=30, limit=50, busy_chats=["telegram:1:5"])
    assert await store.write(claim_more, "me", [ACCOUNT], command_chats=["telegram:1:5"]) == []
    (turn,) = await store.write(claim_more, "me", [ACCOUNT])
    assert turn.incoming.key == "command"


async def test_no_turns_are_claimed_from_a_busy_chat(store: Store) -> None:
    busy, other = (Place("telegram", "1", chat) for chat in ("-7", "-77"))
    full = InboundLimits(max_open=1)
    for key, place, limits in (
        ("asked", busy, InboundLimits()),
        ("refused", busy, full),
        ("elsewhere", other, InboundLimits()),
        ("refused elsewhere", other, full),
    ):
        event = message_event(key, place=place)
        await store.write(partial(accept_event, conversation_key=key, limits=limits), event)
    claim_others = partial(claims.claim_turns, lease_seconds=30, limit=50, busy_chats=["telegram:1:-7"])
    claimed = await store.write(claim_others, "me", [ACCOUNT])
    assert [turn.incoming.key for turn in claimed] == ["elsewhere", "refused elsewhere"]
    assert await claimed_keys(store) == ["asked", "refused"]


async def test_turn_is_claimed_once(store: Store) -> None:
    for number in range(20):
        await accept(store, f"u{number}", conversation=f"conversation {number}")
    claims_ = await asyncio.gather(*(claim(store, f"owner {n}") for n in range(6)))
    ids = [turn.id for claimed in claims_ for turn in claimed]
    assert len(ids) == len(set(ids)) == 20


async def test_process_claims_only_its_accounts(store: Store) -> None:
    await accept(store, "u1")
    for accounts in ([DISCORD, AccountKey("telegram", "11")], []):
        assert await store.write(claims.claim_turns, "other", accounts, lease_seconds=30, limit=50) == []
    assert len(await claim(store)) == 1


async def test_expired_lease_is_taken_over_and_fences_first_owner(store: Store) -> None:
    await accept(store, "u1")
    (old,) = await claim(store, "frozen", lease_seconds=-1)
    (new,) = await claim(store, "heir")
    assert new.id == old.id
    assert new.attempt == 2
    with pytest.raises(LostLeaseError):
        await store.write(turns.finish_turn, old, TurnState.DONE)
    with pytest.raises(LostLeaseError):
        await store.write(answer_parts.save_part, old, 0, SentPart(PartState.SENT, "1", "x"))
    assert await store.read(answer_parts.list_sent_parts, old.id) == {}
    await store.write(turns.finish_turn, new, TurnState.DONE)


async def test_lease_of_dead_process_ends_after_clock_was_set_back(store: Store) -> None:
    await accept(store, "u1")
    assert await claimed_keys(store, "dead", lease_seconds=0.1) == ["u1"]
    later = update(schema.turns).values(lease_expires_at=schema.turns.c.lease_expires_at + 3600)
    await store.write(lambda connection: connection.execute(later))
    assert await claimed_keys(store, "alive", lease_seconds=0.1) == [], "the owner may be alive and renew it"
    await store.write(claims.shorten_leases, 0.1)

    async def is_claimed() -> bool:
        return await claimed_keys(store, "alive") == ["u1"]

    await wait_until(is_claimed)


async def test_heartbeat_renews_named_turns_and_returns_cancellations(store: Store) -> None:
    await accept(store, "u1", conversation="a")
    await accept(store, "u2", conversation="b")
    first, second = await claim(store, lease_seconds=-1)
    heartbeat = partial(claims.heartbeat, owner="me", ids=[first.id], lease_seconds=30)
    assert await store.write(heartbeat) == Heartbeat({first.id: False}, lost=set())
    assert [turn.id for turn in await claim(store, "other")] == [second.id]
    cancelled = await store.write(claims.cancel_turns, first.conversation_id, FUTURE_TURN)
    assert cancelled.running == [first.id]
    assert await store.write(heartbeat) == Heartbeat({first.id: True}, lost=set())
    assert await store.read(claims.check_leases, "me", [first.id]) == Heartbeat({first.id: True}, lost=set())


async def test_heartbeat_tells_what_others_have(store: Store) -> None:
    for number in range(3):
        await accept(store, f"u{number}", conversation=f"{number}")
    kept, taken, finished = await claim(store, lease_seconds=-1)
    await store.write(turns.finish_turn, finished, TurnState.DONE)
    taking = update(schema.turns).where(schema.turns.c.id == taken.id).values(owner="other")
    await store.write(lambda connection: connection.execute(taking))
    ids = [kept.id, taken.id, finished.id]
    beat = await store.write(claims.heartbeat, "me", ids, lease_seconds=30)
    assert beat == Heartbeat({kept.id: False}, lost={taken.id, finished.id})
    assert await store.read(claims.check_leases, "me", ids) == beat


@pytest.mark.slow
async def test_locked_turn_keeps_no_other_lease_from_being_renewed() -> None:
    """With another process's transaction that hangs, a process would lose all its turns."""
    url = postgresql_url()
    async with open_store(url) as store, open_store(url) as other:
        await accept(store, "u1", conversation="a")
        await accept(store, "u2", conversation="b")
        locked, free = await claim(store)
        async with endless_transactions(url) as endless:

            def lock(connection: Connection) -> None:
                connection.execute(select(schema.turns.c.id).where(schema.turns.c.id == locked.id).with_for_update())
                endless(connection)

            locking = asyncio.create_task(other.write(lock))
            await wait_until(lambda: store.read(is_locked, locked.id))
            beat = await store.write_leases(claims.heartbeat, "me", [locked.id, free.id], lease_seconds=30)
        await locking
        assert beat == Heartbeat({free.id: False}, lost=set())
        beat = await store.write_leases(claims.heartbeat, "me", [locked.id, free.id], lease_seconds=30)
        assert beat == Heartbeat({locked.id: False, free.id: False}, lost=set())


def is_locked(connection: Connection, turn_id: int) -> bool:
    row = select(schema.turns.c.id).where(schema.turns.c.id == turn_id).with_for_update(skip_locked=True)
    return connection.scalar(row) is None


async def test_stop_drops_queued_turns(store: Store) -> None:
    for key in ("u1", "u2", "u3"):
        await accept(store, key)
    (running,) = await claim(store)
    cancelled = await store.write(claims.cancel_turns, running.conversation_id, FUTURE_TURN)
    assert cancelled == CancelResult([running.id], 2)
    await store.write(turns.finish_turn, running, TurnState.STOPPED)
    assert await claim(store) == []


@pytest.mark.parametrize("is_claimed", [True, False])
async def test_stop_of_one_answer_spares_its_companion(store: Store, is_claimed: bool) -> None:
    """Another model answers the same question."""
    await accept(store, "u1")
    await store.write(partial(accept_event, incoming=message_event("u1#2"), is_companion=True))
    await accept(store, "waits")
    first, *others = await claim(store)
    (second,) = others
    if not is_claimed:
        await store.write(turns.restart_turn, second.id, second.incoming)
    stop = partial(claims.cancel_turns, conversation_id=first.conversation_id, before_turn=FUTURE_TURN)
    cancelled = await store.write(stop, target=first.id)
    assert (cancelled.running, cancelled.dropped) == ([first.id], 1)
    expected = [second.id] if is_claimed else []
    assert sorted((await store.write(stop)).running) == [first.id, *expected]


async def test_stop_is_confirmed_from_the_first_request_on(store: Store) -> None:
    """Also while the answer ends and is delivered, and only if the answer was not complete before."""
    await accept(store, "question")
    (question,) = await claim(store)
    assert not await store.read(claims.was_just_stopped, question.conversation_id, FUTURE_TURN)
    stored = partial(answers.store_answer, prompt="long", answer="Once", note="Stopped.", model="m")
    await store.write(partial(stored, final_state=TurnState.STOPPED), question)
    assert await store.read(claims.was_just_stopped, question.conversation_id, FUTURE_TURN), "it is delivered"
    await store.write(turns.finish_turn, question, TurnState.STOPPED)
    assert await store.read(claims.was_just_stopped, question.conversation_id, FUTURE_TURN)
    assert not await store.read(claims.was_just_stopped, question.conversation_id, question.id), "only earlier ones"
    await accept(store, "next")
    (following,) = await claim(store)
    await store.write(turns.finish_turn, following, TurnState.DONE)
    assert not await store.read(claims.was_just_stopped, question.conversation_id, FUTURE_TURN)


async def test_late_stop_spares_newer_turns(store: Store) -> None:
    await accept(store, "question")
    (old,) = await claim(store)
    await accept(store, "stop", ordered=False)
    (stop,) = await claim(store)
    await store.write(turns.finish_turn, old, TurnState.DONE)
    for key in ("newer", "queued"):
        await accept(store, key)
    (newer,) = await claim(store)
    assert await store.write(claims.cancel_turns, stop.conversation_id, stop.id) == CancelResult([], 0)
    beat = await store.write(claims.heartbeat, "me", [newer.id], lease_seconds=30)
    assert beat == Heartbeat({newer.id: False}, lost=set())
    await store.write(turns.finish_turn, newer, TurnState.DONE)
    assert await claimed_keys(store) == ["queued"]


async def test_a_released_turn_is_free_at_once(store: Store) -> None:
    await accept(store, "u1")
    (turn,) = await claim(store)
    await store.write(claims.release_turns, "me", [turn.id])
    assert [again.id for again in await claim(store, "other")] == [turn.id]


async def test_handover_does_not_count_as_attempt(store: Store) -> None:
    await accept(store, "u1")
    for process in range(20):
        (turn,) = await claim(store, f"p{process}")
        assert (turn.attempt, turn.failed_attempts) == (process + 1, 0)
        await store.write(claims.release_turns, f"p{process}", [turn.id])


async def test_restart_does_not_count_as_failed_attempt(store: Store) -> None:
    """A question that is edited again and again while its answer is written is asked each time, and never given up."""
    await accept(store, "u1")
    (turn,) = await claim(store)
    for number in range(2, 20):
        former = turn
        assert await store.write(turns.restart_turn, turn.id, turn.incoming)
        (turn,) = await claim(store)
        assert (turn.attempt, turn.failed_attempts) == (number, 0)
        with pytest.raises(LostLeaseError):
            await store.write(turns.finish_turn, former, TurnState.DONE)
    await store.write(turns.finish_turn, turn, TurnState.DONE)


async def test_death_of_process_counts_as_failed_attempt(store: Store) -> None:
    await accept(store, "u1")
    (turn,) = await claim(store, "p0", lease_seconds=-1)
    assert turn.failed_attempts == 0
    for failures in (1, 2):
        (turn,) = await claim(store, f"p{failures}", lease_seconds=-1)
        assert turn.failed_attempts == failures
    await store.write(turns.restart_turn, turn.id, turn.incoming)
    (turn,) = await claim(store, lease_seconds=-1)
    assert turn.failed_attempts == 2, "an edit does not forget the processes that died"


async def test_suspect_turns_are_claimed_one_at_a_time(store: Store) -> None:
    for key in ("u1", "u2", "u3"):
        await accept(store, key, conversation=key)
    for _ in range(SUSPECT_ATTEMPTS):
        assert len(await claim(store, lease_seconds=-1)) == 3
    assert await claim(store) == []
    claim_suspect = partial(
        claims.claim_turns,
        owner="me",
        accounts=[ACCOUNT],
        lease_seconds=30,
        limit=1,
        claim_filter=ClaimFilter.SUSPECT,
    )
    suspects = [await store.write(claim_suspect) for _ in range(4)]
    assert [[turn.incoming.key for turn in claimed] for claimed in suspects] == [["u1"], ["u2"], ["u3"], []]


async def test_sole_process_frees_stale_leases(store: Store) -> None:
    await accept(store, "u1")
    (turn,) = await claim(store, "dead", lease_seconds=3600)
    assert await store.write(claims.expire_leases, [DISCORD]) == 0
    assert await claim(store) == []
    assert await store.write(claims.expire_leases, [ACCOUNT]) == 1
    assert [again.id for again in await claim(store)] == [turn.id]


def replace_event(connection: Connection, event_key: str, encoded: str) -> None:
    is_event = schema.turns.c.event_key == event_key
    connection.execute(update(schema.turns).where(is_event).values(incoming_json=encoded))


async def test_unreadable_event_blocks_nothing(store: Store) -> None:
    for key in ("u1", "u2"):
        await accept(store, key)
    await store.write(replace_event, "telegram:1:u1", "{")
    for _ in range(SUSPECT_ATTEMPTS):
        assert await claim(store, lease_seconds=-1) == []
    assert await claimed_keys(store) == ["u2"]


async def test_event_of_newer_version_is_left_unclaimed(store: Store) -> None:
    await accept(store, "u1")
    (turn,) = await claim(store, "newer", lease_seconds=-1)
    encoded = encode_incoming(turn.incoming)
    await store.write(replace_event, "telegram:1:u1", encoded.replace('"prompt"', '"telepathy"'))
    assert await claim(store, "older", lease_seconds=-1) == []
    await store.write(move_chat, ACCOUNT, "another", "chat")  # decodes it, too
    await store.write(replace_event, "telegram:1:u1", encoded)
    (again,) = await claim(store, "newer")
    assert again.incoming == turn.incoming
