"""Flood control, on a clock of its own."""

from collections.abc import AsyncIterator

import pytest
from telegram.error import RetryAfter
from telegram.ext import ExtBot

from bots.sandbox.telegram import Limits, TelegramStandIn
from tests.bots.sandbox.telegram.conftest import make_client

START_TIME = 1000.0


class FakeClock:
    def __init__(self) -> None:
        self.now = START_TIME

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def strict(clock: FakeClock) -> AsyncIterator[TelegramStandIn]:
    made = TelegramStandIn(clock=clock)
    await made.start()
    yield made
    await made.close()


@pytest.fixture
async def bot(strict: TelegramStandIn) -> AsyncIterator[ExtBot[None]]:
    async with make_client(strict) as made:
        yield made


async def count_accepted(bot: ExtBot[None], chat: int, most: int) -> int:
    """How many messages go through before one is refused."""
    for number in range(most):
        try:
            await bot.send_message(chat, f"{number}")
        except RetryAfter:
            return number
    return most


async def test_private_chat_allows_burst_then_one_per_second(
    strict: TelegramStandIn, bot: ExtBot[None], clock: FakeClock
) -> None:
    chat = strict.open_private_chat(strict.create_user("Ann"))
    assert await count_accepted(bot, chat.id, 9) == 5
    clock.now += 3  # the penalty
    for _ in range(10):
        clock.now += 1
        await bot.send_message(chat.id, "steady")
    assert len(strict.calls_with_status(429)) == 1


async def test_group_allows_twenty_per_minute(strict: TelegramStandIn, bot: ExtBot[None], clock: FakeClock) -> None:
    group = strict.create_supergroup("Friends", strict.create_user("Ann"))
    sent = await bot.send_message(group.id, "0")
    for number in range(1, 20):
        clock.now += 0.5
        await bot.edit_message_text(f"{number}", chat_id=group.id, message_id=sent.message_id)
    with pytest.raises(RetryAfter) as refused:
        await bot.edit_message_text("one more", chat_id=group.id, message_id=sent.message_id)
    wait = refused.value.retry_after
    assert (wait if isinstance(wait, int) else wait.total_seconds()) == 51
    assert strict.messages(group)[0].text == "19"
    clock.now = START_TIME + 60.5
    await bot.edit_message_text("again", chat_id=group.id, message_id=sent.message_id)


async def test_calls_during_penalty_are_counted(strict: TelegramStandIn, bot: ExtBot[None], clock: FakeClock) -> None:
    chat = strict.open_private_chat(strict.create_user("Ann"))
    other = strict.open_private_chat(strict.create_user("Bob"))
    await count_accepted(bot, chat.id, 9)
    assert strict.early_calls() == []
    for _ in range(2):
        with pytest.raises(RetryAfter):
            await bot.send_message(chat.id, "impatient")
    with pytest.raises(RetryAfter):
        await bot.send_message_draft(chat.id, 1, "a draft is no way around it")
    assert len(strict.early_calls()) == 3
    await bot.send_message(other.id, "nobody else waits")


async def test_drafts_have_own_limit(strict: TelegramStandIn, bot: ExtBot[None], clock: FakeClock) -> None:
    chat = strict.open_private_chat(strict.create_user("Ann"))
    for number in range(40):
        clock.now += 0.5
        await bot.send_message_draft(chat.id, 1, f"{number}")
    await bot.send_message(chat.id, "final")
    for number in range(9):  # what is left of the burst
        await bot.send_message_draft(chat.id, 2, f"{number}")
    with pytest.raises(RetryAfter):
        await bot.send_message_draft(chat.id, 2, "one more")


async def test_bot_limit_is_thirty_per_second(strict: TelegramStandIn, bot: ExtBot[None], clock: FakeClock) -> None:
    chats = [strict.open_private_chat(strict.create_user(f"P{n}")) for n in range(31)]
    for chat in chats[:30]:
        await bot.send_message(chat.id, "x")
    with pytest.raises(RetryAfter):
        await bot.send_message(chats[30].id, "x")
    clock.now += 1
    await bot.send_message(chats[30].id, "x")


async def test_without_limits_nothing_is_refused() -> None:
    free = TelegramStandIn(limits=Limits.off())
    await free.start()
    group = free.create_supergroup("Friends", free.create_user("Ann"))
    async with make_client(free) as bot:
        assert await count_accepted(bot, group.id, 60) == 60
    await free.close()
