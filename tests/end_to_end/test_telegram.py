"""What people on Telegram live through."""

import asyncio
import time
from functools import partial

from bots.sandbox.model.script import long
from bots.sandbox.telegram import Chat, Person
from core.turns.words import NOT_YOURS
from tests.end_to_end.world import World, letters, texts


def last_is(alive: World, chat: Chat, text: str) -> bool:
    return texts(alive.telegram.messages(chat))[-1:] == [text]


async def test_a_private_chat_streams_drafts_and_ends_in_a_message(alive: World) -> None:
    telegram, model = alive.telegram, alive.model
    model.tokens_per_second = 20
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    text = "A growing answer. " * 12
    await telegram.say(ann, chat, f"repeat: {text}")
    await telegram.wait(lambda: texts(telegram.messages(chat)))
    assert texts(telegram.messages(chat)) == [text.strip()]
    shown = [draft.text for draft in telegram.drafts if draft.text]
    assert len(shown) >= 2
    assert all(text.startswith(part.rstrip()) for part in shown if part.startswith("A gr"))
    assert not telegram.live_drafts(chat)


async def test_a_group_is_answered_by_edits_and_only_when_addressed(alive: World) -> None:
    telegram = alive.telegram
    ann = telegram.person("Ann")
    chat = telegram.supergroup("Friends", ann)
    await telegram.say(ann, chat, "nobody asked the bot")
    question = await telegram.say(ann, chat, f"@{telegram.bot.username} repeat: hello, group")
    await telegram.wait(lambda: texts(telegram.messages(chat))[-1:] == ["hello, group"])
    assert len(texts(telegram.messages(chat))) == 1
    (answer,) = [m for m in telegram.messages(chat) if m.from_bot]
    assert answer.reply_to == question.id or getattr(answer.reply_to, "id", None) == question.id
    assert answer.edits
    assert not answer.reply_markup
    assert len(alive.model.requests) == 1


async def test_topics_are_conversations_of_their_own(alive: World) -> None:
    telegram, model = alive.telegram, alive.model
    ann = telegram.person("Ann")
    chat = telegram.forum("Forum", ann)
    one, two = telegram.topic(chat, "one"), telegram.topic(chat, "two")
    at = f"@{telegram.bot.username}"
    await telegram.say(ann, chat, f"{at} repeat: in one", thread=one)
    await telegram.wait(lambda: texts(telegram.messages(chat, one)) == ["in one"])
    await telegram.say(ann, chat, f"{at} repeat: in two", thread=two)
    await telegram.wait(lambda: texts(telegram.messages(chat, two)) == ["in two"])
    shown = [m["content"] for m in model.requests[-1].body["messages"] if m["role"] != "system"]
    assert shown == ["repeat: in two"]


async def test_two_people_in_a_group_do_not_share_context_until_they_choose_to(
    alive: World,
) -> None:
    telegram, model = alive.telegram, alive.model
    ann, bob = telegram.person("Ann"), telegram.person("Bob")
    chat = telegram.supergroup("Friends", ann, bob)
    at = f"@{telegram.bot.username}"

    def shown() -> list[str]:
        messages = model.requests[-1].body["messages"]
        return [m["content"] for m in messages if m["role"] != "system"]

    async def ask(person: Person, text: str) -> None:
        await telegram.say(person, chat, f"{at} repeat: {text}")
        await telegram.wait(lambda: text in texts(telegram.messages(chat)))

    await ask(ann, "Ann's secret")
    await ask(bob, "Bob's")
    assert shown() == ["repeat: Bob's"]
    await telegram.say(ann, chat, "/settings share on")
    await telegram.wait(lambda: "shares one" in texts(telegram.messages(chat))[-1])
    await ask(ann, "for all")
    await ask(bob, "and me")
    assert shown() == ["repeat: for all", "for all", "repeat: and me"]
    # What Ann asked before is hers alone, whatever a client pretends to press.
    count = len(texts(telegram.messages(chat)))
    last = telegram.messages(chat)[-1]
    forged = {"text": "Send again", "callback_data": "again:1"}
    last.reply_markup = {"inline_keyboard": [[forged]]}
    await telegram.press(bob, last, "again:1")
    await telegram.wait(lambda: len(texts(telegram.messages(chat))) > count)
    assert texts(telegram.messages(chat))[-1] == NOT_YOURS


