"""Publishes what strangers read about the bot before they write to it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import structlog
from telegram import Bot
from telegram.error import BadRequest, Forbidden

from bots.telegram.errors import retry
from bots.telegram.timings import TelegramTimings

T = TypeVar("T")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BotProfile:
    """An empty text leaves the one at Telegram as it is."""

    description: str = ""
    """Shown in an empty chat with the bot."""
    short_description: str = ""
    """Shown on the bot's profile page, and with a link to it."""


async def publish_profile(bot: Bot, profile: BotProfile, timings: TelegramTimings) -> None:
    """Update the texts that differ. Raises `TelegramError` for a request that Telegram refuses; repeats others."""

    async def call(method: str, request: Callable[[], Awaitable[T]]) -> T:
        return await retry(method, request, bot.token, timings, permanent=(BadRequest, Forbidden))

    if profile.description:
        published = await call("getMyDescription", bot.get_my_description)
        if published.description != profile.description:
            await call("setMyDescription", partial(bot.set_my_description, profile.description))
            log.info("telegram.profile_published", text="description")
    if profile.short_description:
        published_short = await call("getMyShortDescription", bot.get_my_short_description)
        if published_short.short_description != profile.short_description:
            await call("setMyShortDescription", partial(bot.set_my_short_description, profile.short_description))
            log.info("telegram.profile_published", text="short description")
