"""Inline queries: suggestions cost nothing; a chosen question is answered once, in the message that the person placed."""

import sqlite3
from contextlib import closing
from itertools import dropwhile
from pathlib import Path
from typing import Any

import pytest

from bots.sandbox.model import faults
from bots.sandbox.model.faults import http_error, stall
from bots.sandbox.telegram import Fault, FaultKind
from core.conversation.transcript import CONTINUE_PROMPT
from core.store.database import Store
from core.store.erasure import erase_person
from core.store.people import Person
from core.store.person_export import export_person
from core.texts import answers as texts
from tests.end_to_end.chat_with_buttons import DEFAULT, NO_OPEN_TURN
from tests.end_to_end.harness import Harness, bot_texts
from tests.end_to_end.inline_person import InlinePerson
from tests.end_to_end.test_failures import fail_first
from tests.end_to_end.test_keys_in_messages import SERVICE_KEY

ASK_BUTTON = "Get the answer"


def count_turns(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "parley.sqlite3")) as database:
        return int(database.execute("SELECT count(*) FROM turns").fetchone()[0])


async def settle(person: InlinePerson) -> None:
    """Wait until the bot has handled all updates before a command in the private chat."""
    telegram = person.telegram
    chat = telegram.open_private_chat(person.user)
    replies = len(bot_texts(telegram.messages(chat)))
    await telegram.send_message(person.user, chat, "/usage")
    await telegram.wait_for(lambda: len(bot_texts(telegram.messages(chat))) > replies, 30)


async def test_chosen_question_is_answered_in_its_message(harness: Harness) -> None:
    harness.model.answer = lambda _body: "**Because** of scattering."
    ann = InlinePerson(harness)
    message = await ann.place("why is the sky blue?")
    await ann.wait_for(message, "scattering")
    assert message.text == "why is the sky blue?\n\nBecause of scattering."
    assert [entity["type"] for entity in message.entities] == ["bold", "bold"]
    assert message.buttons == []
    assert len(harness.model.requests) == 1
    assert ann.messages == [message]


async def test_question_stays_above_while_the_model_thinks(harness: Harness) -> None:
    harness.model.fail_next(stall())
    ann = InlinePerson(harness)
    message = await ann.place("a question")
    await harness.telegram.wait_for(lambda: texts.THINKING in message.text)
    assert message.text == f"a question\n\n{texts.THINKING}"


async def test_press_that_comes_too_fast_leaves_the_message(harness: Harness) -> None:
    await harness.stop()
    await harness.start(messages_a_minute=1)
    harness.model.fail_next(http_error(400), times=None)
    ann = InlinePerson(harness)
    message = await ann.place("a question")
    await ann.wait_for(message, "rejected")
    before, requests = message.text, len(harness.model.requests)
    for name in ("Eve", "Bob"):
        assert "too fast" in await ann.press(message, "Retry")
        await settle(InlinePerson(harness, name))
    assert (message.text, len(harness.model.requests)) == (before, requests)


async def test_typing_costs_no_tokens_and_asks_nothing(harness: Harness, tmp_path: Path) -> None:
    ann = InlinePerson(harness)
    offers = [await ann.type(text) for text in ("w", "why", "why is *it* so?")]
    assert [[result["title"] for result in offer.results] for offer in offers] == [[f"Ask {DEFAULT}"]] * 3
    assert offers[-1].results[0]["description"] == "why is *it* so?"
    assert all(offer.is_personal and 0 < offer.cache_time <= 60 for offer in offers)
    assert len(harness.model.requests) == 0
    assert count_turns(tmp_path) == 0


async def test_api_key_is_no_question_to_place(harness: Harness) -> None:
    """The whole chat would see it."""
    offer = await InlinePerson(harness).type(f"My key: {SERVICE_KEY}")
    assert offer.results == []
    assert offer.button == {"text": "Open the chat with me", "start_parameter": "inline"}


