"""Publishes what strangers read about the bot before they write to it."""

from dataclasses import dataclass

import structlog
from telegram import Bot

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BotProfile:
    """An empty text leaves the one at Telegram as it is."""

    description: str = ""
    """Shown in an empty chat with the bot."""
    short_description: str = ""
    """Shown on the bot's profile page, and with a link to it."""


async def publish_profile(bot: Bot, profile: BotProfile) -> None:
    """Update the texts that differ. Raises `TelegramError`."""
    if profile.description and (await bot.get_my_description()).description != profile.description:
        await bot.set_my_description(profile.description)
        log.info("telegram.profile_published", text="description")
    if not profile.short_description:
        return
    if (await bot.get_my_short_description()).short_description != profile.short_description:
        await bot.set_my_short_description(profile.short_description)
        log.info("telegram.profile_published", text="short description")
