"""Acknowledging interactions and answering them, in this process or after a restart."""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from bots.discord.faults import ALREADY_ACKNOWLEDGED, RefusedError
from bots.discord.rest import Json, Rest
from bots.discord.ticket import Mode, Ticket
from core.errors import DeliveryError, Fault

__all__ = ["EPHEMERAL", "SUPPRESS_EMBEDS", "Answers"]

SUPPRESS_EMBEDS = 1 << 2
EPHEMERAL = 1 << 6
LOADING = 1 << 7

MESSAGE, DEFERRED, DEFERRED_UPDATE = 4, 5, 6
"""Types of interaction callbacks."""
MOST = 5_000


@dataclass(slots=True)
class _Answer:
    """What this process knows of one interaction."""

    expires: int
    acknowledged: "asyncio.Future[str] | None" = None
    """Done when Discord took (or refused) it: the id of the response's message, or ""."""
    filled: bool | None = None
    """Whether the deferred message has its text; None: not known (another process began it)."""
    original: str = ""
    sent: set[str] = field(default_factory=set)
    """Messages written through the interaction."""


class Answers:
    """Interactions by ticket. Knows at most `MOST` of them, each for its token's lifetime."""

    def __init__(self, rest: Rest, patience: float) -> None:
        self._rest = rest
        self._patience = patience
        self._known: OrderedDict[str, _Answer] = OrderedDict()

    def expect(self, ticket: Ticket) -> None:
        """An acknowledgement is about to be made: answers wait for it."""
        answer = self._answer(ticket)
        answer.acknowledged = asyncio.get_running_loop().create_future()
        answer.filled = False

    async def acknowledge(self, ticket: Ticket, shown: Json | None = None) -> None:
        """Tell Discord that the interaction arrived; `shown`: a message to respond with."""
        answer = self._answer(ticket)
        if shown is not None:
            body: Json = {"type": MESSAGE, "data": shown}
            answer.filled = True
        elif ticket.mode is Mode.PRESS:
            body = {"type": DEFERRED_UPDATE}
        else:
            flags = EPHEMERAL if ticket.mode is Mode.QUIET else 0
            body = {"type": DEFERRED, "data": {"flags": flags}}
        try:
            response = await self._callback(ticket, body)
            answer.original = _original(response)
        except RefusedError as refusal:
            if refusal.code != ALREADY_ACKNOWLEDGED:
                raise
        finally:
            if answer.acknowledged is not None and not answer.acknowledged.done():
                answer.acknowledged.set_result(answer.original)

    async def suggest(self, interaction: str, token: str, choices: list[Json]) -> None:
        """Answer an autocompletion."""
        path = f"/interactions/{interaction}/{token}/callback"
        body = {"type": 8, "data": {"choices": choices}}
        await self._rest.call("POST", path, body, bot=False, repeatable=False)

    async def reference(self, ticket: Ticket) -> str | None:
        """The message that shows the question, to reply to."""
        answer = self._answer(ticket)
        await self._acknowledged(answer)
        if not answer.original and ticket.alive and ticket.mode is Mode.POST:
            try:
                shown = await self._rest.call(
                    "GET", f"{ticket.webhook}/messages/@original", bot=False
                )
            except DeliveryError:
                return None  # an answer without a reference is better than none
            answer.original = str(shown.get("id", ""))
        return answer.original or None

    async def respond(self, ticket: Ticket, body: Json) -> str:
        """Fill the deferred message, or follow up when it is filled. Returns the message's id."""
        answer = self._answer(ticket)
        await self._acknowledged(answer)
        _must_live(ticket)
        if answer.filled is None:
            awaits = await self._awaits(ticket, body)
            if answer.filled is None:
                answer.filled = not awaits
        if answer.filled:
            return await self.follow_up(ticket, body, hidden=ticket.mode is Mode.QUIET)
        answer.filled = True
        try:
            message = await self._rest.call(
                "PATCH", f"{ticket.webhook}/messages/@original", body, bot=False
            )
        except BaseException:
            answer.filled = False
            raise
        answer.original = str(message.get("id", ""))
        answer.sent.add(answer.original)
        return answer.original

    async def follow_up(self, ticket: Ticket, body: Json, *, hidden: bool) -> str:
        """Write one more message through the interaction."""
        answer = self._answer(ticket)
        await self._acknowledged(answer)
        _must_live(ticket)
        flags = SUPPRESS_EMBEDS | (EPHEMERAL if hidden else 0)
        message = await self._rest.call(
            "POST",
            f"{ticket.webhook}?wait=1",
            {**body, "flags": flags},
            bot=False,
            repeatable=False,
        )
        answer.sent.add(str(message.get("id", "")))
        return str(message.get("id", ""))

    async def edit(self, ticket: Ticket, message: str, body: Json) -> None:
        path = await self._path(ticket, message)
        await self._rest.call("PATCH", path, body, bot=False)

    async def delete(self, ticket: Ticket, message: str) -> None:
        await self._rest.call("DELETE", await self._path(ticket, message), bot=False)

    async def take_back(self, ticket: Ticket) -> None:
        """Remove what the interaction was responded to with."""
        await self._rest.call("DELETE", f"{ticket.webhook}/messages/@original", bot=False)

    def owns(self, ticket: Ticket, message: str) -> bool:
        """Whether `message` can be changed through the interaction alone."""
        if not ticket.posts or message in self._answer(ticket).sent:
            return True
        if ticket.mode is Mode.PRESS:
            return ticket.hidden and message == ticket.message
        return ticket.mode is Mode.QUIET

    async def _path(self, ticket: Ticket, message: str) -> str:
        answer = self._answer(ticket)
        await self._acknowledged(answer)
        _must_live(ticket)
        original = ticket.message if ticket.mode is Mode.PRESS else answer.original
        return f"{ticket.webhook}/messages/{'@original' if message == original else message}"

    async def _callback(self, ticket: Ticket, body: Json) -> Json:
        path = f"/interactions/{ticket.interaction}/{ticket.token}/callback?with_response=1"
        return await self._rest.call("POST", path, body, bot=False, repeatable=True)

    async def _awaits(self, ticket: Ticket, body: Json) -> bool:
        """Whether the deferred message still waits for its text (or holds this very one)."""
        path = f"{ticket.webhook}/messages/@original"
        shown = await self._rest.call("GET", path, bot=False)
        flags = shown.get("flags")
        loading = isinstance(flags, int) and bool(flags & LOADING)
        return loading or shown.get("content") == body.get("content")

    async def _acknowledged(self, answer: _Answer) -> None:
        """Before the acknowledgement Discord knows nothing that could be answered."""
        if answer.acknowledged is not None and not answer.acknowledged.done():
            await asyncio.wait({answer.acknowledged}, timeout=self._patience)

    def _answer(self, ticket: Ticket) -> _Answer:
        found = self._known.get(ticket.interaction)
        if found is None:
            now = time.time()
            while self._known and (
                len(self._known) >= MOST or next(iter(self._known.values())).expires < now
            ):
                self._known.popitem(last=False)
            found = self._known[ticket.interaction] = _Answer(ticket.expires)
        return found


def _must_live(ticket: Ticket) -> None:
    if not ticket.alive:
        raise DeliveryError("This command cannot be answered any more.", Fault.GONE)


def _original(response: Json) -> str:
    interaction = response.get("interaction")
    found = interaction.get("response_message_id") if isinstance(interaction, dict) else None
    return str(found or "")