async def test_suggestions_are_in_the_persons_language(harness: Harness) -> None:
    ann = InlinePerson(harness)
    ann.user.language = "de"
    assert (await ann.type("")).button == {"text": "Chat mit mir öffnen", "start_parameter": "inline"}


async def test_button_asks_after_a_restart(harness: Harness) -> None:
    harness.telegram.has_inline_feedback = False
    harness.model.answer = lambda _body: "blue whales"
    ann = InlinePerson(harness)
    message = await ann.place("a question")
    await harness.stop()
    await harness.start()
    assert await ann.press(message, ASK_BUTTON) == ""
    await ann.wait_for(message, "blue whales")
    assert len(harness.model.requests) == 1


async def test_button_older_than_an_hour_says_that_it_no_longer_works(harness: Harness, tmp_path: Path) -> None:
    harness.telegram.has_inline_feedback = False
    ann = InlinePerson(harness)
    message = await ann.place("a question")
    with closing(sqlite3.connect(tmp_path / "parley.sqlite3")) as database:
        database.execute("UPDATE suggested_questions SET created_at = created_at - 3600")
        database.commit()
    assert await ann.press(message, ASK_BUTTON) == texts.NOT_YOUR_PRESS
    assert len(harness.model.requests) == 0


async def test_empty_query_offers_the_private_chat(harness: Harness) -> None:
    ann = InlinePerson(harness)
    offer = await ann.type("")
    assert offer.results == []
    assert offer.button == {"text": "Open the chat with me", "start_parameter": "inline"}


async def test_own_answers_can_be_shared(harness: Harness, tmp_path: Path) -> None:
    ann, bob = InlinePerson(harness), InlinePerson(harness, "Bob")
    await ann.ask_in_private("repeat: herons eat fish", "herons eat fish")
    await ann.ask_in_private("repeat: **owls** eat `mice`", "owls eat mice")
    assert [result["description"] for result in (await ann.type("")).results] == ["owls eat mice", "herons eat fish"]
    offer = await ann.type("FISH heron")
    assert [result["title"] for result in offer.results][1:] == ["repeat: herons eat fish"]
    turns, requests = count_turns(tmp_path), len(harness.model.requests)
    message = await ann.place("heron", offer.results[1]["id"])
    assert message.text == "herons eat fish"
    assert (await bob.type("")).results == []
    assert len((await bob.type("heron")).results) == 1
    assert (count_turns(tmp_path), len(harness.model.requests)) == (turns, requests)


async def test_continued_answer_is_offered_under_its_own_words(harness: Harness) -> None:
    harness.model.answer = lambda body: "herons" if body["messages"][-1]["content"] != CONTINUE_PROMPT else "eat fish"
    harness.model.fail_next(faults.Fault(finish_reason="length"))
    ann = InlinePerson(harness)
    await ann.ask_in_private("birds?", "herons\n\nThe answer reached its maximum length.")
    chat = harness.telegram.open_private_chat(ann.user)
    cut = harness.telegram.messages(chat)[-1]
    press = next(button["callback_data"] for button in cut.buttons if button["text"] == "Continue")
    await harness.telegram.press_button(ann.user, cut, press)
    await harness.telegram.wait_for(lambda: "eat fish" in bot_texts(harness.telegram.messages(chat)), 30)
    await harness.wait_until_stored(NO_OPEN_TURN)
    assert [result["title"] for result in (await ann.type("")).results] == ["eat fish", "birds?"]


