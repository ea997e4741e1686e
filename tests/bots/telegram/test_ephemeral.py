"""Messages for one person in a group, where Telegram does not always send them."""

import pytest

from bots.sandbox.telegram import ScriptedReply, TelegramStandIn
from bots.telegram.adapter import TelegramAdapter
from bots.telegram.ephemeral import REFUSED_SECONDS
from bots.telegram.message_ids import is_ephemeral_key
from bots.telegram.rich_dialect import RichDialect
from bots.telegram.timings import TelegramTimings
from core.errors import DeliveryError, RichRejectedError
from core.port import File, Part, RichMode
from tests.bots.telegram.conftest import GROUP_PLACE, RunAdapter, params_of
from tests.bots.telegram.payloads import ADA
from tests.clock import FakeClock
from tests.core.markdown.samples import parse_markdown

REFUSAL = ScriptedReply.error(400, "Bad Request: BOT_NOT_ADMIN")


async def sends_ephemeral(adapter: TelegramAdapter) -> bool:
    message_id = await adapter.send(GROUP_PLACE, Part("x"), key="k", person=str(ADA["id"]), ephemeral=True)
    return is_ephemeral_key(message_id)


def has_ephemeral_messages(adapter: TelegramAdapter) -> bool:
    return adapter.capabilities(GROUP_PLACE).has_ephemeral_messages


async def test_group_that_refuses_them_is_asked_again_later(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    clock = FakeClock()
    async with run_adapter(timings=TelegramTimings(clock=clock)) as adapter:
        assert has_ephemeral_messages(adapter)
        bot_api.script.add("sendMessage", REFUSAL)
        assert not await sends_ephemeral(adapter)
        assert not has_ephemeral_messages(adapter)
        await clock.advance(REFUSED_SECONDS - 1)
        assert not await sends_ephemeral(adapter)
        await clock.advance(1)
        assert not has_ephemeral_messages(adapter), "as long as it is not known better"
        assert await sends_ephemeral(adapter)
        assert has_ephemeral_messages(adapter)


async def test_rich_message_is_shown_to_nobody_else(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    rich = RichDialect(RichMode.ALWAYS).render(parse_markdown("Hello"))
    async with run_adapter() as adapter:
        with pytest.raises(RichRejectedError):
            await adapter.send(GROUP_PLACE, rich, key="k", person=str(ADA["id"]), ephemeral=True)
        assert adapter.answer_dialect(RichMode.ALWAYS) is not adapter.dialect, "others still get them"
    assert params_of(bot_api, "sendRichMessage") == []


async def test_group_that_accepted_them_may_refuse_them(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    async with run_adapter() as adapter:
        assert await sends_ephemeral(adapter)
        bot_api.script.add("sendMessage", REFUSAL)
        assert not await sends_ephemeral(adapter)
        assert not await sends_ephemeral(adapter)
        assert not has_ephemeral_messages(adapter)


async def test_refused_file_says_nothing_about_text(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    clock = FakeClock()
    async with run_adapter(timings=TelegramTimings(clock=clock)) as adapter:
        assert await sends_ephemeral(adapter)
        assert adapter.capabilities(GROUP_PLACE).has_ephemeral_files
        bot_api.script.add("sendDocument", REFUSAL)
        part = Part("", file=File("a.txt", b"content"))
        with pytest.raises(DeliveryError):
            await adapter.send(GROUP_PLACE, part, key="file", person=str(ADA["id"]), ephemeral=True)
        assert has_ephemeral_messages(adapter)
        assert await sends_ephemeral(adapter)
        assert not adapter.capabilities(GROUP_PLACE).has_ephemeral_files, "the next one goes to the private chat"
        await clock.advance(REFUSED_SECONDS)
        assert adapter.capabilities(GROUP_PLACE).has_ephemeral_files
