"""A question that continues from an earlier answer gets the path to it, on both databases."""

import asyncio
from functools import partial

import pytest
from sqlalchemy import Connection, insert, select, update

from core.store import answers, conversations, history, transcripts
from core.store.answer_parts import PartState, SentPart, save_part
from core.store.database import Store
from core.store.erasure import erase_person
from core.store.history import ConversationSummary
from core.store.people import Person
from core.store.schema import answer_parts, messages
from core.store.schema import conversations as conversations_table
from core.store.turns import Turn, TurnState, finish_turn
from tests.core.store.test_chat_migration import has_blocked_query, two_processes
from tests.core.store.turn_helpers import accept, claim
from tests.waiting import wait_until

ANN, BOB = "telegram:5", "telegram:6"
ONE, TWO = ["one?", "one."], ["two?", "two."]


async def ask(
    store: Store, name: str, parent_turn: int | None = None, *, answer: str = ".", replaces_last: bool = False
) -> Turn:
    """Ask `name?` and answer it `name.`, in a message called `name`."""
    await accept(store, name + answer)
    (turn,) = await claim(store)
    await store.write(save_part, turn, 0, SentPart(PartState.SENT, name, "digest"))
    await store.write(
        partial(
            answers.store_answer,
            prompt=f"{name}?",
            answer=answer and name + answer,
            note="",
            model="m",
            parent_turn=parent_turn,
            replaces_last=replaces_last,
        ),
        turn,
    )
    await store.write(finish_turn, turn, TurnState.DONE)
    return turn


async def path_texts(store: Store, turn: Turn, parent_turn: int | None = None) -> list[str]:
    load = partial(history.load_history, parent_turn=parent_turn)
    return [message.text for message in (await store.read(load, turn.conversation_id, None, 50)).messages]


async def test_path_leaves_out_what_came_after_the_parent(store: Store) -> None:
    first, second = await ask(store, "one"), await ask(store, "two")
    assert await path_texts(store, second, first.id) == ONE
    third = await ask(store, "three", first.id)
    assert await path_texts(store, third) == [*ONE, "three?", "three."]
    fourth = await ask(store, "four")
    assert await path_texts(store, fourth) == [*ONE, "three?", "three.", "four?", "four."]
    assert await path_texts(store, fourth, second.id) == [*ONE, *TWO], "the other branch is still there"
    exported = await store.read(transcripts.load_transcript, fourth.conversation_id)
    assert [message.text for message in exported] == [*ONE, "three?", "three.", "four?", "four."]
    assert {message.model for message in exported if message.role == "assistant"} == {"m"}


async def test_path_spans_pages(store: Store) -> None:
    first = await ask(store, "one")
    row = {"conversation_id": first.conversation_id, "turn_id": -1, "role": "user", "text": "between", "created_at": 0}
    await store.write(lambda connection: connection.execute(insert(messages), [row] * (2 * history.PAGE_SIZE)))
    last = await ask(store, "last", first.id)
    assert await path_texts(store, last) == [*ONE, "last?", "last."]


async def test_question_without_answer_leads_nowhere(store: Store) -> None:
    first, _ = await ask(store, "one"), await ask(store, "two")
    failed = await ask(store, "failed", first.id, answer="")
    assert await path_texts(store, failed) == [*ONE, *TWO, "failed?"]
    question = await store.read(answers.last_question, failed.conversation_id)
    assert question is not None
    assert question.parent_turn == first.id, "a Retry continues from the same answer"


async def test_path_follows_the_variant_that_is_shown(store: Store) -> None:
    first = await ask(store, "one")
    again = await ask(store, "one", answer="!", replaces_last=True)
    await ask(store, "two")
    last = await ask(store, "last", first.id)
    assert await path_texts(store, last) == ["one?", "one!", "last?", "last."]
    question = await store.read(answers.get_question, first.id)
    assert question is not None
    await store.write(answers.show_variant, again.conversation_id, question)
    assert await path_texts(store, last) == [*ONE, "last?", "last."]


@pytest.mark.slow
async def test_choice_of_a_variant_waits_for_an_answer_that_is_being_stored() -> None:
    """Otherwise both would be in the history."""

    def lock_conversation(connection: Connection) -> None:
        connection.execute(select(conversations_table.c.id).with_for_update())

    async with two_processes() as (store, other):
        first = await ask(store, "one")
        await ask(store, "one", answer="!", replaces_last=True)
        question = await store.read(answers.get_question, first.id)
        assert question is not None
        async with other.begin() as connection:
            await connection.run_sync(lock_conversation)
            choice = asyncio.create_task(store.write(answers.show_variant, first.conversation_id, question))
            await wait_until(lambda: store.read(has_blocked_query))
        await choice


