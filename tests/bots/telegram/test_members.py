"""Who manages a group: Telegram is asked, and its answer is kept for a moment."""

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


async def test_unknown_member_is_no_manager(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    async with run_adapter() as adapter:
        assert not await adapter.is_manager(GROUP_PLACE, "4711")
