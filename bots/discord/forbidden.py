"""Where the bot may not write: not tried again for a while, and told to the person who asked."""

import time

import structlog

from bots.discord.faults import MISSING_ACCESS, MISSING_PERMISSIONS, RefusedError
from bots.discord.rest import Json, Rest
from core.errors import DeliveryError, Fault
from core.port import Place

__all__ = ["Brief", "Forbidden"]

log = structlog.get_logger(__name__)

SPARED = 60.0
"""Seconds for which a channel that refused a message gets none."""
TOLD = 300.0
"""Seconds for which a person is not told the same again."""
MOST = 1_000


class Brief:
    """Names that are kept in mind for some seconds, the newest `MOST` of them."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def add(self, name: str, seconds: float) -> None:
        self._until.pop(name, None)
        if len(self._until) >= MOST:
            del self._until[next(iter(self._until))]
        self._until[name] = time.monotonic() + seconds

    def __contains__(self, name: str) -> bool:
        return self._until.get(name, 0.0) > time.monotonic()


class Forbidden:
    """Ten thousand refusals in ten minutes get the bot's address banned: few are provoked."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._spared = Brief()
        self._told = Brief()

    def check(self, place: Place) -> None:
        """Raises `DeliveryError` where a message was refused a moment ago."""
        if _channel(place) in self._spared:
            raise DeliveryError("I lack the permission to write in this channel.", Fault.FORBIDDEN)

    def note(self, place: Place, error: DeliveryError) -> None:
        """A message was refused."""
        if isinstance(error, RefusedError) and error.code in (MISSING_ACCESS, MISSING_PERMISSIONS):
            self._spared.add(_channel(place), SPARED)

    async def tell(self, place: Place, asked: str, error: DeliveryError) -> None:
        """Tell who wrote the message `asked`, in private, why there is no answer to it."""
        if place.private or asked in self._told:
            return
        self._told.add(asked, TOLD)
        channel = _channel(place)
        try:
            question = await self._rest.call("GET", f"/channels/{channel}/messages/{asked}")
            author = question.get("author")
            person = str(author.get("id", "")) if isinstance(author, dict) else ""
            if f"{channel} {person}" in self._told:
                return
            self._told.add(f"{channel} {person}", TOLD)
            opened = await self._rest.call("POST", "/users/@me/channels", {"recipient_id": person})
            body: Json = {
                "content": f"I could not answer you in <#{channel}>: {error}",
                "allowed_mentions": {"parse": []},
                "nonce": f"f{asked}",
                "enforce_nonce": True,
            }
            await self._rest.call("POST", f"/channels/{opened.get('id')}/messages", body)
        except DeliveryError as refusal:
            log.info("discord refusal not told", fault=refusal.fault)


def _channel(place: Place) -> str:
    return place.thread or place.chat
