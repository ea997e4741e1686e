"""The sandbox's people and chats are as its documentation says."""

from pathlib import Path

import httpx2

from bots.sandbox.discord import DiscordStandIn
from bots.sandbox.telegram import TelegramStandIn
from bots.sandbox.web.world import World

GUIDE = (Path(__file__).parents[4] / "docs" / "operate" / "sandbox.md").read_text()


async def test_bot_receives_mentions_by_the_name_in_the_guide() -> None:
    """Telegram does not deliver mentions in privacy mode, and the bot tells people so."""
    telegram, discord = TelegramStandIn(), DiscordStandIn()
    World(telegram, discord)
    await telegram.start()
    try:
        async with httpx2.AsyncClient() as client:
            bot = (await client.get(f"{telegram.api_base}/bot{telegram.token}/getMe")).json()["result"]
    finally:
        await telegram.close()
    assert bot["can_read_all_group_messages"]
    assert f"a question after `@{bot['username']}`" in GUIDE
