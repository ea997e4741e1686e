"""Conversations on Telegram, end to end."""

import asyncio
from functools import partial
from typing import Any

from bots.sandbox.model.script import long_document
from bots.sandbox.telegram import Chat, Message, User
from core.store.batches import MAX_JOINED_CHARS
from core.texts.answers import ACCESS_DENIED, NOT_YOUR_ANSWER
from tests.end_to_end.harness import Harness, bot_texts, letters_only


def last_text_is(harness: Harness, chat: Chat, text: str) -> bool:
    return bot_texts(harness.telegram.messages(chat))[-1:] == [text]


async def test_private_chat_streams_drafts(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    model.tokens_per_second = 20
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    text = "A growing answer. " * 12
    await telegram.send_message(ann, chat, f"repeat: {text}")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat)))
    assert bot_texts(telegram.messages(chat)) == [text.strip()]
    previews = [draft.text for draft in telegram.draft_log if draft.text]
    assert len(previews) >= 2
    assert all(text.startswith(part.rstrip()) for part in previews if part.startswith("A gr"))
    assert not telegram.live_drafts(chat)


async def test_group_is_answered_by_edits_when_mentioned(harness: Harness) -> None:
    telegram = harness.telegram
    harness.model.tokens_per_second = 10
    ann = telegram.create_user("Ann")
    chat = telegram.create_supergroup("Friends", ann)
    await telegram.send_message(ann, chat, "nobody asked the bot")
    question = await telegram.send_message(ann, chat, f"@{telegram.bot.username} repeat: hello, group")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat))[-1:] == ["hello, group"])
    assert len(bot_texts(telegram.messages(chat))) == 1
    (answer,) = [m for m in telegram.messages(chat) if m.from_bot]
    assert answer.reply_to_id == question.id or getattr(answer.reply_to_id, "id", None) == question.id
    assert answer.previous_texts
    assert [button["text"] for button in answer.buttons] == ["Retry", "Model"]
    assert len(harness.model.requests) == 1


async def test_topics_are_own_conversations(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    ann = telegram.create_user("Ann")
    chat = telegram.create_forum("Forum", ann)
    one, two = telegram.create_topic(chat, "one"), telegram.create_topic(chat, "two")
    at = f"@{telegram.bot.username}"
    await telegram.send_message(ann, chat, f"{at} repeat: in one", thread=one)
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat, one)) == ["in one"])
    await telegram.send_message(ann, chat, f"{at} repeat: in two", thread=two)
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat, two)) == ["in two"])
    sent = [m["content"] for m in model.requests[-1].body["messages"] if m["role"] != "system"]
    assert sent == ["repeat: in two"]


async def test_group_context_is_personal_by_default(
    harness: Harness,
) -> None:
    telegram, model = harness.telegram, harness.model
    ann, bob = telegram.create_user("Ann"), telegram.create_user("Bob")
    chat = telegram.create_supergroup("Friends", ann, bob)
    at = f"@{telegram.bot.username}"

    def sent() -> list[str]:
        messages = model.requests[-1].body["messages"]
        return [m["content"] for m in messages if m["role"] != "system"]

    async def ask(person: User, text: str) -> None:
        await telegram.send_message(person, chat, f"{at} repeat: {text}")
        await telegram.wait_for(lambda: text in bot_texts(telegram.messages(chat)))

    await ask(ann, "Ann's secret")
    await ask(bob, "Bob's")
    assert sent() == ["repeat: Bob's"]
    await telegram.send_message(ann, chat, "/settings share on")
    await telegram.wait_for(lambda: "shares one" in bot_texts(telegram.messages(chat))[-1])
    await ask(ann, "for all")
    await ask(bob, "and me")
    assert sent() == ["repeat: for all", "for all", "repeat: and me"]
    # Ann's earlier questions stay hers, whatever button another client claims to press.
    count = len(bot_texts(telegram.messages(chat)))
    last = telegram.messages(chat)[-1]
    forged = {"text": "Send again", "callback_data": "again:1"}
    last.reply_markup = {"inline_keyboard": [[forged]]}
    await telegram.press_button(bob, last, "again:1")
    await telegram.wait_for(lambda: len(bot_texts(telegram.messages(chat))) > count)
    assert bot_texts(telegram.messages(chat))[-1] == NOT_YOUR_ANSWER