@pytest.mark.parametrize("has_rich_messages", [True, False], ids=["rich", "old server"])
async def test_own_answer_with_a_table_is_shared_as_a_rich_message(harness: Harness, has_rich_messages: bool) -> None:
    harness.model.answer = lambda _body: "| tea | milk |\n|---|---|\n| 2 | 1 |\n\n" + "word " * 5000 + "the end"
    ann = InlinePerson(harness)
    chat = harness.telegram.open_private_chat(ann.user)
    await harness.telegram.send_message(ann.user, chat, "a question")
    await harness.wait_until_stored("SELECT 1 FROM messages WHERE role = 'assistant'")
    harness.telegram.has_rich_messages = has_rich_messages
    message = await ann.place("word", "text-1")
    assert message.text.startswith("tea")
    assert (message.rich is not None) is has_rich_messages
    assert message.text.endswith("the end" if has_rich_messages else "word\n\n…")


async def test_long_own_answer_is_shared_up_to_one_message(harness: Harness) -> None:
    await harness.stop()
    await harness.start(telegram_rich="off")
    harness.model.answer = lambda _body: "word " * 3000
    ann = InlinePerson(harness)
    chat = harness.telegram.open_private_chat(ann.user)
    await harness.telegram.send_message(ann.user, chat, "a question")
    await harness.wait_until_stored("SELECT 1 FROM messages WHERE role = 'assistant'")
    message = await ann.place("word", "text-1")
    assert message.text.endswith("word\n\n…")
    assert 2500 < len(message.text) <= 4096


async def test_button_asks_where_feedback_is_off(harness: Harness) -> None:
    harness.telegram.has_inline_feedback = False
    harness.model.answer = lambda _body: "blue whales"
    ann, eve = InlinePerson(harness), InlinePerson(harness, "Eve")
    message = await ann.place("a question")
    assert await ann.press(message, ASK_BUTTON, eve.user) == texts.NOT_YOUR_PRESS
    await settle(eve)
    assert "Waiting" in message.text
    assert await ann.press(message, ASK_BUTTON) == ""
    await ann.wait_for(message, "blue whales")
    assert len(harness.model.requests) == 1


async def test_button_and_feedback_ask_once(harness: Harness) -> None:
    harness.model.answer = lambda _body: "blue whales"
    harness.model.tokens_per_second = 5
    ann = InlinePerson(harness)
    message = await ann.place("a question")
    await ann.press(message, ASK_BUTTON)
    harness.telegram.redeliver_last_update(harness.telegram.open_private_chat(ann.user))
    await ann.wait_for(message, "blue whales")
    await settle(ann)
    assert message.text == "a question\n\nblue whales"
    assert len(harness.model.requests) == 1


async def test_question_before_a_crash_is_answered_once(harness: Harness) -> None:
    text = "word " * 60
    harness.model.answer = lambda _body: text
    harness.model.tokens_per_second = 20
    ann = InlinePerson(harness)
    message = await ann.place("a question")
    await harness.telegram.wait_for(lambda: "word" in message.text, 30)
    await harness.kill()
    harness.model.tokens_per_second = 2000
    await harness.start()
    await ann.wait_for(message, text.strip())
    assert message.text == f"a question\n\n{text.strip()}"
    assert ann.messages == [message]


async def test_stored_answer_is_delivered_after_a_crash(harness: Harness) -> None:
    harness.model.answer = lambda _body: "blue whales"
    harness.telegram.fault_hook = lambda call: Fault(FaultKind.UNAVAILABLE) if "whales" in str(call.params) else None
    ann = InlinePerson(harness)
    message = await ann.place("a question")
    await harness.wait_until_stored("SELECT 1 FROM turns WHERE state = 'delivering'")
    await harness.kill()
    harness.telegram.fault_hook = None
    await harness.start()
    await ann.wait_for(message, "blue whales")
    assert message.text == "a question\n\nblue whales"
    assert len(harness.model.requests) == 1


async def test_edit_whose_answer_is_lost_is_repeated(harness: Harness) -> None:
    harness.model.answer = lambda _body: "blue whales"
    harness.telegram.fault_hook, met = fail_first("editMessageText", Fault(FaultKind.DROP_AFTER))
    ann = InlinePerson(harness)
    message = await ann.place("a question")
    await ann.wait_for(message, "blue whales")
    assert met.is_set()
    assert message.text == "a question\n\nblue whales"