async def test_a_model_is_switched_in_one_chat_and_not_in_another_and_survives_a_restart(
    alive: World,
) -> None:
    telegram, model = alive.telegram, alive.model
    ann, bob = telegram.person("Ann"), telegram.person("Bob")
    one, two = telegram.private(ann), telegram.private(bob)
    await telegram.say(ann, one, "/model phi-4")
    await telegram.wait(lambda: "phi-4" in " ".join(texts(telegram.messages(one))))
    await telegram.say(ann, one, "repeat: before")
    await telegram.wait(lambda: texts(telegram.messages(one))[-1:] == ["before"])
    await alive.stop()
    await alive.start()
    await telegram.say(ann, one, "repeat: after")
    await telegram.wait(lambda: texts(telegram.messages(one))[-1:] == ["after"])
    body = model.requests[-1].body
    assert body["model"] == "microsoft/phi-4"
    assert [m["content"] for m in body["messages"][1:]] == [
        "repeat: before", "before", "repeat: after",
    ]  # fmt: skip
    await telegram.say(bob, two, "repeat: mine")
    await telegram.wait(lambda: texts(telegram.messages(two))[-1:] == ["mine"])
    assert model.requests[-1].body["model"] == "meta-llama/Llama-3.3-70B-Instruct"


async def test_the_model_picker_turns_pages_and_picks(alive: World) -> None:
    telegram = alive.telegram
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    await telegram.say(ann, chat, "/model")

    def buttons() -> list[dict[str, str]]:
        messages = [m for m in telegram.messages(chat) if m.from_bot and m.reply_markup]
        markup = (messages[-1].reply_markup if messages else None) or {"inline_keyboard": []}
        rows = markup["inline_keyboard"]
        return [button for row in rows for button in row]

    await telegram.wait(buttons)
    first = [button["text"] for button in buttons()]
    assert any("k" in label for label in first)
    message = next(m for m in telegram.messages(chat) if m.from_bot)
    forward = next(b for b in buttons() if b["text"] == "▶")
    await telegram.press(ann, message, forward["callback_data"])
    await telegram.wait(lambda: [b["text"] for b in buttons()] != first)
    chosen = buttons()[0]
    await telegram.press(ann, message, chosen["callback_data"])
    await telegram.wait(lambda: "answers from now on" in texts(telegram.messages(chat))[-1])
    await telegram.say(ann, chat, "repeat: hi")
    await telegram.wait(lambda: "hi" in texts(telegram.messages(chat)))
    name = chosen["text"].removeprefix("✓ ").partition(" ·")[0]
    assert alive.model.requests[-1].body["model"].endswith(name)


async def test_stop_ends_a_stream_within_a_second_and_keeps_what_there_was(alive: World) -> None:
    telegram, model = alive.telegram, alive.model
    model.tokens_per_second = 30
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    await telegram.say(ann, chat, "long 5000")
    await telegram.wait(lambda: any(draft.text for draft in telegram.drafts))
    began = time.monotonic()
    await telegram.say(ann, chat, "/stop")
    await model.wait(lambda: model.requests[0].disconnected_at)
    assert (model.requests[0].disconnected_at or 0) - began < 1
    await telegram.wait(
        lambda: any("Section 1" in t and "Stopped" in t for t in texts(telegram.messages(chat)))
    )


async def test_the_clients_own_stop_ends_a_stream(alive: World) -> None:
    telegram, model = alive.telegram, alive.model
    model.tokens_per_second = 30
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    await telegram.say(ann, chat, "long 5000")
    await telegram.wait(lambda: any(draft.text for draft in telegram.drafts))
    draft = telegram.drafts[-1]
    assert draft.can_stop
    await telegram.stop_draft(chat, draft.draft_id)
    await model.wait(lambda: model.requests[0].disconnected_at, 2)


async def test_a_very_long_answer_arrives_whole_and_in_order(alive: World) -> None:
    telegram = alive.telegram
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    alive.model.tokens_per_second = 20_000
    expected = long(30_000)
    await telegram.say(ann, chat, "long 30000")
    await telegram.wait(
        lambda: letters("\n".join(texts(telegram.messages(chat)))) == letters(expected), 60
    )
    assert len(texts(telegram.messages(chat))) >= 8


async def test_thinking_is_seen_and_kept_out_of_the_answer_and_the_history(alive: World) -> None:
    telegram, model = alive.telegram, alive.model
    model.tokens_per_second = 100
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    await telegram.say(ann, chat, "/model DeepSeek-R1")
    await telegram.wait(lambda: texts(telegram.messages(chat)))
    await telegram.say(ann, chat, "repeat: thought through")
    await telegram.wait(lambda: texts(telegram.messages(chat))[-1:] == ["thought through"])
    assert any("Thinking" in draft.text or not draft.text for draft in telegram.drafts)
    await telegram.say(ann, chat, "repeat: again")
    await telegram.wait(lambda: texts(telegram.messages(chat))[-1:] == ["again"])
    shown = [m["content"] for m in model.requests[-1].body["messages"][1:]]
    assert shown == ["repeat: thought through", "thought through", "repeat: again"]