async def test_model_choice_is_per_chat_and_survives_restart(
    harness: Harness,
) -> None:
    telegram, model = harness.telegram, harness.model
    ann, bob = telegram.create_user("Ann"), telegram.create_user("Bob")
    one, two = telegram.open_private_chat(ann), telegram.open_private_chat(bob)
    await telegram.send_message(ann, one, "/model phi-4")
    await telegram.wait_for(lambda: "phi-4" in " ".join(bot_texts(telegram.messages(one))))
    await telegram.send_message(ann, one, "repeat: before")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(one))[-1:] == ["before"])
    await harness.stop()
    await harness.start()
    await telegram.send_message(ann, one, "repeat: after")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(one))[-1:] == ["after"])
    body = model.requests[-1].body
    assert body["model"] == "microsoft/phi-4"
    assert [m["content"] for m in body["messages"][1:]] == [
        "repeat: before",
        "before",
        "repeat: after",
    ]
    await telegram.send_message(bob, two, "repeat: mine")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(two))[-1:] == ["mine"])
    assert model.requests[-1].body["model"] == "meta-llama/Llama-3.3-70B-Instruct"


async def test_stop_ends_stream_and_keeps_text(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    model.tokens_per_second = 30
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    await telegram.send_message(ann, chat, "long 5000")
    await telegram.wait_for(lambda: any("Section 1" in draft.text for draft in telegram.draft_log))
    await telegram.send_message(ann, chat, "/stop")
    await model.wait_for(lambda: model.requests[0].disconnected_at)
    assert not model.requests[0].is_completed
    await telegram.wait_for(
        lambda: any("Section 1" in t and "Stopped" in t for t in bot_texts(telegram.messages(chat)))
    )


async def test_client_stop_ends_stream(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    model.tokens_per_second = 30
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    await telegram.send_message(ann, chat, "long 5000")
    await telegram.wait_for(lambda: any(draft.text for draft in telegram.draft_log))
    draft = telegram.draft_log[-1]
    assert draft.can_stop
    await telegram.stop_draft(chat, draft.draft_id)
    await model.wait_for(lambda: model.requests[0].disconnected_at)


async def test_long_answer_arrives_in_order(harness: Harness) -> None:
    await harness.stop()
    await harness.start(answer_messages=50)
    telegram = harness.telegram
    telegram.has_rich_messages = False
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    harness.model.tokens_per_second = 20_000
    expected = long_document(30_000)
    await telegram.send_message(ann, chat, "long 30000")
    await telegram.wait_for(
        lambda: letters_only("\n".join(bot_texts(telegram.messages(chat)))) == letters_only(expected),
        60,
    )
    assert len(bot_texts(telegram.messages(chat))) >= 8


async def test_reasoning_is_not_in_answer_or_history(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    model.tokens_per_second = 100
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    await telegram.send_message(ann, chat, "/model DeepSeek-R1")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat)))
    await telegram.send_message(ann, chat, "repeat: thought through")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat))[-1:] == ["thought through"])
    assert any("Thinking" in draft.text or not draft.text for draft in telegram.draft_log)
    await telegram.send_message(ann, chat, "repeat: again")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat))[-1:] == ["again"])
    sent = [m["content"] for m in model.requests[-1].body["messages"][1:]]
    assert sent == ["repeat: thought through", "thought through", "repeat: again"]


