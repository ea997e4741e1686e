"""Creates a thread for a command once, even if an earlier request for it may have arrived.

Such requests have no idempotency key. A thread that the command has created is recognised by its title, its creator and
its age: a later ID than the command's. If two commands in a channel ask for the same title at the same time and the
process dies, both may get the same thread.
"""

from dataclasses import dataclass

import discord

from bots.discord.http_client import HttpClient, Json
from core.errors import DeliveryError, DeliveryFailure
from core.port import Place


@dataclass(frozen=True, slots=True)
class ThreadCreator:
    """`account` is the bot's user ID."""

    http: HttpClient
    account: str

    async def create(self, place: Place, title: str, *, command: str | None, is_repeated: bool) -> str:
        """Returns the thread's ID. `command` is the ID of the interaction. Raises `DeliveryError`."""
        if is_repeated and (existing := await self._find(place, title, command)) is not None:
            return existing
        channel = await self.http.call("GET", f"/channels/{place.chat}")
        is_announcement = channel.get("type") == discord.ChannelType.news.value
        types = discord.ChannelType
        body = {"name": title, "type": (types.news_thread if is_announcement else types.public_thread).value}
        try:
            thread = await self.http.call("POST", f"/channels/{place.chat}/threads", body, is_idempotent=False)
        except DeliveryError as error:
            if error.failure is not DeliveryFailure.UNKNOWN:
                raise
            existing = await self._find(place, title, command)
            if existing is None:
                raise
            return existing
        return str(thread["id"])

    async def _find(self, place: Place, title: str, command: str | None) -> str | None:
        """The oldest thread that the command may have created."""
        if command is None:
            return None
        active = await self.http.call("GET", f"/guilds/{place.server}/threads/active")
        threads = active.get("threads")
        ids = [
            int(str(thread["id"]))
            for thread in (threads if isinstance(threads, list) else ())
            if self._may_be_created_by(thread, place, title)
        ]
        created = [id_ for id_ in ids if id_ > int(command)]
        return str(min(created)) if created else None

    def _may_be_created_by(self, thread: Json, place: Place, title: str) -> bool:
        is_own = (thread.get("owner_id"), thread.get("parent_id")) == (self.account, place.chat)
        return is_own and comparable_title(str(thread.get("name"))) == comparable_title(title)


def comparable_title(title: str) -> str:
    """What Discord certainly keeps of a title."""
    return "".join(filter(str.isalnum, title))
