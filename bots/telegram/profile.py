"""Publishes what strangers read about the bot before they write to it."""

from dataclasses import dataclass

import structlog
from telegram import Bot

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BotProfile:
    """Empty texts stay as they are at Telegram."""

    description: str = ""
    """In a chat with the bot that is still empty."""
    short_description: str = ""
    """On the bot's profile page, and where somebody shares a link to it."""


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
