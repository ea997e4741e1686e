"""Guest mode: a person summons the bot to a chat that it is not in, and gets one answer in one message."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bots.sandbox.telegram import Fault, FaultKind, ScriptedReply
from bots.sandbox.telegram.state import Message
from core.store import grants
from core.store.database import Store
from core.texts import answers as texts
from core.texts.commands import KEYS_DISABLED
from tests.end_to_end.chat_with_buttons import NO_OPEN_TURN
from tests.end_to_end.harness import Harness, bot_texts
from tests.end_to_end.inline_person import InlinePerson
from tests.end_to_end.test_failures import fail_first


async def test_summoned_bot_answers_in_one_message(harness: Harness) -> None:
    ann = InlinePerson(harness)
    question = await ann.summon("repeat: blue whales")
    reply = await ann.wait_for_reply("blue whales")
    assert (reply.text, reply.buttons, reply.reply_to_id) == ("blue whales", [], question.id)
    assert len(harness.telegram.calls_to("answerGuestQuery")) == 1
    assert len(harness.model.requests) == 1
    assert harness.telegram.calls_to("sendMessage") == []
    assert harness.telegram.calls_to("sendChatAction") == []


@pytest.mark.parametrize("command", ["/model phi-4", "/retry", "/key secret"])
async def test_commands_do_not_ask_the_model(harness: Harness, command: str) -> None:
    ann = InlinePerson(harness)
    await ann.summon(command)
    is_key = command.startswith("/key")
    await ann.wait_for_reply(KEYS_DISABLED if is_key else texts.COMMAND_IN_FOREIGN_CHAT)
    await ann.summon("/ask repeat: blue whales")
    await ann.wait_for_reply("blue whales")
    assert len(harness.model.requests) == 1


TABLE = "| a | b |\n|---|---|\n| 1 | 2 |"


async def test_table_is_a_rich_message(harness: Harness) -> None:
    harness.model.answer = lambda _body: TABLE
    ann = InlinePerson(harness)
    await ann.summon("a table")
    await harness.telegram.wait_for(lambda: len(ann.messages) == 2, 30)
    await harness.wait_until_stored(NO_OPEN_TURN)
    assert ann.messages[-1].rich is not None


async def test_table_is_text_where_the_server_has_no_rich_messages(harness: Harness) -> None:
    harness.telegram.has_rich_messages = False
    harness.model.answer = lambda _body: TABLE
    ann = InlinePerson(harness)
    await ann.summon("a table")
    await harness.telegram.wait_for(lambda: len(ann.messages) == 2, 30)
    await harness.wait_until_stored(NO_OPEN_TURN)
    assert ann.messages[-1].rich is None
    assert [entity["type"] for entity in ann.messages[-1].entities] == ["pre"]


@pytest.mark.parametrize("preview", ["off", "edit"])
async def test_guest_message_exists_before_the_answer_does(harness: Harness, preview: str) -> None:
    await harness.stop()
    await harness.start(telegram_preview=preview)
    harness.model.answer = lambda _body: "word " * 500
    harness.model.tokens_per_second = 5
    ann = InlinePerson(harness)
    await ann.summon("a question")
    await harness.telegram.wait_for(lambda: len(ann.messages) == 2, 30)
    assert harness.telegram.calls_to("answerGuestQuery")


async def test_growing_answer_edits_the_guest_message(harness: Harness) -> None:
    harness.model.answer = lambda _body: "word " * 200
    harness.model.tokens_per_second = 100
    ann = InlinePerson(harness)
    await ann.summon("a question")
    await harness.telegram.wait_for(lambda: any("stop:" in str(m.buttons) for m in ann.messages), 30)
    reply = await ann.wait_for_reply("word " * 199)
    assert len([message for message in ann.messages if message.from_bot]) == 1
    assert len(reply.previous_texts) > 1


async def test_question_includes_the_message_it_replies_to(harness: Harness) -> None:
    ann, bob = InlinePerson(harness), InlinePerson(harness, "Bob")
    original = harness.telegram.add_message(ann.chat, bob.user, "Whales are fish.")
    await ann.summon("is that true?", reply_to_message=original.json())
    await harness.model.wait_for(lambda: len(harness.model.requests) == 1)
    (question,) = (m["content"] for m in harness.model.requests[0].body["messages"] if m["role"] == "user")
    assert "Whales are fish." in question
    assert question.endswith("is that true?")


async def test_answer_says_that_a_file_was_not_read(harness: Harness) -> None:
    ann, bob = InlinePerson(harness), InlinePerson(harness, "Bob")
    note = "I can't read this yet: file. I answered only what you wrote."
    document = harness.telegram.add_document("menu.txt", b"Friday: smoked eel", "text/plain")
    await ann.summon("repeat: whales", document=document)
    assert (await ann.wait_for_reply("whales")).text == f"whales\n\n{note}"
    original = harness.telegram.add_message(ann.chat, bob.user, "", extra_fields={"document": document})
    await ann.summon("repeat: dolphins", reply_to_message=original.json())
    assert (await ann.wait_for_reply("dolphins")).text == f"dolphins\n\n{note}"


async def test_guest_questions_share_nothing_with_other_chats(harness: Harness) -> None:
    ann = InlinePerson(harness)
    await ann.ask_in_private("repeat: private", "private")
    for text in ("one", "two"):
        await ann.summon(f"repeat: {text}")
        await ann.wait_for_reply(text)
        sent = [message for message in harness.model.requests[-1].body["messages"] if message["role"] != "system"]
        assert [message["content"] for message in sent] == [f"repeat: {text}"]
    await ann.ask_in_private("repeat: goes on", "goes on")
    assert "two" not in str(harness.model.requests[-1].body["messages"])


async def test_stop_ends_the_answer(harness: Harness) -> None:
    harness.model.answer = lambda _body: "word " * 500
    harness.model.tokens_per_second = 5
    ann = InlinePerson(harness)
    await ann.summon("a question")
    await harness.telegram.wait_for(lambda: any("word" in m.text and m.buttons for m in ann.messages[1:]), 30)
    await harness.wait_until_stored("SELECT 1 FROM answer_parts WHERE message_id IS NOT NULL")
    reply = ann.messages[-1]
    await ann.press(reply, "Stop")
    await ann.wait_for(reply, texts.STOPPED)
    assert len(ann.messages) == 2


async def test_grant_of_a_group_lets_nobody_summon_the_bot(harness: Harness, tmp_path: Path) -> None:
    """The chat of a guest question may have the ID of another chat."""
    ann = InlinePerson(harness)
    await harness.stop()
    store = Store(harness.settings().core.database_url)
    await store.open(migrates=False)
    await store.write(grants.add_member, f"telegram:chat:{ann.chat.id}")
    olga = harness.telegram.create_user("Olga")
    await store.write(grants.grant, f"telegram:person:{olga.id}", grants.Role.OPERATOR, "Olga")
    await store.close()
    await harness.start(access="pairing")
    await ann.summon("repeat: let me in")
    chat = harness.telegram.open_private_chat(olga)
    await harness.telegram.send_message(olga, chat, "repeat: sentinel")
    await harness.telegram.wait_for(lambda: "sentinel" in bot_texts(harness.telegram.messages(chat)), 30)
    await harness.wait_until_stored(NO_OPEN_TURN)
    assert bot_texts(ann.messages) == []
    with closing(sqlite3.connect(tmp_path / "parley.sqlite3")) as database:
        assert database.execute("SELECT count(*) FROM turns").fetchone() == (1,)
        assert database.execute("SELECT count(*) FROM access_requests").fetchone() == (0,)


@pytest.mark.parametrize("fault", [FaultKind.DROP_BEFORE, FaultKind.DROP_AFTER])
async def test_answer_without_confirmation_appears_once(harness: Harness, fault: FaultKind) -> None:
    harness.telegram.fault_hook, met = fail_first("answerGuestQuery", Fault(fault))
    ann = InlinePerson(harness)
    await ann.summon("repeat: blue whales")
    await harness.telegram.wait_for(lambda: len(ann.messages) == 2, 30)
    await harness.wait_until_stored(NO_OPEN_TURN)
    assert met.is_set()
    assert bot_texts(ann.messages) == ["blue whales"]


async def test_answer_whose_first_response_is_lost_comes_in_private(harness: Harness) -> None:
    answer = "word " * 60
    harness.model.answer = lambda _body: answer
    harness.model.tokens_per_second = 20
    harness.telegram.fault_hook, met = fail_first("answerGuestQuery", Fault(FaultKind.DROP_AFTER))
    ann = InlinePerson(harness)
    chat = harness.telegram.open_private_chat(ann.user)
    await ann.summon("a question")
    await harness.telegram.wait_for(lambda: answer.strip() in bot_texts(harness.telegram.messages(chat)), 30)
    await harness.wait_until_stored(NO_OPEN_TURN)
    assert met.is_set()
    assert bot_texts(harness.telegram.messages(chat)) == [texts.GUEST_ANSWER_MOVED, answer.strip()]
    assert len(bot_texts(ann.messages)) == 1
    assert len(harness.model.requests) == 1


async def test_answer_that_is_there_does_not_come_in_private_as_well(harness: Harness) -> None:
    harness.telegram.fault_hook, met = fail_first("answerGuestQuery", Fault(FaultKind.DROP_AFTER))
    ann = InlinePerson(harness)
    chat = harness.telegram.open_private_chat(ann.user)
    await ann.summon("repeat: blue whales")
    await harness.wait_until_stored("SELECT 1 FROM turns WHERE state = 'done'")
    assert met.is_set()
    assert bot_texts(ann.messages) == ["blue whales"]
    assert bot_texts(harness.telegram.messages(chat)) == []


async def test_answer_in_private_can_be_stopped(harness: Harness) -> None:
    harness.model.answer = lambda _body: "word " * 500
    harness.model.tokens_per_second = 5
    ann = InlinePerson(harness)
    await harness.stop()
    await ann.summon("a question")
    harness.telegram.expire_guest_queries()
    harness.telegram.open_private_chat(ann.user)
    await harness.start()
    await harness.telegram.wait_for(lambda: any("word" in m.text and m.buttons for m in chat_of_bot(ann)), 30)
    *_, reply = chat_of_bot(ann)
    await ann.press(reply, "Stop")
    await ann.wait_for(reply, texts.STOPPED)
    assert len(chat_of_bot(ann)) == 2
    assert bot_texts(ann.messages) == []


def chat_of_bot(ann: InlinePerson) -> list[Message]:
    """The bot's messages in the private chat."""
    chat = ann.telegram.open_private_chat(ann.user)
    return [message for message in ann.telegram.messages(chat) if message.from_bot]