async def test_only_the_person_who_asked_stops_the_answer(harness: Harness) -> None:
    harness.model.answer = lambda _body: "word " * 500
    harness.model.tokens_per_second = 5
    ann, eve = InlinePerson(harness), InlinePerson(harness, "Eve")
    message = await ann.place("a question")
    await harness.telegram.wait_for(lambda: "word" in message.text and message.buttons, 30)
    assert await ann.press(message, "Stop", eve.user) == texts.NOT_YOUR_PRESS
    await settle(eve)
    assert message.buttons, "still growing"
    assert await ann.press(message, "Stop") == ""
    await ann.wait_for(message, texts.STOPPED)
    assert ann.messages == [message]


async def test_failed_answer_has_a_retry_button(harness: Harness) -> None:
    harness.model.fail_next(http_error(400), times=None)
    ann, eve = InlinePerson(harness), InlinePerson(harness, "Eve")
    message = await ann.place("a question")
    await ann.wait_for(message, "rejected")
    assert [button["text"] for button in message.buttons] == ["Retry"]
    harness.model.planned_faults.clear()
    harness.model.answer = lambda _body: "blue whales"
    requests = len(harness.model.requests)
    await ann.press(message, "Retry", eve.user)
    await settle(eve)
    assert len(harness.model.requests) == requests
    await ann.press(message, "Retry")
    await ann.wait_for(message, "blue whales")
    assert message.text == "a question\n\nblue whales"
    assert message.buttons == []
    assert ann.messages == [message]


async def test_long_answer_is_cut_where_rich_messages_are_off(harness: Harness) -> None:
    await harness.stop()
    await harness.start(telegram_rich="off")
    harness.model.answer = lambda _body: "word " * 3000
    harness.model.tokens_per_second = 1000
    ann = InlinePerson(harness)
    message = await ann.place("a question")
    await ann.wait_for(message, texts.ANSWER_CUT)
    shown = [*dropwhile(lambda text: "word" not in text, message.previous_texts)]
    assert shown
    assert [len(text) for text in shown] == sorted(map(len, shown)), "each shows as much of the answer as fits"
    assert 2500 < len(message.text) <= 4096
    assert ann.messages == [message]
    assert harness.telegram.calls_to("sendDocument") == []


async def test_long_answer_is_one_rich_message(harness: Harness) -> None:
    harness.model.answer = lambda _body: "word " * 3000 + "the end"
    ann = InlinePerson(harness)
    message = await ann.place("a question")
    await ann.wait_for(message, "the end")
    assert message.rich is not None
    assert texts.ANSWER_CUT not in message.text
    assert ann.messages == [message]


async def test_questions_count_towards_the_persons_allowance(harness: Harness) -> None:
    await harness.stop()
    await harness.start(person_messages=1)
    ann = InlinePerson(harness)
    await ann.wait_for(await ann.place("repeat: one"), "one\n\none")
    second = await ann.place("repeat: two")
    await ann.wait_for(second, "You've reached today's limit of 1 question")
    assert len(harness.model.requests) == 1


async def test_each_question_is_a_conversation_of_its_own(harness: Harness) -> None:
    ann = InlinePerson(harness)
    await ann.ask_in_private("repeat: private", "private")
    for text in ("repeat: one", "repeat: two"):
        await ann.wait_for(await ann.place(text), f"\n\n{text.removeprefix('repeat: ')}")
        sent = [message for message in harness.model.requests[-1].body["messages"] if message["role"] != "system"]
        assert [message["content"] for message in sent] == [text]


