"""Skips channels in which the bot may not write for a while, and notifies the author of the question once.

Discord bans the bot's IP address after ten thousand refused requests within ten minutes.
"""

import structlog

from bots.discord.errors import MISSING_ACCESS, MISSING_PERMISSIONS, NO_WRITE_PERMISSION_TEXT, DiscordApiError
from bots.discord.http_client import HttpClient
from bots.discord.payloads import message_payload
from bots.discord.timings import DiscordTimings
from bots.discord.translate import channel_id
from core.bounded_dict import BoundedDict
from core.clock import Clock
from core.errors import DeliveryError, DeliveryFailure
from core.i18n.translation import gettext
from core.port import Place

log = structlog.get_logger(__name__)

MAX_ENTRIES = 1_000


class ExpiringSet:
    """Contains each name for some seconds, and at most the newest `MAX_ENTRIES` names."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._expires_at: BoundedDict[str, float] = BoundedDict(MAX_ENTRIES)

    def add(self, name: str, seconds: float) -> None:
        self._expires_at[name] = self._clock.monotonic() + seconds

    def __contains__(self, name: str) -> bool:
        return self._expires_at.get(name, 0.0) > self._clock.monotonic()


class ForbiddenChannels:
    def __init__(self, http: HttpClient, timings: DiscordTimings) -> None:
        self._http = http
        self._timings = timings
        self._paused_channels = ExpiringSet(timings.clock)
        self._notified = ExpiringSet(timings.clock)

    def check(self, place: Place) -> None:
        """Raise `DeliveryError` if a message to the channel was refused recently."""
        if channel_id(place) in self._paused_channels:
            raise DeliveryError(NO_WRITE_PERMISSION_TEXT, DeliveryFailure.FORBIDDEN)

    def record_failure(self, place: Place, error: DeliveryError) -> None:
        if isinstance(error, DiscordApiError) and error.code in (MISSING_ACCESS, MISSING_PERMISSIONS):
            self._paused_channels.add(channel_id(place), self._timings.forbidden_channel_pause)

    async def notify_sender(self, place: Place, message_id: str, error: DeliveryError) -> None:
        """Tell the author of a message by direct message why it gets no answer."""
        if place.is_private or message_id in self._notified:
            return
        self._notified.add(message_id, self._timings.notice_interval)
        channel = channel_id(place)
        try:
            message = await self._http.call("GET", f"/channels/{channel}/messages/{message_id}")
            author = message.get("author")
            user_id = str(author.get("id", "")) if isinstance(author, dict) else ""
            if f"{channel} {user_id}" in self._notified:
                return
            self._notified.add(f"{channel} {user_id}", self._timings.notice_interval)
            dm_channel = await self._http.call("POST", "/users/@me/channels", {"recipient_id": user_id})
            notice = message_payload(
                gettext("I couldn't answer you in {channel}: {reason}.").format(
                    channel=f"<#{channel}>", reason=gettext(str(error))
                ),
                nonce=f"f{message_id}",
            )
            await self._http.call("POST", f"/channels/{dm_channel.get('id')}/messages", notice)
        except DeliveryError as notice_error:
            log.info("discord.notice_failed", failure=notice_error.failure)