async def test_new_leaves_out_what_was_said_and_retry_asks_again(alive: World) -> None:
    telegram, model = alive.telegram, alive.model
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    for text in ("one", "two"):
        await telegram.say(ann, chat, f"repeat: {text}")
        await telegram.wait(partial(last_is, alive, chat, text))
    await telegram.say(ann, chat, "/retry")
    await telegram.wait(lambda: texts(telegram.messages(chat)) == ["one", "two", "two"])
    shown = [m["content"] for m in model.requests[-1].body["messages"][1:]]
    assert shown == ["repeat: one", "one", "repeat: two"]
    await telegram.say(ann, chat, "/new")
    await telegram.wait(lambda: "new conversation" in texts(telegram.messages(chat))[-1])
    await telegram.say(ann, chat, "repeat: three")
    await telegram.wait(lambda: texts(telegram.messages(chat))[-1:] == ["three"])
    assert [m["content"] for m in model.requests[-1].body["messages"][1:]] == ["repeat: three"]


async def test_what_can_not_be_answered_is_told(alive: World) -> None:
    telegram = alive.telegram
    ann = telegram.person("Ann")
    chat = telegram.private(ann)

    async def says(action: object, expected: str) -> None:
        before = len(telegram.messages(chat))
        await action  # type: ignore[misc]
        await telegram.wait(
            lambda: any(expected in t for t in texts(telegram.messages(chat)[before:]))
        )

    await says(telegram.send_sticker(ann, chat), "sticker")
    await says(telegram.say(ann, chat, "/nonsense"), "do not know")
    await says(telegram.say(ann, chat, "/model nothing-like-it-xyz"), "No model is called")
    await says(telegram.say(ann, chat, "error 503"), "cannot be reached")
    await says(telegram.say(ann, chat, "error 401"), "key")
    await says(telegram.say(ann, chat, "empty"), "no answer")
    await says(telegram.say(ann, chat, "cut"), "broke off")
    await says(telegram.say(ann, chat, "/help"), "/model")
    await says(telegram.say(ann, chat, "/usage"), "tokens")
    await says(telegram.say(ann, chat, "/models granite"), "granite")
    await says(telegram.say(ann, chat, "/system answer in rhymes"), "follows these")
    assert telegram.refused(429) == []


async def test_a_model_that_vanished_is_told(alive: World) -> None:
    telegram, model = alive.telegram, alive.model
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    await telegram.say(ann, chat, "/model phi-4")
    await telegram.wait(lambda: texts(telegram.messages(chat)))
    del model.models["microsoft/phi-4"]
    await telegram.say(ann, chat, "hello?")
    await telegram.wait(lambda: "not available any more" in texts(telegram.messages(chat))[-1])


async def test_messages_that_came_while_it_was_away_are_answered_in_order(alive: World) -> None:
    telegram = alive.telegram
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    await alive.stop()
    for number in range(4):
        await telegram.say(ann, chat, f"repeat: {number}")
    await alive.start()
    await telegram.wait(lambda: texts(telegram.messages(chat)) == ["0", "1", "2", "3"])


async def test_an_answer_interrupted_by_a_kill_is_finished_after_the_restart(
    alive: World,
) -> None:
    telegram, model = alive.telegram, alive.model
    model.tokens_per_second = 20
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    text = "word " * 60
    await telegram.say(ann, chat, f"repeat: {text}")
    await telegram.wait(lambda: any(draft.text for draft in telegram.drafts))
    await alive.kill()
    model.tokens_per_second = 2000
    await alive.start()
    await telegram.wait(lambda: texts(telegram.messages(chat)) == [text.strip()], 20)
    await asyncio.sleep(0)
    assert len(model.requests) == 2


async def test_closed_access_costs_no_token_and_a_code_opens_it(alive: World) -> None:
    from core.store.database import Store
    from core.turns.access import new_code

    telegram = alive.telegram
    await alive.stop()
    await alive.start(access="pairing")
    ann, eve = telegram.person("Ann"), telegram.person("Eve")
    own, other = telegram.private(ann), telegram.private(eve)
    store = Store(alive.settings().database_url)
    code = await new_code(store)
    await telegram.say(eve, other, "/start AAAAA-AAAAA")
    await telegram.say(eve, other, "hello")
    await telegram.say(ann, own, f"/start {code}")
    await telegram.wait(lambda: any("Hello" in t for t in texts(telegram.messages(own))))
    await telegram.say(eve, other, f"/start {code}")
    await telegram.say(ann, own, "repeat: it is open")
    await telegram.wait(lambda: "it is open" in texts(telegram.messages(own)))
    assert texts(telegram.messages(other)) == []
    assert len(alive.model.requests) == 1
    await store.close()
