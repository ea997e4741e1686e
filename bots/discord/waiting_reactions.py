"""Marks questions that wait by a reaction of the bot.

Discord allows one reaction in a quarter of a second in a channel. A mark that would have to wait is left out; a removal
waits, because the mark would stay for ever.
"""

from urllib.parse import quote

import structlog

from bots.discord.forbidden_channels import ExpiringSet
from bots.discord.http_client import HttpClient
from bots.discord.timings import DiscordTimings
from bots.discord.translate import channel_id
from core.errors import DeliveryError, DeliveryFailure
from core.port import Place

WAITING_EMOJI = "⏳"
MAX_REMOVALS = 5

log = structlog.get_logger(__name__)


class WaitingReactions:
    def __init__(self, http: HttpClient, timings: DiscordTimings) -> None:
        self._http = http
        self._timings = timings
        self._refusing_channels = ExpiringSet(timings.clock)

    async def add(self, place: Place, message_id: str) -> None:
        """Raises `DeliveryError`, but never for a limit of messages: reactions have their own."""
        if channel_id(place) in self._refusing_channels:
            raise DeliveryError("The channel allows no reactions", DeliveryFailure.FORBIDDEN)
        try:
            await self._http.call("PUT", _path(place, message_id))
        except DeliveryError as error:
            if error.failure is DeliveryFailure.RATE_LIMITED and not error.account_wide:
                raise DeliveryError(str(error), DeliveryFailure.REJECTED) from error
            if error.failure is DeliveryFailure.FORBIDDEN:
                log.info("discord.reaction_refused", channel=channel_id(place), error=str(error))
                self._refusing_channels.add(channel_id(place), self._timings.forbidden_channel_pause)
            raise

    async def remove(self, place: Place, message_id: str) -> None:
        """Raises `DeliveryError`."""
        for _ in range(MAX_REMOVALS):
            try:
                await self._http.call("DELETE", _path(place, message_id))
            except DeliveryError as error:
                if error.failure is not DeliveryFailure.RATE_LIMITED or error.account_wide:
                    raise
                await self._timings.clock.sleep(error.retry_after or 0.0)
            else:
                return


def _path(place: Place, message_id: str) -> str:
    return f"/channels/{channel_id(place)}/messages/{message_id}/reactions/{quote(WAITING_EMOJI)}/@me"
