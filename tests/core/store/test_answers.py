"""What the history of a conversation contains after answers, retries and /new, on both databases."""

from dataclasses import replace
from functools import partial

import pytest

from core.store import answers, claims, conversations, history, token_usage, transcripts, turns
from core.store.database import Store
from core.store.image_references import ImageReference
from core.store.token_usage import ModelUsage
from core.store.transcripts import TranscriptMessage
from tests.core.store.turn_helpers import accept, answer, claim, history_texts

FUTURE_TURN = 2**31


async def test_history_holds_earlier_answered_turns(store: Store) -> None:
    for key in ("u1", "u2", "u3"):
        await accept(store, key)
    (first,) = await claim(store)
    await answer(store, first, "one?", "one.")
    (second,) = await claim(store)
    assert await history_texts(store, second.conversation_id, second.seq) == ["one?", "one."]
    await answer(store, second, "one?", "another.", replaces_last=True)
    (third,) = await claim(store)
    assert await history_texts(store, third.conversation_id, third.seq) == ["one?", "another."]
    await answer(store, third, "three?", "three.")
    assert await store.read(token_usage.usage_since, "telegram:5", 0) == [ModelUsage("m", 21, 3)]


async def test_late_reset_spares_newer_messages(store: Store) -> None:
    for key in ("u1", "u2"):
        await accept(store, key)
    (turn,) = await claim(store)
    await answer(store, turn, "1?", "1.")
    (turn,) = await claim(store)
    await answer(store, turn, "2?", "2.")
    await store.write(conversations.reset_history, turn.conversation_id, turn.id)
    assert await history_texts(store, turn.conversation_id) == ["2?", "2."]
    await store.write(conversations.reset_history, turn.conversation_id, FUTURE_TURN)
    await store.write(conversations.reset_history, turn.conversation_id, turn.id)
    assert await history_texts(store, turn.conversation_id) == []


@pytest.mark.parametrize("is_retry", [False, True])
async def test_answer_to_a_question_before_reset_does_not_enter_the_new_history(store: Store, is_retry: bool) -> None:
    for key in ("u1", "u2", "u3"):
        await accept(store, key)
    (running,) = await claim(store)
    await store.write(conversations.reset_history, running.conversation_id, running.id + 1)
    await answer(store, running, "before?", "late.", replaces_last=is_retry)
    (turn,) = await claim(store)
    await answer(store, turn, "after?", "new.")
    assert await history_texts(store, turn.conversation_id) == ["after?", "new."]


async def test_retry_that_ends_after_an_import_keeps_the_imported_exchange(store: Store) -> None:
    for key in ("u1", "u2"):
        await accept(store, key)
    (first,) = await claim(store)
    await answer(store, first, "one?", "one.")
    (retry,) = await claim(store)
    conversation_id = retry.conversation_id
    imported = [TranscriptMessage("user", "imported?"), TranscriptMessage("assistant", "imported.")]
    await store.write(transcripts.stage_import, conversation_id, retry.id + 1, imported)
    await store.write(transcripts.apply_import, conversation_id, retry.id + 1, retry.id + 2)
    await answer(store, retry, "one?", "another.", replaces_last=True)
    assert await history_texts(store, conversation_id) == ["imported?", "imported."]


async def test_comparison_of_an_imported_question_keeps_one_answer(store: Store) -> None:
    await accept(store, "u1")
    (turn,) = await claim(store)
    imported = [TranscriptMessage("user", "imported?"), TranscriptMessage("assistant", "imported.")]
    await store.write(transcripts.stage_import, turn.conversation_id, turn.id - 1, imported)
    await store.write(transcripts.apply_import, turn.conversation_id, turn.id - 1, turn.id - 1)
    last = await store.read(answers.last_question, turn.conversation_id)
    assert last is not None
    compared = partial(answers.store_answer, prompt=last.text, answer="compared.", note="", model="m")
    await store.write(partial(compared, companion_of=last.first_turn), turn)
    assert await history_texts(store, turn.conversation_id) == ["imported?", "imported."]


async def test_failed_retry_keeps_previous_answer(store: Store) -> None:
    for key in ("u1", "u2"):
        await accept(store, key)
    (first,) = await claim(store)
    await answer(store, first, "one?", "one.")
    (second,) = await claim(store)
    await answer(store, second, "one?", "", replaces_last=True)
    assert await history_texts(store, first.conversation_id) == ["one?", "one."]


async def test_answer_is_stored_once(store: Store) -> None:
    """The database stored the answer, and its reply got lost."""
    await accept(store, "u1")
    (turn,) = await claim(store)
    store_answer = partial(answers.store_answer, prompt="hello", answer="yes", note="", model="m")
    for is_new in (True, False):
        assert await store.write(store_answer, turn) is is_new
    assert await history_texts(store, turn.conversation_id) == ["hello", "yes"]


async def test_answer_that_is_being_delivered_was_not_stopped(store: Store) -> None:
    """A late /stop must not confirm that it stopped a complete answer."""
    await accept(store, "u1")
    (turn,) = await claim(store)
    await store.write(partial(answers.store_answer, prompt="hello", answer="yes", note="", model="m"), turn)
    assert not await store.read(claims.was_just_stopped, turn.conversation_id, FUTURE_TURN)


async def test_event_payload_can_be_erased(store: Store) -> None:
    await accept(store, "u1")
    (turn,) = await claim(store)
    await store.write(turns.replace_event_text, turn, "")
    stored = await store.read(turns.get_turn, turn.id)
    assert stored is not None
    assert stored.incoming == replace(turn.incoming, text="")


async def test_question_keeps_references_to_its_pictures(store: Store) -> None:
    images = (ImageReference("photo", "", "f1"), ImageReference("sticker", "👍", "f2"))
    await accept(store, "u1")
    (turn,) = await claim(store)
    await answer(store, turn, "what?", "A garden.", images=images)
    stored = await store.read(history.load_history, turn.conversation_id, None, 50)
    assert [message.images for message in stored.messages] == [images, ()]
    question = answers.Question("what?", turn.id, images=images, person_key="telegram:5")
    assert await store.read(answers.get_question, turn.id) == question
    assert await store.read(answers.last_question, turn.conversation_id) == question


@pytest.mark.parametrize("state", [turns.TurnState.DONE, turns.TurnState.FAILED], ids=["delivered", "not delivered"])
async def test_answer_keeps_its_note_and_buttons(store: Store, state: turns.TurnState) -> None:
    """It may be shown again, in place of another answer to the question."""
    await accept(store, "1")
    (turn,) = await claim(store)
    noted = partial(
        answers.store_answer, prompt="what?", answer="yes", note="Not complete.", model="m", buttons_json="[1]"
    )
    await store.write(noted, turn)
    await store.write(turns.finish_turn, turn, state, "not delivered: gone")
    stored = await store.read(turns.get_turn, turn.id)
    assert stored is not None
    assert (stored.note, stored.buttons_json) == ("Not complete.", "[1]")