async def test_new_clears_history_and_retry_repeats(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    for text in ("one", "two"):
        await telegram.send_message(ann, chat, f"repeat: {text}")
        await telegram.wait_for(partial(last_text_is, harness, chat, text))
    await telegram.send_message(ann, chat, "/retry")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat)) == ["one", "two", "two"])
    sent = [m["content"] for m in model.requests[-1].body["messages"][1:]]
    assert sent == ["repeat: one", "one", "repeat: two"]
    await telegram.send_message(ann, chat, "/new")
    await telegram.wait_for(lambda: "New conversation" in bot_texts(telegram.messages(chat))[-1])
    await telegram.send_message(ann, chat, "repeat: three")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat))[-1:] == ["three"])
    assert [m["content"] for m in model.requests[-1].body["messages"][1:]] == ["repeat: three"]


async def test_unsupported_message_is_reported(harness: Harness) -> None:
    telegram = harness.telegram
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)

    async def says(action: object, expected: str) -> None:
        before = len(telegram.messages(chat))
        await action  # type: ignore[misc]
        await telegram.wait_for(lambda: any(expected in t for t in bot_texts(telegram.messages(chat)[before:])))

    await says(telegram.send_sticker(ann, chat), "sticker")
    await says(telegram.send_message(ann, chat, "/halp"), "Unknown command. Did you mean /help?")
    await says(telegram.send_message(ann, chat, "/model nothing-like-it-xyz"), "No model matches")
    await says(telegram.send_message(ann, chat, "error 503"), "is unavailable")
    await says(telegram.send_message(ann, chat, "error 401"), "key")
    await says(telegram.send_message(ann, chat, "empty"), "no answer")
    await says(telegram.send_message(ann, chat, "cut"), "was cut off")
    await says(telegram.send_message(ann, chat, "/help"), "/model")
    await says(telegram.send_message(ann, chat, "/usage"), "Tokens you used today")
    await says(telegram.send_message(ann, chat, "/models granite"), "granite")
    await says(telegram.send_message(ann, chat, "/system answer in rhymes"), "Instructions changed")
    assert telegram.calls_with_status(429) == []


async def test_removed_model_is_reported(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    await telegram.send_message(ann, chat, "/model phi-4")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat)))
    del model.models["microsoft/phi-4"]
    await telegram.send_message(ann, chat, "hello?")
    await telegram.wait_for(lambda: "no longer available" in bot_texts(telegram.messages(chat))[-1])


async def test_messages_sent_while_offline_are_answered_in_order(harness: Harness) -> None:
    telegram = harness.telegram
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    await harness.stop()
    answers = [f"{number} ".ljust(MAX_JOINED_CHARS, "x") for number in range(4)]
    for answer in answers:
        await telegram.send_message(ann, chat, f"repeat: {answer}")
    await harness.start()
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat)) == answers)


async def test_interrupted_answer_is_finished_after_restart(
    harness: Harness,
) -> None:
    telegram, model = harness.telegram, harness.model
    model.tokens_per_second = 20
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    text = "word " * 60
    await telegram.send_message(ann, chat, f"repeat: {text}")
    await telegram.wait_for(lambda: any(draft.text for draft in telegram.draft_log))
    await harness.kill()
    model.tokens_per_second = 2000
    await harness.start()
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat)) == [text.strip()], 20)
    await asyncio.sleep(0)
    assert len(model.requests) == 2


async def test_closed_access_costs_no_tokens_and_code_opens_it(harness: Harness) -> None:
    from core.store.database import Store
    from core.turns.access_control import create_pairing_code

    telegram = harness.telegram
    await harness.stop()
    await harness.start(access="pairing")
    ann, eve = telegram.create_user("Ann"), telegram.create_user("Eve")
    own, other = telegram.open_private_chat(ann), telegram.open_private_chat(eve)
    store = Store(harness.settings().core.database_url)
    code = await create_pairing_code(store)
    await telegram.send_message(eve, other, "/start AAAAA-AAAAA")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(other)) == [ACCESS_DENIED])
    await telegram.send_message(eve, other, "hello")
    await telegram.send_message(ann, own, f"/start {code}")
    await telegram.wait_for(lambda: any("Hello" in t for t in bot_texts(telegram.messages(own))))
    await telegram.send_message(eve, other, f"/start {code}")
    await telegram.send_message(ann, own, "repeat: it is open")
    await telegram.wait_for(lambda: "it is open" in bot_texts(telegram.messages(own)))
    assert bot_texts(telegram.messages(other)) == [ACCESS_DENIED], "once"
    assert len(harness.model.requests) == 1
    await store.close()


