"""Deletion of what nothing needs any more, on both databases."""

import math
from functools import partial

import numpy as np
import pytest
from sqlalchemy import Connection, Table, func, select, update

from core.memory.vector_search import VectorSearch
from core.port import Attachment, EventKind, Incoming
from core.store import claims, memories, retention
from core.store.answer_parts import PartState, SentPart, save_part
from core.store.answers import get_question, last_question, store_answer
from core.store.conversations import find_conversation
from core.store.database import Store
from core.store.inbound import AcceptResult
from core.store.memories import MemoryEntry, NewChunk, RecallMode, UnindexedMessage
from core.store.schema import (
    answer_parts,
    conversations,
    memory_chunks,
    memory_entries,
    messages,
    reasoning,
    summaries,
    turns,
)
from core.store.token_usage import add_daily_usage, get_daily_usage
from core.store.turns import Turn, TurnState, finish_turn, get_turn
from tests.core.store.turn_helpers import ANN, PLACE, accept, accept_event, answer, claim, history_texts

ALL = math.inf
"""Later than everything."""


async def converse(store: Store, *names: str, conversation: str = "ann") -> list[Turn]:
    """Questions, each with an answer, a part and reasoning."""
    finished = []
    for name in names:
        await accept(store, name, conversation=conversation)
        (turn,) = await claim(store)
        await store.write(save_part, turn, 0, SentPart(PartState.SENT, f"message of {name}", "digest"))
        answer_with_reasoning = partial(
            store_answer, prompt=f"q{name}", answer=f"a{name}", note="note", model="m", reasoning="hm"
        )
        await store.write(answer_with_reasoning, turn)
        await store.write(finish_turn, turn, TurnState.DONE)
        finished.append(turn)
    return finished


async def count(store: Store, *tables: Table) -> list[int]:
    def count_rows(connection: Connection) -> list[int]:
        return [connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables]

    return await store.read(count_rows)


async def stored_event(store: Store, turn: int) -> str:
    query = select(turns.c.incoming_json).where(turns.c.id == turn)
    return str(await store.read(lambda connection: connection.scalar(query)))


async def test_finished_turn_keeps_no_content(store: Store) -> None:
    attachments = (Attachment("file", "secret.txt", 3, "secret-file"),)
    event = Incoming(
        *(EventKind.PROMPT, "e1", PLACE, ANN, "secret question"),
        message_id="77",
        attachments=attachments,
        interaction_token="secret-token",
    )
    await store.write(accept_event, event)
    (turn,) = await claim(store)
    assert "secret question" in await stored_event(store, turn.id)
    await answer(store, turn, "secret question", "an answer")
    stored = await stored_event(store, turn.id)
    assert "secret" not in stored
    assert '"77"' in stored  # what the buttons need
    assert (await store.read(get_question, turn.id)).text == "secret question"  # type: ignore[union-attr]
    assert await accept(store, "e1") is AcceptResult.DUPLICATE


@pytest.mark.parametrize(
    ("note", "state", "kept"),
    [
        ("Stopped.", TurnState.STOPPED, ("Stopped.", "[]")),
        ("", TurnState.DONE, ("", None)),
        ("Answered by another model.", TurnState.FAILED, ("Answered by another model.", "[]")),
    ],
)
async def test_finished_turn_keeps_the_note_under_its_answer_and_then_its_buttons(
    store: Store, note: str, state: TurnState, kept: tuple[str, str | None]
) -> None:
    await accept(store, "e1")
    (turn,) = await claim(store)
    stored_answer = partial(store_answer, prompt="q", answer="a", note=note, model="m", buttons_json="[]")
    await store.write(stored_answer, turn)
    await store.write(finish_turn, turn, state)
    finished = await store.read(get_turn, turn.id)
    assert finished is not None
    assert (finished.note, finished.buttons_json) == kept


async def test_dropped_questions_keep_no_content(store: Store) -> None:
    await store.write(accept_event, Incoming(EventKind.PROMPT, "e1", PLACE, ANN, "secret question"))
    conversation = await store.read(find_conversation, "ann")
    assert conversation is not None
    result = await store.write(claims.cancel_turns, conversation, 99)
    assert result.dropped == 1
    assert "secret" not in await stored_event(store, 1)


async def test_deleted_turns_leave_the_conversation(store: Store) -> None:
    await converse(store, "1", "2", "3")
    assert await store.write(retention.delete_turns, ALL) == 2  # the newest stays
    assert await count(store, turns, answer_parts, reasoning) == [1, 1, 1]
    texts = ["q1", "a1", "q2", "a2", "q3", "a3"]
    assert await history_texts(store, 1) == texts
    assert await history_texts(store, 1, before_seq=4) == texts
    assert await history_texts(store, 1, before_seq=3) == texts[:4]
    assert (await store.read(last_question, 1)).text == "q3"  # type: ignore[union-attr]
    assert await accept(store, "3") is AcceptResult.DUPLICATE


async def test_turns_that_are_needed_stay(store: Store) -> None:
    await converse(store, "1", "2")
    await accept(store, "3")
    assert await store.write(retention.delete_turns, 0.0) == 0
    assert await store.write(retention.delete_turns, ALL) == 2
    assert [turn.incoming.key for turn in await claim(store)] == ["3"]


