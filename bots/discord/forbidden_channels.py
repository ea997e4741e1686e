"""Where the bot may not write: not tried again for a while, and told to the person who asked."""

import time

import structlog

from bots.discord.errors import MISSING_ACCESS, MISSING_PERMISSIONS, RefusedError
from bots.discord.http_client import HttpClient, Json
from core.errors import DeliveryError, DeliveryFailure
from core.port import Place

__all__ = ["ExpiringSet", "ForbiddenChannels"]

log = structlog.get_logger(__name__)

CHANNEL_PAUSE_SECONDS = 60.0
"""Seconds for which a channel that refused a message gets none."""
NOTICE_INTERVAL_SECONDS = 300.0
"""Seconds for which a person is not told the same again."""
MAX_ENTRIES = 1_000


class ExpiringSet:
    """Names that are kept in mind for some seconds, the newest `MOST` of them."""

    def __init__(self) -> None:
        self._expires_at: dict[str, float] = {}

    def add(self, name: str, seconds: float) -> None:
        self._expires_at.pop(name, None)
        if len(self._expires_at) >= MAX_ENTRIES:
            del self._expires_at[next(iter(self._expires_at))]
        self._expires_at[name] = time.monotonic() + seconds

    def __contains__(self, name: str) -> bool:
        return self._expires_at.get(name, 0.0) > time.monotonic()


class ForbiddenChannels:
    """Ten thousand refusals in ten minutes get the bot's address banned: few are provoked."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http
        self._paused_channels = ExpiringSet()
        self._notified = ExpiringSet()

    def check(self, place: Place) -> None:
        """Raises `DeliveryError` where a message was refused a moment ago."""
        if _channel_id(place) in self._paused_channels:
            raise DeliveryError("I lack the permission to write in this channel.", DeliveryFailure.FORBIDDEN)

    def record_failure(self, place: Place, error: DeliveryError) -> None:
        """A message was refused."""
        if isinstance(error, RefusedError) and error.code in (MISSING_ACCESS, MISSING_PERMISSIONS):
            self._paused_channels.add(_channel_id(place), CHANNEL_PAUSE_SECONDS)

    async def notify_sender(self, place: Place, message_id: str, error: DeliveryError) -> None:
        """Tell who wrote the message `asked`, in private, why there is no answer to it."""
        if place.private or message_id in self._notified:
            return
        self._notified.add(message_id, NOTICE_INTERVAL_SECONDS)
        channel = _channel_id(place)
        try:
            message = await self._http.call("GET", f"/channels/{channel}/messages/{message_id}")
            author = message.get("author")
            user_id = str(author.get("id", "")) if isinstance(author, dict) else ""
            if f"{channel} {user_id}" in self._notified:
                return
            self._notified.add(f"{channel} {user_id}", NOTICE_INTERVAL_SECONDS)
            dm_channel = await self._http.call("POST", "/users/@me/channels", {"recipient_id": user_id})
            body: Json = {
                "content": f"I could not answer you in <#{channel}>: {error}",
                "allowed_mentions": {"parse": []},
                "nonce": f"f{message_id}",
                "enforce_nonce": True,
            }
            await self._http.call("POST", f"/channels/{dm_channel.get('id')}/messages", body)
        except DeliveryError as send_error:
            log.info("discord refusal not told", fault=send_error.failure)


def _channel_id(place: Place) -> str:
    return place.thread or place.chat
