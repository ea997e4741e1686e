"""What people see when a platform or the process fails at the worst moment."""

import asyncio
from collections.abc import Callable

from bots.sandbox.model import ScriptedAnswer
from bots.sandbox.telegram import Call, Chat, Fault, FaultKind, User
from core.texts import answers as texts
from tests.end_to_end.harness import Harness, bot_texts


def fail_first(method: str, fault: Fault) -> tuple[Callable[[Call], Fault | None], asyncio.Event]:
    """Inject `fault` into the first call of `method`; the event is set when it happens."""
    met = asyncio.Event()

    def order(call: Call) -> Fault | None:
        if call.method.lower() != method.lower() or met.is_set():
            return None
        met.set()
        return fault

    return order, met


async def press_send_again(harness: Harness, person: User, chat: Chat) -> None:
    doubt = harness.telegram.messages(chat)[-1]
    assert doubt.reply_markup is not None
    ((button,),) = doubt.reply_markup["inline_keyboard"]
    assert button["text"] == "Send again"
    await harness.telegram.press_button(person, doubt, button["callback_data"])


async def test_rate_limit_survives_restart(harness: Harness) -> None:
    telegram = harness.telegram
    ann, bob = telegram.create_user("Ann"), telegram.create_user("Bob")
    chat, other = telegram.open_private_chat(ann), telegram.open_private_chat(bob)
    telegram.fault_hook, met = fail_first("sendMessage", Fault(FaultKind.RATE_LIMITED, 20))
    await telegram.send_message(ann, chat, "repeat: after the wait")
    async with asyncio.timeout(10):
        await met.wait()
    await telegram.wait_for(telegram.calls_with_status)
    await harness.wait_until_stored("SELECT 1 FROM rate_limits")
    await harness.kill()
    await harness.start()
    await telegram.send_message(bob, other, "repeat: at once")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(other)) == ["at once"])
    assert bot_texts(telegram.messages(chat)) == []
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat)) == ["after the wait"], 40)
    assert telegram.early_calls() == []


async def test_uncertain_message_is_not_sent_twice(
    harness: Harness,
) -> None:
    telegram = harness.telegram
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    telegram.fault_hook, _ = fail_first("sendMessage", Fault(FaultKind.DROP_AFTER))
    question = await telegram.send_message(ann, chat, "repeat: once")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat)) == ["once", texts.DELIVERY_UNCERTAIN])
    assert telegram.messages(chat)[-1].reply_to_id == question.id
    await press_send_again(harness, ann, chat)
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat)) == ["once", texts.DELIVERY_UNCERTAIN, "once"])
    assert len(harness.model.requests) == 1, "the model was not asked again"


async def test_lost_message_can_be_requested_again(harness: Harness) -> None:
    telegram = harness.telegram
    ann, bob = telegram.create_user("Ann"), telegram.create_user("Bob")
    group = telegram.create_supergroup("Friends", ann, bob)
    chat = telegram.open_private_chat(ann)
    telegram.fault_hook, _ = fail_first("sendMessage", Fault(FaultKind.DROP_BEFORE))
    await telegram.send_message(ann, chat, "repeat: lost")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat)) == [texts.DELIVERY_UNCERTAIN])
    await press_send_again(harness, ann, chat)
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat)) == [texts.DELIVERY_UNCERTAIN, "lost"])
    # Edits are repeated because they are idempotent.
    telegram.fault_hook, met = fail_first("editMessageText", Fault(FaultKind.DROP_BEFORE))
    go_on = asyncio.Event()
    harness.model.answer = lambda _body: ScriptedAnswer("edited in a few words", hold_until=go_on)
    await telegram.send_message(ann, group, f"@{telegram.bot.username} hello")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(group)))
    go_on.set()
    async with asyncio.timeout(10):
        await met.wait()
    await telegram.wait_for(lambda: bot_texts(telegram.messages(group)) == ["edited in a few words"])


async def test_kill_during_send_leaves_one_answer(
    harness: Harness,
) -> None:
    telegram = harness.telegram
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    telegram.fault_hook, met = fail_first("sendMessage", Fault(FaultKind.DELAY, 0.5))
    await telegram.send_message(ann, chat, "repeat: once")
    async with asyncio.timeout(10):
        await met.wait()
    await harness.kill()
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat)) == ["once"])
    await harness.start()
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat)) == ["once", texts.DELIVERY_UNCERTAIN])


async def test_group_migration_keeps_everything(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    ann = telegram.create_user("Ann")
    group = telegram.create_group("Friends", ann)
    at = f"@{telegram.bot.username}"
    await telegram.send_message(ann, group, f"{at} repeat: before")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(group))[-1:] == ["before"])
    await telegram.send_message(ann, group, "/model phi-4")
    await telegram.wait_for(lambda: "phi-4" in bot_texts(telegram.messages(group))[-1])
    model.tokens_per_second = 20
    await telegram.send_message(ann, group, f"{at} repeat: {'on its way ' * 60}")
    await telegram.wait_for(lambda: "on its way" in bot_texts(telegram.messages(group))[-1])
    moved = await telegram.migrate_to_supergroup(group)
    await telegram.wait_for(lambda: bot_texts(telegram.messages(moved))[-1:] == [("on its way " * 60).strip()], 30)
    model.tokens_per_second = 2000
    await telegram.send_message(ann, moved, f"{at} repeat: after")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(moved))[-1:] == ["after"])
    body = model.requests[-1].body
    assert body["model"] == "microsoft/phi-4"
    assert "repeat: before" in str(body["messages"])


async def test_flooding_user_is_notified_and_delays_no_other(harness: Harness) -> None:
    await harness.stop()
    await harness.start(messages_a_minute=4)
    telegram = harness.telegram
    ann, bob = telegram.create_user("Ann"), telegram.create_user("Bob")
    chat, other = telegram.open_private_chat(ann), telegram.open_private_chat(bob)
    for number in range(20):
        await telegram.send_message(ann, chat, f"repeat: {number}")
    await telegram.send_message(bob, other, "repeat: mine")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(other)) == ["mine"])
    await telegram.wait_for(lambda: texts.TOO_FAST in "".join(bot_texts(telegram.messages(chat))), 60)
    assert "".join(bot_texts(telegram.messages(chat))).count(texts.TOO_FAST) == 1