async def test_reply_to_newest_answer_is_no_branch(store: Store) -> None:
    first = await ask(store, "one")
    second = await ask(store, "two")
    conversation_id = second.conversation_id
    assert await store.read(answers.find_answer, conversation_id, "one") == first.id
    assert await store.read(answers.find_answer, conversation_id, "another") is None
    assert await store.read(answers.find_answer, conversation_id + 1, "one") is None
    assert await store.read(answers.find_parent, conversation_id, ANN, first.id) == first.id
    assert await store.read(answers.find_parent, conversation_id, ANN, second.id) is None
    assert await store.read(answers.find_parent, conversation_id, ANN, None) is None


async def test_chosen_parent_holds_for_one_question(store: Store) -> None:
    first, second = await ask(store, "one"), await ask(store, "two")
    conversation_id = second.conversation_id
    await store.write(answers.set_next_parent, conversation_id, ANN, first.id)
    assert await store.read(answers.find_parent, conversation_id, ANN, None) == first.id
    assert await store.read(answers.find_parent, conversation_id, ANN, second.id) == second.id, "a reply says it again"
    await ask(store, "failed", first.id, answer="")
    assert await store.read(answers.find_parent, conversation_id, ANN, None) == first.id, "it was not answered"
    await ask(store, "three", first.id)
    assert await store.read(answers.find_parent, conversation_id, ANN, None) is None


async def test_reply_leaves_the_chosen_parent_to_the_next_question(store: Store) -> None:
    first, second, third = await ask(store, "one"), await ask(store, "two"), await ask(store, "three")
    await store.write(answers.set_next_parent, third.conversation_id, ANN, first.id)
    await ask(store, "reply", second.id)
    assert await store.read(answers.find_parent, third.conversation_id, ANN, None) == first.id


async def test_chosen_parent_is_for_the_person_who_chose_it(store: Store) -> None:
    first, second = await ask(store, "one"), await ask(store, "two")
    conversation_id = second.conversation_id
    await store.write(answers.set_next_parent, conversation_id, BOB, first.id)
    assert await store.read(answers.find_parent, conversation_id, ANN, None) is None
    await ask(store, "reply", first.id)
    assert await store.read(answers.find_parent, conversation_id, BOB, None) == first.id, "Ann replied to the answer"
    await store.write(answers.set_next_parent, conversation_id, ANN, second.id)
    assert await store.read(answers.find_parent, conversation_id, ANN, None) == second.id, "the last choice holds"
    assert await store.read(answers.find_parent, conversation_id, BOB, None) is None


def set_anonymous_parent(connection: Connection, parent_turn: int) -> None:
    connection.execute(update(conversations_table).values(next_parent=parent_turn))


async def test_parent_that_an_earlier_version_stored_is_for_anybody(store: Store) -> None:
    first, second = await ask(store, "one"), await ask(store, "two")
    await store.write(set_anonymous_parent, first.id)
    assert await store.read(answers.find_parent, second.conversation_id, BOB, None) == first.id


async def test_parent_of_an_erased_person_is_erased(store: Store) -> None:
    first, second = await ask(store, "one"), await ask(store, "two")
    await store.write(answers.set_next_parent, second.conversation_id, BOB, first.id)
    await store.write(erase_person, Person("telegram", "6"))
    rows = await store.read(lambda connection: connection.execute(select(conversations_table)).mappings().all())
    assert [(row["next_parent"], row["next_parent_by"]) for row in rows] == [(None, None)]


async def test_new_conversation_has_no_parent(store: Store) -> None:
    first, second = await ask(store, "one"), await ask(store, "two")
    await store.write(answers.set_next_parent, second.conversation_id, ANN, first.id)
    await store.write(conversations.reset_history, second.conversation_id, second.id + 1)
    assert await store.read(answers.find_parent, second.conversation_id, ANN, None) is None
    assert await store.read(answers.find_answer, second.conversation_id, "one") is None


async def test_path_ends_where_the_parent_was_deleted(store: Store) -> None:
    last = await ask(store, "one")
    branch = await ask(store, "two", last.id + 1000)
    assert await path_texts(store, branch) == TWO