async def test_ids_are_not_used_again(store: Store) -> None:
    """SQLite gives the ID of the newest row, once deleted, to the next one."""
    newest_turn = (await converse(store, "1", "2"))[-1].id
    await store.write(retention.delete_turns, ALL)
    await store.write(retention.delete_messages, ALL)
    await converse(store, "3")
    assert await store.read(find_turn_ids) == [newest_turn, newest_turn + 1]
    assert await history_texts(store, 1) == ["a2", "q3", "a3"]


def find_turn_ids(connection: Connection) -> list[int]:
    return list(connection.scalars(select(turns.c.id).order_by(turns.c.id)))


async def test_replaced_answers_go_with_their_turn(store: Store) -> None:
    await accept(store, "1")
    (first,) = await claim(store)
    await answer(store, first, "q", "bad answer")
    await accept(store, "2")
    (second,) = await claim(store)
    await answer(store, second, "q", "good answer", replaces_last=True)
    await accept(store, "3")
    await store.write(retention.delete_turns, ALL)
    assert await history_texts(store, 1) == ["q", "good answer"]
    assert await count(store, messages) == [2]


async def test_reasoning_is_deleted_before_its_turn(store: Store) -> None:
    await converse(store, "1", "2")
    assert await store.write(retention.delete_reasoning, 0.0) == 0
    assert await store.write(retention.delete_reasoning, ALL) == 2
    assert await count(store, reasoning, turns) == [0, 2]


async def test_old_messages_and_their_vectors_are_deleted(store: Store) -> None:
    await converse(store, "1", "2")
    await store.write(memories.set_recall_mode, "ann", RecallMode.WITH_MESSAGES)
    unindexed = await store.read(memories.list_unindexed_messages, "ann", 10)
    await store.write(memories.index_messages, "ann", "m", unindexed, np.ones((2, 4), np.float32))
    await converse(store, "3", conversation="bob")
    assert await store.write(retention.delete_messages, ALL) == 5  # although their turns are stored: they are as old
    assert await count(store, messages, memory_chunks) == [1, 0]


async def test_messages_wait_for_their_turn(store: Store) -> None:
    await accept(store, "1")
    (turn,) = await claim(store)
    await store.write(partial(store_answer, prompt="q", answer="a", note="", model="m"), turn)  # not yet delivered
    assert await store.write(retention.delete_messages, ALL) == 0


async def test_text_of_a_recalled_message_is_stored_once(store: Store) -> None:
    (turn,) = await converse(store, "1")
    await store.write(memories.set_recall_mode, "ann", RecallMode.WITH_MESSAGES)
    question = UnindexedMessage(1, "q1")
    vector = np.array([[1.0, 0.0]], np.float32)
    await store.write(memories.index_messages, "ann", "m", [question], vector)
    await store.write(lambda connection: connection.execute(update(conversations).values(history_after=9)))
    (chunk,) = await VectorSearch(store).search("ann", vector[0], "m", limit_per_kind=1)
    assert chunk.text == "q1"
    assert await store.read(lambda connection: connection.scalar(select(memory_chunks.c.text))) == ""
    assert turn.id == 1


async def test_empty_conversations_are_deleted(store: Store) -> None:
    await accept(store, "1", conversation="bob", ordered=False)
    (command,) = await claim(store)
    await store.write(finish_turn, command, TurnState.DONE)
    await converse(store, "2")
    await accept(store, "3")
    await store.write(retention.delete_turns, ALL)
    assert await store.read(find_conversation, "bob") is None
    assert await store.read(find_conversation, "ann") is not None


async def test_old_notes_and_files_are_deleted(store: Store) -> None:
    def add(name: str) -> "partial[MemoryEntry | None]":
        return partial(
            memories.add_entry,
            conversation_key="ann",
            kind="note",
            name=name,
            digest=name,
            model="m",
            chunks=[NewChunk("", name)],
            vectors=np.ones((1, 4), np.float32),
        )

    await store.write(add("old"))
    await store.write(lambda connection: connection.execute(update(memory_entries).values(created_at=5)))
    await store.write(add("new"))
    assert await store.write(retention.delete_memories, 6.0) == 1
    assert [entry.name for entry in await store.read(memories.list_entries, "ann")] == ["new"]
    assert await count(store, memory_chunks) == [1]


async def test_old_usage_and_summaries_are_deleted(store: Store) -> None:
    for day in ("2026-01-31", "2026-02-01"):
        await store.write(add_daily_usage, ["ann", "bob"], day, 5, 1)
    assert await store.write(retention.delete_usage, "2026-02-01") == 2
    assert (await store.read(get_daily_usage, ["ann"], "2026-02-01"))["ann"].tokens == 5
    await converse(store, "1")
    values = {"conversation_id": 1, "up_to_message": 1, "text": "s", "model": "m", "created_at": 5.0}
    await store.write(lambda connection: connection.execute(summaries.insert().values(**values)))
    assert await store.write(retention.delete_summaries, 5.0) == 0
    assert await store.write(retention.delete_summaries, 6.0) == 1


async def test_batches_are_bounded(store: Store) -> None:
    def insert_turns(connection: Connection) -> None:
        columns = {"state": "done", "incoming_json": "{}", "person_key": "p", "created_at": 1.0, "finished_at": 1.0}
        rows = [{**columns, "event_key": f"telegram:1:{n}"} for n in range(retention.BATCH_SIZE + 2)]
        connection.execute(turns.insert(), rows)

    await store.write(insert_turns)
    assert await store.write(retention.delete_turns, ALL) == retention.BATCH_SIZE
    assert await store.write(retention.delete_turns, ALL) == 1
    assert await store.write(retention.delete_turns, ALL) == 0
