"""What people see when the platform or the process fails in the wrong moment."""

import asyncio
from collections.abc import Callable

from bots.sandbox.telegram import Call, Chat, Fault, Person
from core.turns import words
from tests.end_to_end.world import World, texts


def first(method: str, fault: Fault) -> tuple[Callable[[Call], Fault | None], asyncio.Event]:
    """Orders `fault` for the first call of `method`; the event tells when it came."""
    met = asyncio.Event()

    def order(call: Call) -> Fault | None:
        if call.method.lower() != method.lower() or met.is_set():
            return None
        met.set()
        return fault

    return order, met


async def press_again(alive: World, person: Person, chat: Chat) -> None:
    doubt = alive.telegram.messages(chat)[-1]
    assert doubt.reply_markup is not None
    ((button,),) = doubt.reply_markup["inline_keyboard"]
    assert button["text"] == "Send again"
    await alive.telegram.press(person, doubt, button["callback_data"])


async def test_a_wait_the_platform_asked_for_survives_a_restart(alive: World) -> None:
    telegram = alive.telegram
    ann, bob = telegram.person("Ann"), telegram.person("Bob")
    chat, other = telegram.private(ann), telegram.private(bob)
    telegram.faults, met = first("sendMessage", Fault("429", 20))
    await telegram.say(ann, chat, "repeat: after the wait")
    async with asyncio.timeout(10):
        await met.wait()
    await telegram.wait(telegram.refused)
    await alive.stored("SELECT 1 FROM waits")
    await alive.kill()
    await alive.start()
    await telegram.say(bob, other, "repeat: at once")
    await telegram.wait(lambda: texts(telegram.messages(other)) == ["at once"])
    assert texts(telegram.messages(chat)) == []
    await telegram.wait(lambda: texts(telegram.messages(chat)) == ["after the wait"], 40)
    assert telegram.early() == []


async def test_a_message_of_which_it_is_not_known_whether_it_arrived_is_not_sent_twice(
    alive: World,
) -> None:
    telegram = alive.telegram
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    telegram.faults, _ = first("sendMessage", Fault("drop_after"))
    await telegram.say(ann, chat, "repeat: once")
    await telegram.wait(lambda: texts(telegram.messages(chat)) == ["once", words.DOUBT])
    await press_again(alive, ann, chat)
    await telegram.wait(lambda: texts(telegram.messages(chat)) == ["once", words.DOUBT, "once"])
    assert len(alive.model.requests) == 1, "the model was not asked again"


async def test_a_message_that_did_not_arrive_can_be_had(alive: World) -> None:
    telegram = alive.telegram
    ann, bob = telegram.person("Ann"), telegram.person("Bob")
    group = telegram.supergroup("Friends", ann, bob)
    chat = telegram.private(ann)
    telegram.faults, _ = first("sendMessage", Fault("drop_before"))
    await telegram.say(ann, chat, "repeat: lost")
    await telegram.wait(lambda: texts(telegram.messages(chat)) == [words.DOUBT])
    await press_again(alive, ann, chat)
    await telegram.wait(lambda: texts(telegram.messages(chat)) == [words.DOUBT, "lost"])
    # Edits are repeated: doing it twice is doing it once.
    telegram.faults, met = first("editMessageText", Fault("drop_before"))
    await telegram.say(ann, group, f"@{telegram.bot.username} repeat: edited")
    await telegram.wait(lambda: texts(telegram.messages(group)) == ["edited"])
    assert met.is_set()


async def test_a_process_that_dies_while_it_sends_the_answer_leaves_one_answer(
    alive: World,
) -> None:
    telegram = alive.telegram
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    telegram.faults, met = first("sendMessage", Fault("delay", 0.5))
    await telegram.say(ann, chat, "repeat: once")
    async with asyncio.timeout(10):
        await met.wait()
    await alive.kill()
    await telegram.wait(lambda: texts(telegram.messages(chat)) == ["once"])
    await alive.start()
    await telegram.wait(lambda: texts(telegram.messages(chat)) == ["once", words.DOUBT])


async def test_a_group_that_becomes_a_supergroup_keeps_everything(alive: World) -> None:
    telegram, model = alive.telegram, alive.model
    ann = telegram.person("Ann")
    group = telegram.group("Friends", ann)
    at = f"@{telegram.bot.username}"
    await telegram.say(ann, group, f"{at} repeat: before")
    await telegram.wait(lambda: texts(telegram.messages(group))[-1:] == ["before"])
    await telegram.say(ann, group, "/model phi-4")
    await telegram.wait(lambda: "phi-4" in texts(telegram.messages(group))[-1])
    model.tokens_per_second = 20
    await telegram.say(ann, group, f"{at} repeat: {'on its way ' * 60}")
    await telegram.wait(lambda: "on its way" in texts(telegram.messages(group))[-1])
    moved = await telegram.migrate(group)
    await telegram.wait(
        lambda: texts(telegram.messages(moved))[-1:] == [("on its way " * 60).strip()], 30
    )
    model.tokens_per_second = 2000
    await telegram.say(ann, moved, f"{at} repeat: after")
    await telegram.wait(lambda: texts(telegram.messages(moved))[-1:] == ["after"])
    body = model.requests[-1].body
    assert body["model"] == "microsoft/phi-4"
    assert "repeat: before" in str(body["messages"])


async def test_who_floods_is_told_and_costs_nobody_else_anything(alive: World) -> None:
    await alive.stop()
    await alive.start(messages_a_minute=4)
    telegram = alive.telegram
    ann, bob = telegram.person("Ann"), telegram.person("Bob")
    chat, other = telegram.private(ann), telegram.private(bob)
    for number in range(20):
        await telegram.say(ann, chat, f"repeat: {number}")
    await telegram.say(bob, other, "repeat: mine")
    await telegram.wait(lambda: texts(telegram.messages(other)) == ["mine"])
    await telegram.wait(lambda: words.FAST in texts(telegram.messages(chat)), 60)
    assert texts(telegram.messages(chat)).count(words.FAST) == 1
