"""Flood control, on a clock that the tests move."""

from collections.abc import AsyncIterator

import pytest
from telegram.error import RetryAfter
from telegram.ext import ExtBot

from bots.sandbox.telegram import Limits, TelegramStandIn
from tests.bots.sandbox.telegram.conftest import make_client
from tests.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def server(clock: FakeClock) -> AsyncIterator[TelegramStandIn]:
    server = TelegramStandIn(clock=clock)
    await server.start()
    yield server
    await server.close()


async def count_accepted(bot: ExtBot[None], chat_id: int, attempts: int) -> int:
    """How many messages are accepted before one is refused."""
    for number in range(attempts):
        try:
            await bot.send_message(chat_id, f"{number}")
        except RetryAfter:
            return number
    return attempts


async def test_private_chat_allows_burst_then_one_per_second(
    server: TelegramStandIn, bot: ExtBot[None], clock: FakeClock
) -> None:
    chat = server.open_private_chat(server.create_user("Ann"))
    assert await count_accepted(bot, chat.id, 9) == 5
    clock.now += 3  # the penalty
    for _ in range(10):
        clock.now += 1
        await bot.send_message(chat.id, "steady")
    assert len(server.calls_with_status(429)) == 1


async def test_group_allows_twenty_per_minute(server: TelegramStandIn, bot: ExtBot[None], clock: FakeClock) -> None:
    group = server.create_supergroup("Friends", server.create_user("Ann"))
    started_at = clock.now
    sent = await bot.send_message(group.id, "0")
    for number in range(1, 20):
        clock.now += 0.5
        await bot.edit_message_text(f"{number}", chat_id=group.id, message_id=sent.message_id)
    with pytest.raises(RetryAfter) as raised:
        await bot.edit_message_text("one more", chat_id=group.id, message_id=sent.message_id)
    wait = raised.value.retry_after
    assert (wait if isinstance(wait, int) else wait.total_seconds()) == 51
    assert server.messages(group)[0].text == "19"
    clock.now = started_at + 60.5
    await bot.edit_message_text("again", chat_id=group.id, message_id=sent.message_id)


async def test_calls_during_penalty_are_counted(server: TelegramStandIn, bot: ExtBot[None], clock: FakeClock) -> None:
    chat = server.open_private_chat(server.create_user("Ann"))
    other = server.open_private_chat(server.create_user("Bob"))
    await count_accepted(bot, chat.id, 9)
    assert server.early_calls() == []
    for _ in range(2):
        with pytest.raises(RetryAfter):
            await bot.send_message(chat.id, "impatient")
    with pytest.raises(RetryAfter):
        await bot.send_message_draft(chat.id, 1, "a draft is no way around it")
    assert len(server.early_calls()) == 3
    await bot.send_message(other.id, "nobody else waits")


async def test_drafts_have_own_limits(server: TelegramStandIn, bot: ExtBot[None], clock: FakeClock) -> None:
    """20 in 5 seconds and 40 in 30, apart from messages and from what the bot may send in a second."""
    chat = server.open_private_chat(server.create_user("Ann"))
    for number in range(20):
        await bot.send_message_draft(chat.id, 1, f"{number}")
    await bot.send_message(chat.id, "final")
    with pytest.raises(RetryAfter):
        await bot.send_message_draft(chat.id, 2, "one more")
    clock.now += 10
    for number in range(20):
        await bot.send_message_draft(chat.id, 2, f"{number}")
    clock.now += 10
    with pytest.raises(RetryAfter):
        await bot.send_message_draft(chat.id, 2, "one more")
    clock.now += 30
    for person in range(3):
        other = server.open_private_chat(server.create_user(f"P{person}"))
        for number in range(20):
            await bot.send_message_draft(other.id, 1, f"{number}")
    await bot.send_message(chat.id, "not too many for the bot")


async def test_bot_limit_is_thirty_per_second(server: TelegramStandIn, bot: ExtBot[None], clock: FakeClock) -> None:
    chats = [server.open_private_chat(server.create_user(f"P{n}")) for n in range(31)]
    for chat in chats[:30]:
        await bot.send_message(chat.id, "x")
    with pytest.raises(RetryAfter):
        await bot.send_message(chats[30].id, "x")
    clock.now += 1
    await bot.send_message(chats[30].id, "x")


async def test_without_limits_nothing_is_refused() -> None:
    server = TelegramStandIn(limits=Limits.off())
    await server.start()
    group = server.create_supergroup("Friends", server.create_user("Ann"))
    async with make_client(server) as bot:
        assert await count_accepted(bot, group.id, 60) == 60
    await server.close()
