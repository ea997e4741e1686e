"""Names a thread that the bot has created before any question, after the first one of the person who created it.

Until then it has a default title (`core.texts.threads.default_title`) with the person's name, which every process
recognises. Another title stays: somebody chose it.
"""

import asyncio
from dataclasses import dataclass, field

import discord
import structlog

from bots.discord.http_client import HttpClient
from bots.discord.thread_creator import comparable_title
from core.bounded_dict import BoundedDict
from core.conversation.redaction import find_api_key
from core.errors import DeliveryError
from core.port import EventKind, Incoming
from core.texts.threads import default_titles, make_title

QUESTION_COMMANDS = ("ask", "new")
MAX_NAMED_THREADS = 1_000

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class ThreadTitles:
    """`account` is the bot's user ID."""

    http: HttpClient
    account: str
    _named: BoundedDict[int, bool] = field(default_factory=lambda: BoundedDict(MAX_NAMED_THREADS))
    """Threads of which Discord may not have reported the new title yet."""

    async def name(self, incoming: Incoming, channel: object) -> None:
        """Name the thread of a stored question, if it needs that. Best effort: never repeated for the same question."""
        if not isinstance(channel, discord.Thread) or str(channel.owner_id) != self.account:
            return
        title = _title_for(incoming)
        if not title or channel.id in self._named:
            return
        default = await asyncio.to_thread(default_titles, incoming.sender.name)
        if comparable_title(channel.name) not in map(comparable_title, default):
            return
        self._named[channel.id] = True
        try:
            await self.http.call("PATCH", f"/channels/{channel.id}", {"name": title})
        except DeliveryError as error:
            log.info("discord.thread_not_named", failure=error.failure)


def _title_for(incoming: Incoming) -> str:
    """Empty for what is no question, or is not for everybody to see."""
    is_question = incoming.kind is EventKind.PROMPT or incoming.command in QUESTION_COMMANDS
    is_secret = incoming.is_confidential or find_api_key(incoming.text)
    return make_title(incoming.text) if is_question and not is_secret else ""
