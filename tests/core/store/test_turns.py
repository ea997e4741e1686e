"""The rules that turns keep, on both databases."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, update

from core.port import Attachment, Incoming, Kind, Place, Sender
from core.store import accepting, conversations, moves, schema, summaries, turns
from core.store.accepting import Accepted, Bounds
from core.store.database import Store
from core.store.events import pack
from core.store.turns import LostLeaseError, Sent, State, Turn

PLACE = Place("telegram", "1", "5", private=True)
LAST = 2**31
BOUNDS = Bounds(waiting=5)
ANN = Sender("telegram", "5", "Ann")


def said(key: str, text: str = "hello") -> Incoming:
    return Incoming(Kind.PROMPT, key, PLACE, ANN, text)


async def accept(
    store: Store, key: str, *, to: str = "ann", ordered: bool = True, bounds: Bounds = BOUNDS
) -> Accepted:
    return await store.write(
        accepting.accept, said(key), key=to, person="telegram:5", ordered=ordered, bounds=bounds
    )


async def claim(store: Store, owner: str = "me", lease: float = 30) -> list[Turn]:
    return await store.write(turns.claim, owner, [("telegram", "1")], lease=lease, most=50)


async def shown(
    store: Store, conversation: int, before: int | None = None
) -> list[tuple[str, str]]:
    """(role, text) of what a model is shown."""
    past = await store.read(summaries.past, conversation, before, 50)
    return [(role, text) for _, role, text in past.messages]


async def test_a_redelivered_event_opens_no_second_turn(store: Store) -> None:
    assert await accept(store, "u1") is Accepted.NEW
    assert await accept(store, "u1") is Accepted.KNOWN
    assert len(await claim(store)) == 1


async def test_the_same_event_arriving_twice_at_once_opens_one_turn(store: Store) -> None:
    results = await asyncio.gather(*(accept(store, "u1") for _ in range(8)))
    assert results.count(Accepted.NEW) == 1


async def test_a_conversation_runs_one_turn_at_a_time_in_order(store: Store) -> None:
    for key in ("u1", "u2"):
        await accept(store, key)
    await accept(store, "u3", to="bob")
    first = await claim(store)
    assert [turn.incoming.key for turn in first] == ["u1", "u3"]
    assert await claim(store, "other") == []
    await store.write(turns.finish, first[0], "me", State.DONE)
    assert [turn.incoming.key for turn in await claim(store)] == ["u2"]


async def test_commands_overtake(store: Store) -> None:
    await accept(store, "u1")
    await claim(store)
    await accept(store, "u2", ordered=False)
    assert [turn.incoming.key for turn in await claim(store)] == ["u2"]


async def test_a_turn_is_claimed_once_by_many_claimers(store: Store) -> None:
    for number in range(20):
        await accept(store, f"u{number}", to=f"conversation {number}")
    claims = await asyncio.gather(*(claim(store, f"owner {n}") for n in range(6)))
    ids = [turn.id for claimed in claims for turn in claimed]
    assert len(ids) == len(set(ids)) == 20


async def test_a_process_claims_only_what_it_can_answer_on(store: Store) -> None:
    await accept(store, "u1")
    others = [("discord", "1"), ("telegram", "11")]
    assert await store.write(turns.claim, "other", others, lease=30, most=50) == []
    assert await store.write(turns.claim, "none", [], lease=30, most=50) == []
    assert len(await claim(store)) == 1


async def test_a_lapsed_lease_is_taken_over_and_its_first_holder_is_fenced_off(
    store: Store,
) -> None:
    await accept(store, "u1")
    (old,) = await claim(store, "frozen", lease=-1)
    (new,) = await claim(store, "heir")
    assert new.id == old.id
    assert new.attempt == 2
    with pytest.raises(LostLeaseError):
        await store.write(turns.finish, old, "frozen", State.DONE)
    with pytest.raises(LostLeaseError):
        await store.write(turns.mark_part, old, "frozen", 0, Sent("sent", "1", "x"))
    assert await store.read(turns.sent_parts, old.id) == {}
    await store.write(turns.finish, new, "heir", State.DONE)


async def test_the_heartbeat_renews_only_what_is_named_and_brings_the_stop(store: Store) -> None:
    await accept(store, "u1", to="a")
    await accept(store, "u2", to="b")
    one, two = await claim(store, lease=-1)
    assert await store.write(turns.heartbeat, "me", [one.id], lease=30) == {one.id: False}
    assert [turn.id for turn in await claim(store, "other")] == [two.id]
    running, _ = await store.write(turns.cancel, one.conversation, LAST)
    assert running == [one.id]
    assert await store.write(turns.heartbeat, "me", [one.id], lease=30) == {one.id: True}


async def test_stop_drops_what_waits(store: Store) -> None:
    for key in ("u1", "u2", "u3"):
        await accept(store, key)
    (running,) = await claim(store)
    assert await store.write(turns.cancel, running.conversation, LAST) == ([running.id], 2)
    await store.write(turns.finish, running, "me", State.STOPPED)
    assert await claim(store) == []


async def test_a_stop_carried_out_late_leaves_what_was_asked_since(store: Store) -> None:
    await accept(store, "question")
    (old,) = await claim(store)
    await accept(store, "stop", ordered=False)
    (stop,) = await claim(store)
    await store.write(turns.finish, old, "me", State.DONE)
    for key in ("asked since", "waits since"):
        await accept(store, key)
    (new,) = await claim(store)
    assert await store.write(turns.cancel, stop.conversation, stop.id) == ([], 0)
    assert await store.write(turns.heartbeat, "me", [new.id], lease=30) == {new.id: False}
    await store.write(turns.finish, new, "me", State.DONE)
    assert [turn.incoming.key for turn in await claim(store)] == ["waits since"]


async def test_too_many_waiting_are_kept_to_be_refused(store: Store) -> None:
    results = [await accept(store, f"u{number}") for number in range(8)]
    assert results == [Accepted.NEW] * 6 + [Accepted.FULL] * 2
    refused = [turn for turn in await claim(store) if turn.note == Accepted.FULL]
    assert [turn.incoming.key for turn in refused] == ["u6", "u7"]


async def test_history_holds_earlier_turns_only_and_what_counts(store: Store) -> None:
    await accept(store, "u1")
    (first,) = await claim(store)
    for key in ("u2", "u3"):
        await accept(store, key)

    async def answer(turn: Turn, question: str, text: str, *, replace: bool = False) -> None:
        await store.write(
            turns.reply, turn, "me", prompt=question, text=text, note="", model="m",
            usage=(3, 4), replace=replace,
        )  # fmt: skip
        await store.write(turns.finish, turn, "me", State.DONE)

    await answer(first, "one?", "one.")
    (second,) = await claim(store)
    assert await shown(store, second.conversation, second.seq) == [
        ("user", "one?"),
        ("assistant", "one."),
    ]
    await answer(second, "one?", "another.", replace=True)
    (third,) = await claim(store)
    assert await shown(store, third.conversation, third.seq) == [
        ("user", "one?"),
        ("assistant", "another."),
    ]
    await answer(third, "three?", "three.")
    await store.write(conversations.begin_anew, third.conversation, third.id)
    assert await shown(store, third.conversation, None) == [
        ("user", "three?"),
        ("assistant", "three."),
    ], "asked after /new"
    await store.write(conversations.begin_anew, third.conversation, LAST)
    await store.write(conversations.begin_anew, third.conversation, third.id)
    assert await shown(store, third.conversation, None) == []
    assert await store.read(turns.usage_today, "telegram:5", 0) == [("m", 21, 3)]


async def test_a_released_turn_is_free_at_once(store: Store) -> None:
    await accept(store, "u1")
    (turn,) = await claim(store)
    await store.write(turns.release, "me", [turn.id])
    assert [taken.id for taken in await claim(store, "other")] == [turn.id]


async def test_a_person_has_so_many_open_in_all_chats_and_others_are_not_touched(
    store: Store,
) -> None:
    bounds = Bounds(waiting=5, open=3)
    results = [await accept(store, f"u{n}", to=f"chat {n}", bounds=bounds) for n in range(5)]
    assert results == [Accepted.NEW] * 3 + [Accepted.FULL] * 2
    other = await store.write(
        accepting.accept, said("v"), key="bob", person="telegram:6", ordered=True, bounds=bounds
    )
    assert other is Accepted.NEW


async def test_who_writes_too_fast_is_told_once_a_minute(store: Store) -> None:
    bounds = Bounds(a_minute=3)
    results = [await accept(store, f"u{n}", bounds=bounds) for n in range(6)]
    assert results == [Accepted.NEW] * 3 + [Accepted.FAST] + [Accepted.IGNORED] * 2
    claimed = [turn for turn in await claim(store) if turn.note == Accepted.FAST]
    assert [turn.incoming.key for turn in claimed] == ["u3"]


async def test_who_was_there_at_every_death_is_tried_one_at_a_time(store: Store) -> None:
    for key in ("u1", "u2", "u3"):
        await accept(store, key, to=key)
    for _ in range(turns.DOUBTED):
        assert len(await claim(store, lease=-1)) == 3
    assert await claim(store) == []
    doubted = [
        await store.write(
            turns.claim, "me", [("telegram", "1")], lease=30, most=1, among=turns.Among.DOUBTED
        )
        for _ in range(4)
    ]
    assert [[turn.incoming.key for turn in taken] for taken in doubted] == [
        ["u1"],
        ["u2"],
        ["u3"],
        [],
    ]


async def test_the_only_process_frees_what_a_dead_one_held(store: Store) -> None:
    await accept(store, "u1")
    (turn,) = await claim(store, "dead", lease=3600)
    assert await store.write(turns.free, [("discord", "1")]) == 0
    assert await claim(store) == []
    assert await store.write(turns.free, [("telegram", "1")]) == 1
    assert [taken.id for taken in await claim(store)] == [turn.id]


async def batched(store: Store, key: str, text: str, batch: str | None, **more: Any) -> Accepted:
    incoming = replace(said(key, text), batch=batch, **more)
    return await store.write(
        accepting.accept, incoming, key="ann", person="telegram:5", ordered=True, bounds=BOUNDS
    )


async def claimed(store: Store) -> list[Turn]:
    """The next turns, as soon as there are any."""
    async with asyncio.timeout(5):
        while not (found := await claim(store)):
            await asyncio.sleep(0.02)
    return found


@pytest.fixture
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "REST_IN", 0.4)


@pytest.mark.usefixtures("brisk")
async def test_a_text_in_several_messages_is_one_question(store: Store) -> None:
    assert await batched(store, "u1", "begins", "") is Accepted.NEW
    assert await claim(store) == [], "the rest may follow"
    assert await batched(store, "u2", "goes on", "") is Accepted.JOINED
    assert await batched(store, "u3", "ends", None) is Accepted.JOINED
    assert await batched(store, "u2", "goes on", "") is Accepted.KNOWN
    (turn,) = await claimed(store)
    assert turn.incoming.text == "begins\ngoes on\nends"
    assert turn.incoming.key == "u1"
    assert await batched(store, "u4", "another", None) is Accepted.NEW, "it is being answered"
    await store.write(turns.finish, turn, "me", State.DONE)
    assert [one.incoming.text for one in await claimed(store)] == ["another"]


@pytest.mark.usefixtures("brisk")
async def test_parts_that_overtake_each_other_are_put_in_order(store: Store) -> None:
    for message, text, batch in (
        ("99", "one\nof many", ""), ("102", "four", None), ("100", "two", ""), ("101", "three", ""),
    ):  # fmt: skip
        await batched(store, f"u{message}", text, batch, message=message)
    (turn,) = await claimed(store)
    assert turn.incoming.text == "one\nof many\ntwo\nthree\nfour"


@pytest.mark.usefixtures("brisk")
async def test_an_album_is_one_question_and_what_follows_is_another(store: Store) -> None:
    files = [Attachment("file", f"{name}.pdf") for name in "abc"]
    await batched(store, "u1", "compare these", "album", attachments=(files[0],))
    for number, file in enumerate(files[1:], 2):
        joined = await batched(store, f"u{number}", "", "album", attachments=(file,))
        assert joined is Accepted.JOINED
    assert await batched(store, "u9", "and now?", None) is Accepted.NEW
    (turn,) = await claimed(store)
    assert (turn.incoming.text, turn.incoming.attachments) == ("compare these", tuple(files))
    await store.write(turns.finish, turn, "me", State.DONE)
    assert [one.incoming.text for one in await claimed(store)] == ["and now?"]


async def test_a_part_delivered_again_at_once_is_joined_once(store: Store) -> None:
    await batched(store, "u1", "begins", "", message="1")
    again = await asyncio.gather(*(batched(store, "u2", "ends", "", message="2") for _ in range(6)))
    assert sorted(again) == [Accepted.JOINED] + [Accepted.KNOWN] * 5
    (turn,) = await claimed(store)
    assert turn.incoming.text == "begins\nends"


async def test_a_batch_is_bounded_and_ends_with_a_stop(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accepting, "LONGEST_TEXT", 10)
    monkeypatch.setattr(accepting, "REST_IN", 30.0)
    assert await batched(store, "u1", "1234567", "") is Accepted.NEW
    assert await batched(store, "u2", "1234567", "") is Accepted.NEW
    conversation = await store.read(conversations.find, "ann")
    assert conversation is not None
    assert await store.write(turns.cancel, conversation, LAST) == ([], 2)


@pytest.mark.usefixtures("brisk")
async def test_nobody_joins_what_another_person_began(store: Store) -> None:
    await batched(store, "u1", "Ann's", "")
    bobs = replace(said("u2", "Bob's"), sender=Sender("telegram", "6", "Bob"))
    accepted = await store.write(
        accepting.accept, bobs, key="ann", person="telegram:6", ordered=True, bounds=BOUNDS
    )
    assert accepted is Accepted.NEW


async def test_a_retry_that_fails_leaves_the_answer_that_stands(store: Store) -> None:
    for key in ("u1", "u2"):
        await accept(store, key)
    (first,) = await claim(store)
    kept = {"note": "", "model": "m", "usage": (1, 1)}
    await store.write(turns.reply, first, "me", prompt="one?", text="one.", **kept)  # type: ignore[arg-type]
    await store.write(turns.finish, first, "me", State.DONE)
    (second,) = await claim(store)
    await store.write(
        turns.reply,
        second,
        "me",
        prompt="one?",
        text="",
        replace=True,
        **kept,  # type: ignore[arg-type]
    )
    assert await shown(store, first.conversation, None) == [("user", "one?"), ("assistant", "one.")]


async def test_an_answer_kept_twice_is_kept_once(store: Store) -> None:
    """The database did so, and its word was lost on the way."""
    await accept(store, "u1")
    (turn,) = await claim(store)
    for new in (True, False):
        kept = await store.write(
            turns.reply, turn, "me", prompt="hello", text="yes", note="", model="m", usage=(1, 1)
        )
        assert kept is new
    assert await shown(store, turn.conversation) == [("user", "hello"), ("assistant", "yes")]


async def test_an_event_that_cannot_be_read_stands_in_nobodys_way(store: Store) -> None:
    for key in ("u1", "u2"):
        await accept(store, key)
    await store.write(written, "telegram:1:u1", "{")
    for _ in range(turns.DOUBTED):
        assert await claim(store, lease=-1) == []
    assert [turn.incoming.key for turn in await claim(store)] == ["u2"]


async def test_an_event_of_a_newer_version_is_left_to_who_can_read_it(store: Store) -> None:
    await accept(store, "u1")
    (turn,) = await claim(store, "newer", lease=-1)
    event = pack(turn.incoming)
    await store.write(written, "telegram:1:u1", event.replace('"prompt"', '"telepathy"'))
    assert await claim(store, "older", lease=-1) == []
    await store.write(moves.move_chat, "telegram", "1", "another", "place")  # reads it, too
    await store.write(written, "telegram:1:u1", event)
    (again,) = await claim(store, "newer")
    assert again.incoming == turn.incoming


def written(connection: Connection, key: str, event: str) -> None:
    connection.execute(update(schema.turns).where(schema.turns.c.key == key).values(incoming=event))


async def test_handing_over_again_and_again_is_no_failed_attempt(store: Store) -> None:
    await accept(store, "u1")
    for process in range(20):
        (turn,) = await claim(store, f"p{process}")
        assert turn.attempt == min(process + 1, 2)
        await store.write(turns.release, f"p{process}", [turn.id])


async def test_what_was_written_with_an_event_can_be_forgotten(store: Store) -> None:
    await accept(store, "u1")
    (turn,) = await claim(store)
    await store.write(turns.wipe, turn, "me")
    found = await store.read(turns.turn_of, turn.id)
    assert found is not None
    assert found[1] == replace(turn.incoming, text="")
