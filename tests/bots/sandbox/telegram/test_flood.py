"""Flood control, on a clock of its own."""

from collections.abc import AsyncIterator

import pytest
from telegram.error import RetryAfter
from telegram.ext import ExtBot

from bots.sandbox.telegram import Limits, TelegramStandIn
from tests.bots.sandbox.telegram.conftest import client

START = 1000.0


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def strict(clock: Clock) -> AsyncIterator[TelegramStandIn]:
    made = TelegramStandIn(clock=clock)
    await made.start()
    yield made
    await made.close()


@pytest.fixture
async def bot(strict: TelegramStandIn) -> AsyncIterator[ExtBot[None]]:
    async with client(strict) as made:
        yield made


async def passes(bot: ExtBot[None], chat: int, most: int) -> int:
    """How many messages go through before one is refused."""
    for number in range(most):
        try:
            await bot.send_message(chat, f"{number}")
        except RetryAfter:
            return number
    return most


async def test_a_private_chat_takes_a_burst_and_then_one_a_second(
    strict: TelegramStandIn, bot: ExtBot[None], clock: Clock
) -> None:
    chat = strict.private(strict.person("Ann"))
    assert await passes(bot, chat.id, 9) == 5
    clock.now += 3  # the penalty
    for _ in range(10):
        clock.now += 1
        await bot.send_message(chat.id, "steady")
    assert len(strict.refused(429)) == 1


async def test_a_group_takes_twenty_a_minute_edits_included(
    strict: TelegramStandIn, bot: ExtBot[None], clock: Clock
) -> None:
    group = strict.supergroup("Friends", strict.person("Ann"))
    sent = await bot.send_message(group.id, "0")
    for number in range(1, 20):
        clock.now += 0.5
        await bot.edit_message_text(f"{number}", chat_id=group.id, message_id=sent.message_id)
    with pytest.raises(RetryAfter) as refused:
        await bot.edit_message_text("one more", chat_id=group.id, message_id=sent.message_id)
    wait = refused.value.retry_after
    assert (wait if isinstance(wait, int) else wait.total_seconds()) == 51
    assert strict.messages(group)[0].text == "19"
    clock.now = START + 60.5
    await bot.edit_message_text("again", chat_id=group.id, message_id=sent.message_id)


async def test_what_is_asked_in_spite_of_a_penalty_is_refused_and_counted(
    strict: TelegramStandIn, bot: ExtBot[None], clock: Clock
) -> None:
    chat = strict.private(strict.person("Ann"))
    other = strict.private(strict.person("Bob"))
    await passes(bot, chat.id, 9)
    assert strict.early() == []
    for _ in range(2):
        with pytest.raises(RetryAfter):
            await bot.send_message(chat.id, "impatient")
    with pytest.raises(RetryAfter):
        await bot.send_message_draft(chat.id, 1, "a draft is no way around it")
    assert strict.flood.asked_early == len(strict.early()) == 3
    await bot.send_message(other.id, "nobody else waits")


async def test_drafts_have_a_gentler_rule_of_their_own(
    strict: TelegramStandIn, bot: ExtBot[None], clock: Clock
) -> None:
    chat = strict.private(strict.person("Ann"))
    for number in range(40):
        clock.now += 0.5
        await bot.send_message_draft(chat.id, 1, f"{number}")
    await bot.send_message(chat.id, "final")
    for number in range(9):  # what is left of the burst
        await bot.send_message_draft(chat.id, 2, f"{number}")
    with pytest.raises(RetryAfter):
        await bot.send_message_draft(chat.id, 2, "one more")


async def test_the_whole_bot_has_thirty_a_second(
    strict: TelegramStandIn, bot: ExtBot[None], clock: Clock
) -> None:
    chats = [strict.private(strict.person(f"P{n}")) for n in range(31)]
    for chat in chats[:30]:
        await bot.send_message(chat.id, "x")
    with pytest.raises(RetryAfter):
        await bot.send_message(chats[30].id, "x")
    clock.now += 1
    await bot.send_message(chats[30].id, "x")


async def test_without_limits_nothing_is_refused() -> None:
    free = TelegramStandIn(limits=Limits.off())
    await free.start()
    group = free.supergroup("Friends", free.person("Ann"))
    async with client(free) as bot:
        assert await passes(bot, group.id, 60) == 60
    await free.close()