@pytest.mark.parametrize("is_branch_stored", [False, True])
async def test_summary_of_another_branch_is_not_used(store: Store, is_branch_stored: bool) -> None:
    first, second, third = await ask(store, "one"), await ask(store, "two"), await ask(store, "three")
    conversation_id, summary = first.conversation_id, ConversationSummary(4, "Of one and two.")
    await store.write(history.save_summary, conversation_id, summary, "m", 0)
    load = partial(history.load_history, parent_turn=third.id)
    assert (await store.read(load, conversation_id, None, 50)).summary == summary
    load = partial(history.load_history, parent_turn=second.id)
    assert (await store.read(load, conversation_id, None, 50)).summary == summary
    parent_turn: int | None = first.id
    if is_branch_stored:
        await ask(store, "branch", first.id)
        parent_turn = None
    load = partial(history.load_history, parent_turn=parent_turn)
    assert (await store.read(load, conversation_id, None, 50)).summary == ConversationSummary()


async def load_summary(store: Store, conversation_id: int, limit: int = 50) -> ConversationSummary:
    return (await store.read(history.load_history, conversation_id, None, limit)).summary


async def test_summary_of_a_branch_replaces_that_of_another(store: Store) -> None:
    first = await ask(store, "one")
    await ask(store, "two")
    conversation_id = first.conversation_id
    await store.write(history.save_summary, conversation_id, ConversationSummary(4, "Of one and two."), "m", 0)
    await ask(store, "failed", first.id, answer="")
    assert (await load_summary(store, conversation_id)).text, "a question without an answer leads nowhere"
    await ask(store, "branch", first.id)
    await ask(store, "last")
    assert await load_summary(store, conversation_id, 2) == ConversationSummary(), "the branch is not loaded"
    summary = ConversationSummary(2, "Of one.")
    assert await store.write(history.save_summary, conversation_id, summary, "m", 0)
    assert await load_summary(store, conversation_id) == summary


async def test_return_to_another_branch_deletes_the_summary(store: Store) -> None:
    first = await ask(store, "one")
    second, third = await ask(store, "two"), await ask(store, "three", first.id)
    fourth = await ask(store, "four", second.id)
    summary = ConversationSummary(4, "Of one and two.")
    assert await store.write(history.save_summary, fourth.conversation_id, summary, "m", 0)
    await ask(store, "five", fourth.id)
    assert await load_summary(store, fourth.conversation_id) == summary, "it is on the path"
    await ask(store, "six", third.id)
    await ask(store, "seven")
    assert await load_summary(store, fourth.conversation_id, 2) == ConversationSummary()


async def test_summary_from_before_a_branch_is_not_stored(store: Store) -> None:
    """The summariser began with the messages of the path that another question has left meanwhile."""
    first, _ = await ask(store, "one"), await ask(store, "two")
    await ask(store, "branch", first.id)
    summary = ConversationSummary(4, "Of one and two.")
    assert not await store.write(history.save_summary, first.conversation_id, summary, "m", 0)


async def test_question_from_before_a_new_conversation_has_no_parent_again(store: Store) -> None:
    first, _ = await ask(store, "one"), await ask(store, "two")
    branch = await ask(store, "branch", first.id)
    question = await store.read(answers.get_question, branch.id)
    assert question is not None
    assert await store.read(answers.find_parent_again, branch.conversation_id, question) == first.id
    await store.write(conversations.reset_history, branch.conversation_id, branch.id + 1)
    assert await store.read(answers.find_parent_again, branch.conversation_id, question) is None


async def test_messages_between_are_those_of_the_path(store: Store) -> None:
    first = await ask(store, "one")
    await ask(store, "two")
    branch = await ask(store, "three", first.id)
    last = await ask(store, "four")
    between = await store.read(history.load_messages_between, branch.conversation_id, 0, 7, 50)
    assert [message.text for message in between] == [*ONE, "three?", "three."]
    (question, *_) = (await store.read(history.load_history, last.conversation_id, None, 4)).messages
    assert (question.text, question.follows_before) == ("three?", 3), "where the summariser continues"


async def test_merged_messages_belong_to_no_answer(store: Store) -> None:
    turn = await ask(store, "one")

    def forget(connection: Connection) -> None:
        connection.execute(update(answer_parts).values(message_id=None))

    await store.write(forget)
    assert await store.read(answers.find_answer, turn.conversation_id, "one") is None
