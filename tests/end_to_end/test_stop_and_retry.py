"""Retry answers the question that it is under, and /stop says what it did, on both platforms."""

from bots.sandbox.model.faults import http_error
from core.texts import answers
from core.texts import commands as texts
from tests.end_to_end.chat_with_buttons import NO_OPEN_TURN, PLATFORMS, ChatWithButtons, conversation
from tests.end_to_end.harness import Harness
from tests.end_to_end.private_chat import PrivateChat


@PLATFORMS
async def test_retry_under_an_older_answer_to_the_same_question_keeps_the_last_one(
    harness: Harness, platform: str
) -> None:
    chat = ChatWithButtons(harness, platform)
    for text in ("one", "two", "one"):
        await chat.ask(f"repeat: {text}", text)
    oldest = next(message for message in chat.server.messages(chat.chat) if message.from_bot)
    await chat.press("Retry", oldest)
    await harness.model.wait_for(lambda: len(harness.model.requests) == 4)
    await harness.wait_until_stored(NO_OPEN_TURN)
    assert conversation(harness)[-1] == "repeat: one"
    await chat.ask("repeat: three", "three")
    asked_again = ("repeat: one", "one")
    assert conversation(harness) == [*asked_again, "repeat: two", "two", *asked_again * 2, "repeat: three"]


@PLATFORMS
async def test_stop_confirms_what_was_stopped_just_before(harness: Harness, platform: str) -> None:
    chat, model = PrivateChat(harness, platform), harness.model
    model.tokens_per_second = 5
    await chat.say("long 5000")
    await model.wait_for(lambda: len(model.requests) == 1)
    await chat.ask("/stop", answers.STOPPED)
    await harness.wait_until_stored(NO_OPEN_TURN)
    await chat.ask("/stop", answers.STOPPED)
    assert not any(texts.NOTHING_TO_STOP in text for text in chat.texts), chat.texts
    model.tokens_per_second = 2000
    await chat.ask("repeat: next", "next")
    await harness.wait_until_stored(NO_OPEN_TURN)
    await chat.ask("/stop", texts.NOTHING_TO_STOP)


@PLATFORMS
async def test_refusal_in_a_private_chat_replies_to_its_question(harness: Harness, platform: str) -> None:
    await harness.stop()
    await harness.start(person_messages=1)
    chat = ChatWithButtons(harness, platform)
    await chat.ask("repeat: one", "one")
    question = await chat.server.send_message(chat.person, chat.chat, "repeat: two")
    await chat.wait_for("You've reached today's limit of 1 question.*")
    assert chat.server.messages(chat.chat)[-1].reply_to_id == question.id
    answered = [message.reply_to_id for message in chat.server.messages(chat.chat) if message.from_bot]
    assert answered == [None, question.id], "an answer follows its question anyway"


@PLATFORMS
async def test_failed_question_in_a_private_chat_is_replied_to(harness: Harness, platform: str) -> None:
    chat = ChatWithButtons(harness, platform)
    harness.model.fail_next(http_error(400, "Invalid request"))
    refused = await chat.server.send_message(chat.person, chat.chat, "repeat: one")
    await chat.wait_for(".*rejected this request.*")
    await chat.ask("repeat: two", "two")
    await chat.ask("/model AceMath-7B-Instruct", "Model: .*")
    long = await chat.server.send_message(chat.person, chat.chat, "1234567890" * 199)
    await chat.wait_for(".*AceMath-7B-Instruct has room for.*")
    replies = [message.reply_to_id for message in chat.server.messages(chat.chat) if message.from_bot]
    assert [reply for reply in replies if reply is not None] == [refused.id, long.id]
    assert replies[-1] == long.id


@PLATFORMS
async def test_only_the_person_who_presses_reads_that_the_answer_is_somebody_elses(
    harness: Harness, platform: str
) -> None:
    chat = ChatWithButtons(harness, platform, others=("Bob",))
    await chat.ask("repeat: one", "one")
    answer, bob = chat.server.messages(chat.chat)[-1], chat.others[0]
    await chat.server.press_button(bob, answer, chat.buttons(answer)["Retry"])
    await chat.wait_for(answers.NOT_YOUR_ANSWER)
    refusal = chat.server.messages(chat.chat)[-1]
    assert (refusal.receiver is bob) if chat.is_telegram else (refusal.ephemeral_to == bob.id)