async def test_settings_of_the_private_chat_hold(harness: Harness) -> None:
    ann = InlinePerson(harness)
    chat = harness.telegram.open_private_chat(ann.user)
    await harness.telegram.send_message(ann.user, chat, "/system Speak like a pirate.")
    await harness.telegram.wait_for(lambda: bot_texts(harness.telegram.messages(chat)), 30)
    await ann.wait_for(await ann.place("repeat: arr"), "\n\narr")
    assert "pirate" in str(harness.model.requests[-1].body["messages"][0])


async def test_question_placed_in_a_chat_with_the_bot_is_asked_once(harness: Harness) -> None:
    harness.model.answer = lambda _body: "blue whales"
    ann = InlinePerson(harness)
    ann.chat = harness.telegram.open_private_chat(ann.user)
    message = await ann.place("a question")
    await ann.wait_for(message, "blue whales")
    await settle(ann)
    assert len(harness.model.requests) == 1
    assert message.text == "a question\n\nblue whales"
    assert not [text for text in bot_texts(ann.messages) if "whales" in text]


async def test_too_old_question_can_be_retried(harness: Harness, tmp_path: Path) -> None:
    harness.model.answer = lambda _body: "blue whales"
    harness.model.tokens_per_second = 0.01
    ann = InlinePerson(harness)
    message = await ann.place("a question")
    await harness.model.wait_for(lambda: len(harness.model.requests) == 1)
    await harness.kill()
    with closing(sqlite3.connect(tmp_path / "parley.sqlite3")) as database:
        database.execute("UPDATE turns SET created_at = created_at - 86405")
        database.commit()
    await harness.start()
    await ann.wait_for(message, texts.QUESTION_OUTDATED_HERE)
    assert message.text == f"a question\n\n{texts.QUESTION_OUTDATED_HERE}"
    harness.model.tokens_per_second = 2000
    await ann.press(message, "Retry")
    await ann.wait_for(message, "blue whales")
    assert message.text == "a question\n\nblue whales"


async def test_erasing_a_person_erases_these_questions(harness: Harness, tmp_path: Path) -> None:
    ann = InlinePerson(harness)
    await ann.wait_for(await ann.place("repeat: heron-4711"), "\n\nheron-4711")
    await harness.stop()
    store = Store(harness.settings().core.database_url)
    await store.open(migrates=False)
    exported = await store.read(export_person, Person("telegram", str(ann.user.id)))
    assert "heron-4711" in str(exported.conversations)
    assert "heron-4711" in str(exported.suggested_questions)
    await store.write(erase_person, Person("telegram", str(ann.user.id)))
    await store.close()
    with closing(sqlite3.connect(tmp_path / "parley.sqlite3")) as database:
        left = "\n".join(database.iterdump())
    assert "heron-4711" not in left
    assert f":{ann.user.id}" not in left


async def test_forged_presses_change_nothing(harness: Harness) -> None:
    """A modified client sends any data as if it had pressed a button of any message."""
    harness.model.answer = lambda _body: "blue whales"
    ann, eve = InlinePerson(harness), InlinePerson(harness, "Eve")
    message, evil = await ann.place("a question"), await eve.place("another")
    await ann.wait_for(message, "blue whales")
    await eve.wait_for(evil, "blue whales")
    before, requests = (message.text, evil.text), len(harness.model.requests)
    presses = [
        f"{action}:{turn}" for action in ("stop", "retry", "with", "v", "again", "think", "m") for turn in (1, 2)
    ]
    for data in (*presses, "ask:1", "ask:", ""):
        await forge(eve, message, data)
    await settle(eve)
    assert (message.text, evil.text) == before
    assert len(harness.model.requests) == requests
    await harness.wait_until_stored(NO_OPEN_TURN)


async def forge(person: InlinePerson, message: Any, data: str) -> None:
    person.telegram.updates.add(
        "callback_query",
        {
            "id": str(next(person.telegram._query_ids)),
            "from": person.user.json(),
            "data": data,
            "inline_message_id": message.inline_id,
            "chat_instance": "1",
        },
        person.user.id,
    )
    person.telegram.notify_waiters()
