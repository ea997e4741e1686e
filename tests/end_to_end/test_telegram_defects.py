"""Defects seen in other Telegram bots, which must not happen here.

Covered elsewhere: an answer cut, sent again for each token, or lost beyond 4096 characters
(test_telegram: a very long answer); two quick messages interleaved (test_telegram: in order);
a send repeated after a time-out (test_bad_day: not sent twice); one chat's wait holding others
(test_bad_day: a wait survives a restart); threads of mere replies taken for topics, mentions
sliced in the middle of an emoji (bots/telegram/test_translate); the token in logs and addresses
(bots/telegram/test_receiving, test_files); updates lost in a crash (bots/telegram/test_receiving,
faults/test_kill); an update nobody can read (test_receiving, test_webhook); a group that moves
(test_bad_day, core/store/test_moves).
"""

import time

from bots.sandbox.model.script import long
from bots.sandbox.telegram import Call, Fault
from tests.end_to_end.world import World, letters, texts


async def test_a_429_on_previews_does_not_stall_the_models_stream(alive: World) -> None:
    telegram, model = alive.telegram, alive.model
    model.tokens_per_second = 100
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    text = "A steady stream. " * 30

    def flood(call: Call) -> Fault | None:
        return Fault("429", 4) if call.method.lower() == "sendmessagedraft" else None

    telegram.faults = flood
    begun = time.monotonic()
    await telegram.say(ann, chat, f"repeat: {text}")
    await model.wait(lambda: bool(model.requests) and model.requests[-1].completed)
    assert time.monotonic() - begun < 3.5, "the reader waits for nobody"
    await telegram.wait(lambda: texts(telegram.messages(chat)) == [text.strip()], 15)
    assert telegram.early() == []


async def test_a_429_on_the_last_edit_is_waited_out_and_the_whole_answer_comes(
    alive: World,
) -> None:
    telegram = alive.telegram
    alive.model.tokens_per_second = 40
    ann = telegram.person("Ann")
    group = telegram.supergroup("Friends", ann)
    text = "whole at last " * 12
    refused: list[Call] = []

    def last_edit(call: Call) -> Fault | None:
        whole = letters(str(call.params.get("text"))) == letters(text)
        if call.method.lower() != "editmessagetext" or not whole or refused:
            return None
        refused.append(call)
        return Fault("429", 2)

    telegram.faults = last_edit
    await telegram.say(ann, group, f"@{telegram.bot.username} repeat: {text}")
    await telegram.wait(lambda: texts(telegram.messages(group)) == [text.strip()], 20)
    assert refused
    assert telegram.early() == []


async def test_the_history_keeps_an_answer_whole_however_many_messages_it_became(
    alive: World,
) -> None:
    telegram, model = alive.telegram, alive.model
    model.tokens_per_second = 20_000
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    expected = long(9_000)
    await telegram.say(ann, chat, "long 9000")
    await telegram.wait(
        lambda: letters("\n".join(texts(telegram.messages(chat)))) == letters(expected), 30
    )
    await telegram.say(ann, chat, "repeat: next")
    await telegram.wait(lambda: texts(telegram.messages(chat))[-1] == "next")
    shown = [m["content"] for m in model.requests[-1].body["messages"] if m["role"] == "assistant"]
    assert [letters(one) for one in shown] == [letters(expected)]


async def test_a_button_pressed_by_somebody_who_is_not_allowed_does_nothing(alive: World) -> None:
    telegram, model = alive.telegram, alive.model
    ann, eve = telegram.person("Ann"), telegram.person("Eve")
    group = telegram.supergroup("Friends", ann, eve)
    at = f"@{telegram.bot.username}"
    await telegram.say(ann, group, f"{at} error 401")
    await telegram.wait(lambda: "[Retry]" in telegram.visible(group))
    answer = next(m for m in telegram.messages(group) if m.from_bot)
    assert answer.reply_markup is not None
    retry = answer.reply_markup["inline_keyboard"][0][0]["callback_data"]
    await alive.stop()
    await alive.start(access="pairing")
    asked = len(model.requests)
    await telegram.press(eve, answer, retry)
    await telegram.say(eve, group, f"{at} repeat: mine")
    await telegram.wait(lambda: not telegram.updates.pending)
    await alive.stop()
    assert len(model.requests) == asked
    assert len(texts(telegram.messages(group))) == 1


async def test_a_person_who_blocked_the_bot_costs_no_more_tokens(alive: World) -> None:
    telegram, model = alive.telegram, alive.model
    model.tokens_per_second = 20
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    await telegram.say(ann, chat, f"repeat: {'on and on ' * 100}")
    await telegram.wait(lambda: any("on and on" in draft.text for draft in telegram.drafts))
    await telegram.block(ann)
    await model.wait(lambda: model.requests[-1].disconnected_at is not None)
    assert not model.requests[-1].completed
