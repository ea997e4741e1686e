"""/export and /import."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from core.buttons import ButtonAction, encode_action
from core.conversation.transcript import CONTINUE_PROMPT, MAX_TRANSCRIPT_BYTES
from core.errors import DeliveryError, DeliveryFailure
from core.port import Attachment, EventKind, Incoming, Place, Quote, QuoteKind, Sender
from core.store.retention import delete_turns
from tests.core.commands.capable_adapter import CONVERSATION_FILE, CapableAdapter
from tests.core.turns.fake_adapter import TYPING, FakeAdapter, running_engine

pytestmark = pytest.mark.slow
USAGE = "Send the file from /export together with /import, or reply to it with /import."
EXPIRED = "This import is no longer stored. Send the file again with /import."
TOO_LARGE = "The file may have at most 4 MB."
TRANSCRIPT = b"""{"format": "parley-conversation", "version": 1,
    "messages": [{"role": "user", "text": "Hello"}, {"role": "assistant", "text": "Hi!", "model": "phi-4"}]}"""


async def test_conversation_is_exported(tmp_path: Path, model: ModelStandIn) -> None:
    chat = CapableAdapter()
    async with running_engine(tmp_path, model, chat):
        assert await chat.command("export") == "This conversation has no messages yet."
        await chat.ask("repeat: one")
        await chat.wait_for_states("done", "done")
        await chat.command("export")
        await chat.wait_until(lambda: len(chat.names) == 2)
        assert "Your conversation: one file to read, and one for /import." in chat.texts
        assert list(chat.names) == ["conversation.md", "conversation.json"]
        assert chat.names["conversation.md"].content.decode().startswith("## Ann\n\nrepeat: one\n\n## Llama-3.3")
        assert b'"parley-conversation"' in chat.names["conversation.json"].content


async def test_export_to_read_has_no_texts_for_the_model(tmp_path: Path, model: ModelStandIn) -> None:
    chat = CapableAdapter()
    model.answer = lambda _body: "On Friday."
    quote = Quote(QuoteKind.REPLY, "Friday\n\nor Monday", "Bob")
    async with running_engine(tmp_path, model, chat):
        place, sender = Place("fake", "1", "5", is_private=True), Sender("fake", "5", "Ann")
        await chat.inbox(Incoming(EventKind.PROMPT, "q", place, sender, "repeat: When?", quotes=(quote,)))
        await chat.wait_for_states("done")
        await chat.press("more:1", "1")
        await chat.wait_for_states("done", "done")
        await chat.command("export")
        await chat.wait_until(lambda: len(chat.names) == 2)
        exported = chat.names["conversation.md"].content.decode()
        chat.fetched = chat.names["conversation.json"].content
        assert exported.startswith("## Ann\n\n> Bob:\n>\n> Friday\n> \n> or Monday\n\nrepeat: When?\n\n## Llama-3.3")
        assert "\n\n## Ann\n\n*Continue*\n\n## Llama-3.3" in exported
        assert "uoted material" not in exported
        assert CONTINUE_PROMPT not in exported

        await chat.ask("/new")
        await chat.command("import", attachments=(CONVERSATION_FILE,))
        await chat.answer_to_press(chat.actions["Replace"])
        chat.names.clear()
        await chat.command("export")
        await chat.wait_until(lambda: len(chat.names) == 2)
        assert chat.names["conversation.md"].content.decode() == exported
        assert chat.names["conversation.json"].content == chat.fetched


async def test_group_without_messages_has_nothing_to_export(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, CapableAdapter()) as chat:
        assert await chat.ask("/export", group="-7") == "This conversation has no messages yet."


async def test_conversation_may_be_too_large_for_a_file(tmp_path: Path, model: ModelStandIn) -> None:
    chat = CapableAdapter(max_bytes=10)
    async with running_engine(tmp_path, model, chat):
        await chat.ask("repeat: one")
        await chat.wait_for_states("done")
        assert await chat.command("export") == ("This conversation is too long for a file. Start a new one with /new.")


async def test_platform_without_files(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        assert isinstance(chat, FakeAdapter)
        assert await chat.ask("/export") == "I can't send files here."
        assert await chat.ask("/import") == USAGE


async def test_import_replaces_after_a_press(tmp_path: Path, model: ModelStandIn) -> None:
    chat = CapableAdapter()
    async with running_engine(tmp_path, model, chat):
        chat.fetched = TRANSCRIPT
        question = await chat.command("import", attachments=(CONVERSATION_FILE,))
        assert question == "The file has 2 messages. Replace this conversation with them?"
        assert list(chat.actions) == ["Replace"]
        imported = await chat.answer_to_press(chat.actions["Replace"])
        assert imported == "2 messages imported. Continue from there."
        await chat.ask("repeat: two")
        assert "Hi!" in str(model.requests[-1].body["messages"])


@pytest.mark.parametrize(
    ("attachment", "reply"),
    [
        (Attachment("photo", "a.png", 5, "1", is_image=True), USAGE),
        (Attachment("file", "a.json", 5, "", is_document=True), USAGE),
        (Attachment("file", "a.json", MAX_TRANSCRIPT_BYTES + 1, "1", is_document=True), TOO_LARGE),
        (
            Attachment("file", "a.json", MAX_TRANSCRIPT_BYTES, "1", is_document=True),
            "This is not a file from /export. Send conversation.json.",
        ),
    ],
)
async def test_file_that_cannot_be_imported(
    tmp_path: Path, model: ModelStandIn, attachment: Attachment, reply: str
) -> None:
    chat = CapableAdapter()
    async with running_engine(tmp_path, model, chat):
        assert (await chat.command("import", attachments=(attachment,))).replace("`", "") == reply


@pytest.mark.parametrize(
    ("failure", "reply"),
    [
        (DeliveryFailure.REJECTED, TOO_LARGE),
        (DeliveryFailure.GONE, "I couldn't download the file. Try again later."),
    ],
)
async def test_file_that_cannot_be_downloaded(
    tmp_path: Path, model: ModelStandIn, failure: DeliveryFailure, reply: str
) -> None:
    chat = CapableAdapter()
    async with running_engine(tmp_path, model, chat):
        chat.fail_next("fetch", DeliveryError("no", failure))
        assert await chat.command("import", attachments=(CONVERSATION_FILE,)) == reply


async def test_only_an_import_can_be_applied(tmp_path: Path, model: ModelStandIn) -> None:
    chat = CapableAdapter()
    async with running_engine(tmp_path, model, chat):
        await chat.command("import")
        assert await chat.answer_to_press(encode_action(ButtonAction.IMPORT, 1)) == EXPIRED
        await chat.command("help")
        assert await chat.answer_to_press(encode_action(ButtonAction.IMPORT, 3)) == EXPIRED


async def test_models_of_an_imported_conversation_are_kept(tmp_path: Path, model: ModelStandIn) -> None:
    chat = CapableAdapter()
    async with running_engine(tmp_path, model, chat):
        chat.fetched = TRANSCRIPT
        await chat.command("import", attachments=(CONVERSATION_FILE,))
        await chat.answer_to_press(chat.actions["Replace"])
        await chat.command("export")
        await chat.wait_until(lambda: len(chat.names) == 2)
        assert "## phi-4\n\nHi!" in chat.names["conversation.md"].content.decode()
        assert b'"model": "phi-4"' in chat.names["conversation.json"].content


async def test_models_of_a_conversation_are_kept_longer_than_its_turns(tmp_path: Path, model: ModelStandIn) -> None:
    chat = CapableAdapter()
    async with running_engine(tmp_path, model, chat):
        await chat.ask("repeat: one")
        await chat.ask("/usage")
        await chat.wait_for_states("done", "done")
        await chat.store.write(delete_turns, math.inf)
        await chat.command("export")
        await chat.wait_until(lambda: len(chat.names) == 2)
        assert "## Llama-3.3-70B-Instruct\n\none" in chat.names["conversation.md"].content.decode()


async def test_others_do_not_replace_a_shared_conversation(tmp_path: Path, model: ModelStandIn) -> None:
    refusal = "Only managers of this chat can change this for everyone."
    chat = CapableAdapter()
    chat.group_capabilities = replace(TYPING, has_ephemeral_messages=True)
    async with running_engine(tmp_path, model, chat):
        chat.fetched = TRANSCRIPT
        assert (await import_in_group(chat, "6")).startswith("The file has 2 messages."), "their own conversation"
        chat.managers = {"5"}
        await chat.ask("/settings share on", group="-7")
        assert await import_in_group(chat, "6") == refusal
        question = await import_in_group(chat, "5")
        assert question.startswith("The file has 2 messages.")
        replace_action, message = chat.actions["Replace"], list(chat.messages)[-1]
        await chat.press(replace_action, message, user="6", group="-7")
        await chat.wait_until(lambda: chat.texts[-1] == refusal and chat.calls[-1].ephemeral)
        await chat.press(replace_action, message, group="-7")
        notice = "2 messages imported. Continue from there.\nChanged by Ann for everyone here"
        await chat.wait_until(lambda: chat.texts[-1] == notice)
        assert not [call for call in chat.calls if call.method == "send"][-1].ephemeral
        await chat.wait_until(lambda: chat.messages[message] == "2 messages imported. Continue from there.")


async def import_in_group(chat: CapableAdapter, user: str) -> str:
    count, place = len(chat.parts), Place(chat.platform, chat.account, "-7")
    sender = Sender(chat.platform, user, "Ann", is_manager=user in chat.managers)
    key, files = f"import {count}", (CONVERSATION_FILE,)
    await chat.inbox(Incoming(EventKind.COMMAND, key, place, sender, "", command="import", attachments=files))
    await chat.wait_until(lambda: len(chat.parts) > count)
    return chat.parts[-1].text
