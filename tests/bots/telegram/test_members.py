"""Who manages a group, and whether that is the bot: Telegram is asked, and its answer is kept for a moment."""

from bots.sandbox.telegram import TelegramStandIn
from bots.telegram.timings import TelegramTimings
from tests.bots.telegram.conftest import GROUP_PLACE, RunAdapter
from tests.bots.telegram.payloads import GROUP
from tests.clock import FakeClock


async def test_manager_is_remembered_for_some_seconds(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    clock = FakeClock()
    members = bot_api.chats[GROUP["id"]].members
    (ada,) = members
    async with run_adapter(timings=TelegramTimings(clock=clock)) as adapter:
        assert await adapter.is_manager(GROUP_PLACE, str(ada.id))
        members.insert(0, bot_api.create_user("Bob"))  # the owner from now on
        assert await adapter.is_manager(GROUP_PLACE, str(ada.id))
        assert len(bot_api.calls_to("getChatMember")) == 1
        await clock.advance(TelegramTimings().manager_cache_lifetime)
        assert not await adapter.is_manager(GROUP_PLACE, str(ada.id))


async def test_bot_receives_mentions_as_administrator(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    (ada,) = bot_api.chats[GROUP["id"]].members
    async with run_adapter() as adapter:
        assert not await adapter.receives_mentions(GROUP_PLACE)
        for change, receives in ((bot_api.promote_bot, True), (bot_api.demote_bot, False)):
            await change(ada, bot_api.chats[GROUP["id"]])
            await bot_api.wait_for(lambda: not bot_api.updates.pending)
            assert await adapter.receives_mentions(GROUP_PLACE) is receives


async def test_bot_without_privacy_mode_asks_nobody(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    bot_api.privacy_mode = False
    async with run_adapter() as adapter:
        assert await adapter.receives_mentions(GROUP_PLACE)
    assert not bot_api.calls_to("getChatMember")


async def test_unknown_member_is_no_manager(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    async with run_adapter() as adapter:
        assert not await adapter.is_manager(GROUP_PLACE, "4711")