async def test_answer_after_a_crash_without_response_comes_in_private(harness: Harness) -> None:
    answer = "word " * 60
    harness.model.answer = lambda _body: answer
    harness.model.tokens_per_second = 5
    harness.telegram.fault_hook, met = fail_first("answerGuestQuery", Fault(FaultKind.DROP_AFTER))
    ann = InlinePerson(harness)
    chat = harness.telegram.open_private_chat(ann.user)
    await ann.summon("a question")
    await met.wait()
    await harness.kill()
    harness.model.tokens_per_second = 2000
    await harness.start()
    await harness.telegram.wait_for(lambda: answer.strip() in bot_texts(harness.telegram.messages(chat)), 30)
    await harness.wait_until_stored(NO_OPEN_TURN)
    assert bot_texts(harness.telegram.messages(chat)).count(answer.strip()) == 1
    assert len(bot_texts(ann.messages)) == 1


async def test_expired_query_costs_no_more(harness: Harness) -> None:
    """Telegram waits only so long for an answer. Nobody would see it if the person has no private chat with the bot."""
    harness.model.answer = lambda _body: "word " * 2000
    harness.model.tokens_per_second = 20
    ann = InlinePerson(harness)
    await harness.stop()
    await ann.summon("a question")
    harness.telegram.expire_guest_queries()
    await harness.start()
    await harness.telegram.wait_for(lambda: harness.telegram.calls_to("answerGuestQuery"), 30)
    await harness.wait_until_stored(NO_OPEN_TURN)
    assert len(harness.telegram.calls_to("answerGuestQuery")) <= 2
    assert bot_texts(ann.messages) == []


async def test_bot_without_guest_mode_asks_for_no_guest_messages(harness: Harness) -> None:
    await harness.stop()
    harness.telegram.supports_guests = harness.telegram.supports_inline = False
    await harness.start()
    allowed = harness.telegram.calls_to("getUpdates")[-1].params["allowed_updates"]
    assert not {"guest_message", "inline_query", "chosen_inline_result"} & set(allowed)
    assert "message" in allowed


async def test_server_without_the_method_is_asked_once(harness: Harness) -> None:
    telegram = harness.telegram
    missing = ScriptedReply.error(404, "Not Found: method not found")
    telegram.script.add("answerGuestQuery", *[missing] * 5)
    ann = InlinePerson(harness)
    await ann.summon("repeat: one")
    await telegram.wait_for(lambda: telegram.calls_to("answerGuestQuery"), 30)
    await harness.wait_until_stored(NO_OPEN_TURN)
    calls, requests = len(telegram.calls_to("answerGuestQuery")), len(harness.model.requests)
    await ann.summon("repeat: two")
    await ann.ask_in_private("repeat: three", "three")
    assert len(telegram.calls_to("answerGuestQuery")) == calls
    assert len(harness.model.requests) == requests + 1
