"""/remember and /memory."""

from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from core.buttons import ButtonAction, encode_action
from core.commands.memory import MAX_NUMBER_DIGITS
from core.memory.service import MAX_NOTE_CHARS
from core.store.memories import RecallMode
from core.texts import memory as texts
from tests.core.commands.capable_adapter import CapableAdapter
from tests.core.turns.fake_adapter import running_engine


async def test_notes_are_numbered_listed_and_deleted(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        assert (await chat.ask("/memory")).startswith("No notes or files yet.")
        assert await chat.ask("/remember My bicycle is green.") == texts.note_stored(1)
        assert await chat.ask("/remember My dog is called Rex.") == texts.note_stored(2)
        for command in ("/memory", "/memory list"):
            reply = await chat.ask(command)
            assert reply.startswith("2 notes here.")
            assert "- **1** My bicycle is green." in reply
            assert "- **2** My dog is called Rex." in reply
        assert (await chat.ask("/memory", user="6")).startswith("No notes"), "notes belong to their conversation"
        assert "Deleted: My bicycle is green." in await chat.ask("/memory delete 1")
        assert (await chat.ask("/memory")).startswith("1 note here.")
        assert "Deleted: My dog" in await chat.ask("/memory delete #2")


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("/remember", texts.NOTE_MISSING),
        ("/memory delete", texts.NUMBER_MISSING),
        ("/memory delete 7", texts.UNKNOWN_ENTRY),
        ("/memory delete one", texts.UNKNOWN_ENTRY),
        (f"/memory delete {'9' * MAX_NUMBER_DIGITS}", texts.UNKNOWN_ENTRY),
        (f"/memory delete {'9' * 40}", texts.UNKNOWN_ENTRY),
        ("/memory forget", texts.UNKNOWN_ACTION),
        ("/memory OFF", texts.RECALL_CHANGED[RecallMode.OFF]),
        ("/memory delete\n7", texts.UNKNOWN_ENTRY),
        ("/memory Clear  Confirm", texts.ALL_DELETED),
        ("/memory clear", "This permanently deletes the memory of this conversation."),
    ],
)
async def test_wrong_use_is_explained(tmp_path: Path, model: ModelStandIn, command: str, reply: str) -> None:
    async with running_engine(tmp_path, model) as chat:
        assert await chat.ask(command) == reply


async def test_numbers_have_leading_zeros(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("/remember My dog is called Rex.")
        assert await chat.ask(f"/memory delete {'1':0>{MAX_NUMBER_DIGITS + 1}}") == texts.UNKNOWN_ENTRY
        assert "Deleted" in await chat.ask(f"/memory delete {'1':0>{MAX_NUMBER_DIGITS}}")


async def test_everything_can_be_deleted(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("/remember My dog is called Rex.")
        question = await chat.ask("/memory clear")
        assert question.startswith("This permanently deletes 1 note of this conversation.")
        assert (await chat.ask("/memory")).startswith("1 note here.")
        assert await chat.ask("/memory clear confirm") == texts.ALL_DELETED
        assert (await chat.ask("/memory")).startswith("No notes or files yet.")


async def test_recall_is_switched(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        assert "Past messages are not recalled" in await chat.ask("/memory")
        for action, changed, status in (
            ("on", "Recall: on.", "Past messages are recalled too"),
            ("off", "Recall: off.", "Recall is off"),
            ("reset", "Recall reset.", "Past messages are not recalled"),
        ):
            assert (await chat.ask(f"/memory {action}")).startswith(changed)
            assert status in await chat.ask("/memory")


async def test_long_notes_are_refused(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        assert await chat.ask(f"/remember {'x' * (MAX_NOTE_CHARS + 1)}") == texts.note_too_long()
        assert await chat.ask(f"/remember {'x ' * (MAX_NOTE_CHARS // 2)}") == texts.note_stored(1)


async def test_note_is_stored_without_its_model(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, person_tokens=10) as chat:
        reply = await chat.ask(f"/remember {'several words ' * 50}")
        assert reply.startswith(texts.note_stored(1))
        assert reply.endswith("so I can find it only by its words.")


async def test_delete_lists_what_can_be_deleted(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("/remember My dog is called Rex.")
        reply = await chat.ask("/memory delete")
        assert reply.startswith(texts.NUMBER_MISSING)
        assert "- **1** My dog is called Rex." in reply


async def test_usage_shows_embeddings(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        assert "embedding tokens" not in await chat.ask("/usage")
        await chat.ask("/remember My dog is called Rex.")
        assert "Notes and files on this key: " in await chat.ask("/usage")


async def test_everything_is_deleted_by_the_button_under_the_question(tmp_path: Path, model: ModelStandIn) -> None:
    chat = CapableAdapter()
    async with running_engine(tmp_path, model, chat):
        await chat.ask("/remember My dog is called Rex.")
        await chat.ask("/memory clear")
        [(label, action)] = chat.actions.items()
        assert label == "Delete everything"
        assert chat.parts[-1].buttons[0].is_destructive
        assert await chat.answer_to_press(action) == texts.ALL_DELETED
        assert chat.actions == {}, "the answer takes the place of the question"
        assert (await chat.ask("/memory")).startswith("No notes or files yet.")


async def test_button_of_another_command_deletes_nothing(tmp_path: Path, model: ModelStandIn) -> None:
    chat = CapableAdapter()
    async with running_engine(tmp_path, model, chat):
        await chat.ask("/remember My dog is called Rex.")
        assert await chat.answer_to_press(encode_action(ButtonAction.CLEAR_MEMORY, 1)) == texts.CLEAR_EXPIRED
        assert (await chat.ask("/memory")).startswith("1 note here.")