async def test_administrator_who_asked_anonymously_may_stop(harness: Harness) -> None:
    """Telegram shows the question as the group's, and the press as the person's."""
    telegram, model = harness.telegram, harness.model
    model.tokens_per_second = 20
    owner, bob = telegram.create_user("Owner"), telegram.create_user("Bob")
    chat = telegram.create_group("Team", owner, bob)
    as_group: dict[str, Any] = {"sender_chat": chat.json(), "from": {"id": 1, "is_bot": True, "first_name": "Group"}}
    await telegram.send_message(owner, chat, f"@{telegram.bot.username} long 20000", **as_group)

    def stop_buttons() -> list[tuple[Message, str]]:
        messages = telegram.messages(chat)
        return [(m, b["callback_data"]) for m in messages for b in m.buttons if b["text"] == "Stop"]

    await telegram.wait_for(stop_buttons)
    ((preview, stop),) = stop_buttons()
    await telegram.press_button(bob, preview, stop)
    await telegram.wait_for(lambda: NOT_YOUR_ANSWER in bot_texts(telegram.messages(chat)))
    assert stop_buttons()
    await telegram.press_button(owner, preview, stop)
    await telegram.wait_for(lambda: "Stopped." in "".join(bot_texts(telegram.messages(chat))))
    assert not stop_buttons()


async def test_administrators_of_a_group_change_settings_for_everyone(harness: Harness) -> None:
    telegram = harness.telegram
    owner, bob = telegram.create_user("Owner"), telegram.create_user("Bob")
    chat = telegram.create_group("Team", owner, bob)

    async def reply_to(user: User, text: str, **fields: Any) -> str:
        count = len(bot_texts(telegram.messages(chat)))
        await telegram.send_message(user, chat, text, **fields)
        await telegram.wait_for(lambda: len(bot_texts(telegram.messages(chat))) > count)
        return bot_texts(telegram.messages(chat))[-1]

    assert await reply_to(bob, "/settings share on") == "Only managers of this chat can change this for everyone."
    assert (await reply_to(owner, "/settings share on")).endswith("Changed by Owner for everyone here")
    assert (await reply_to(owner, "/model phi-4")).endswith("(this chat)\nChanged by Owner for everyone here")
    assert (await reply_to(bob, "/model llama-3.3")).endswith("(your messages in this chat)")
    asked = [int(call.params["user_id"]) for call in telegram.calls if call.method.lower() == "getchatmember"]
    assert sorted(asked) == sorted([bob.id, owner.id]), "once for each, not for each command"
    as_group: dict[str, Any] = {"sender_chat": chat.json(), "from": {"id": 1, "is_bot": True, "first_name": "Group"}}
    assert (await reply_to(owner, "/model phi-4 me", **as_group)).startswith(
        "You are writing as the group, so I can't tell"
    )
    assert "(this chat)" in await reply_to(owner, "/model phi-4", **as_group)


async def test_model_notifies_nobody(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    ann, bob = telegram.create_user("Ann"), telegram.create_user("Bob", username="bob_builder")
    chat = telegram.create_group("Team", ann, bob)
    model.answer = lambda _body: "@bob_builder, @**bob_builder** and ann@example.org: see https://t.me/@bob_builder"
    await telegram.send_message(ann, chat, f"@{telegram.bot.username} whom did I mention?")
    await telegram.wait_for(lambda: "bob_builder" in "".join(bot_texts(telegram.messages(chat))))
    (answer,) = (message for message in telegram.messages(chat) if message.from_bot)
    assert {entity["type"] for entity in answer.entities} == {"bold", "email", "url"}
    assert "ann@example.org" in answer.text
