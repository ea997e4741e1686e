"""From events to the inbox: keep what people say, and let Discord know in time."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from weakref import WeakValueDictionary

import discord
import structlog

from bots.discord.answers import EPHEMERAL, SUPPRESS_EMBEDS, Answers
from bots.discord.commands import focused
from bots.discord.intake import (
    Interaction,
    command_data,
    from_command,
    from_message,
    from_press,
    place_of,
    sender_of,
)
from bots.discord.rest import Json, Rest
from bots.discord.ticket import Mode, Ticket
from bots.discord.timing import Timing
from core.commands.declared import Command
from core.errors import DeliveryError, DeniedError, StoreError
from core.port import Inbox, Incoming, Place, Sender

__all__ = ["SILENT", "Listening", "Suggest"]

log = structlog.get_logger(__name__)

Suggest = Callable[[Place, Sender, str], Sequence[tuple[str, str]]]
"""Choices (label, value) for what a person has typed of a model's name: ranked, from memory."""

SILENT: Json = {"parse": [], "replied_user": False}
"""Nothing that is written may ring anybody's bell."""
NOT_KEPT = "I could not keep your message, so there will be no answer. Please send it again later."
LIMIT = 2000
MOST_CHOICES = 25
LONGEST_CHOICE = 100
SETTLE = 1.5
"""Seconds that events already taken get at the end."""


class Listening:
    """Hands every event to `inbox`; holds no more than the events being kept right now."""

    def __init__(
        self,
        rest: Rest,
        answers: Answers,
        *,
        account: str,
        commands: Sequence[Command],
        suggest: Suggest,
        timing: Timing,
    ) -> None:
        self.inbox: Inbox | None = None
        self._account = account
        self._rest = rest
        self._answers = answers
        self._commands = {command.name: command for command in commands}
        self._suggest = suggest
        self._timing = timing
        self._keeping: set[asyncio.Task[None]] = set()
        self._orders: WeakValueDictionary[Place, asyncio.Lock] = WeakValueDictionary()

    async def heard(self, message: discord.Message, me: int) -> None:
        incoming = from_message(message, self._account, me)
        if incoming is None:
            return
        if await self._refusal(self._keep(incoming), incoming) == NOT_KEPT:
            await self._apologise(message)

    async def late(self, message: discord.Message, me: int, place: Place) -> bool:
        """Keep a message of `place` that was missed; whether there is nothing left to do."""
        incoming = from_message(message, self._account, me)
        if incoming is None:
            return True
        # Of a thread that slept the library does not know what it belongs to.
        incoming = replace(incoming, place=place)
        return await self._refusal(self._keep(incoming), incoming) != NOT_KEPT

    async def commanded(self, interaction: Interaction) -> None:
        await self._take(from_command(interaction, self._account, self._commands))

    async def pressed(self, interaction: Interaction, action: str) -> None:
        await self._take(from_press(interaction, self._account, action))

    async def completing(self, interaction: Interaction) -> None:
        name, options = command_data(interaction)
        typed = focused(self._commands.get(name), options)
        choices: list[Json] = []
        if typed is not None and typed[0].suggests:
            place, sender = place_of(interaction, self._account), sender_of(interaction)
            for label, value in self._suggest(place, sender, typed[1])[:MOST_CHOICES]:
                if label and len(value) <= LONGEST_CHOICE:
                    choices.append({"name": label[:LONGEST_CHOICE], "value": value})
        try:
            await self._answers.suggest(str(interaction.id), interaction.token, choices)
        except DeliveryError as error:
            log.info("discord completion not shown", fault=error.fault)

    async def settle(self) -> None:
        """Let what was taken be kept, within reason."""
        if self._keeping:
            _, late = await asyncio.wait(self._keeping, timeout=SETTLE)
            for task in late:
                task.cancel()
        self.inbox = None

    async def _take(self, incoming: Incoming) -> None:
        """Keep an interaction and acknowledge it, whichever is first to be due."""
        ticket = Ticket.decode(incoming.ticket or "")
        self._answers.expect(ticket)
        keeping = self._keep(incoming)
        done, _ = await asyncio.wait({keeping}, timeout=self._timing.commit)
        if done and (refusal := await self._refusal(keeping, incoming)):
            await self._acknowledge(ticket, {"content": refusal, "flags": EPHEMERAL})
            return
        await self._acknowledge(ticket, _shown(incoming, ticket))
        if not done and (refusal := await self._refusal(keeping, incoming)):
            await self._withdraw(ticket, refusal)

    async def _acknowledge(self, ticket: Ticket, shown: Json | None) -> None:
        try:
            await self._answers.acknowledge(ticket, shown)
        except DeliveryError as error:
            log.warning("discord interaction not acknowledged", fault=error.fault)

    def _keep(self, incoming: Incoming) -> "asyncio.Task[None]":
        if self.inbox is None:
            raise RuntimeError("events arrive while the adapter runs only")
        task = asyncio.ensure_future(self._in_order(self.inbox, incoming))
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)
        return task

    async def _in_order(self, inbox: Inbox, incoming: Incoming) -> None:
        """Messages of a place one after the other, as they came; the rest overtakes."""
        if incoming.ticket is not None:
            await self._patiently(inbox, incoming)
            return
        # Gone with the last message that waits for it.
        async with self._orders.setdefault(incoming.place, asyncio.Lock()):
            await self._patiently(inbox, incoming)

    async def _patiently(self, inbox: Inbox, incoming: Incoming) -> None:
        """Discord says nothing twice: a database that is away for a moment is waited for."""
        pause, until = 0.2, time.monotonic() + self._timing.keeping
        while True:
            try:
                await inbox(incoming)
            except StoreError:
                if time.monotonic() + pause > until:
                    raise
            else:
                return
            await asyncio.sleep(pause)
            pause = min(2.0, 2 * pause)

    async def _refusal(self, keeping: "asyncio.Task[None]", incoming: Incoming) -> str:
        """What the person is to be told of an event that was not kept; "" when it was."""
        try:
            await keeping
        except DeniedError as denied:
            return str(denied)
        except Exception as error:  # noqa: BLE001 (whatever it was, the person must hear of it)
            kind = type(error).__name__
            log.error("discord event not kept", key=incoming.key, error=kind)
            return NOT_KEPT
        return ""

    async def _apologise(self, message: discord.Message) -> None:
        body: Json = {
            "content": NOT_KEPT,
            "allowed_mentions": SILENT,
            "message_reference": {"message_id": str(message.id), "fail_if_not_exists": False},
            "nonce": f"s{message.id}",
            "enforce_nonce": True,
        }
        try:
            await self._rest.call("POST", f"/channels/{message.channel.id}/messages", body)
        except DeliveryError as error:
            log.warning("discord apology not sent", fault=error.fault)

    async def _withdraw(self, ticket: Ticket, refusal: str) -> None:
        """It was acknowledged before it was kept, and then was not."""
        body: Json = {"content": refusal, "allowed_mentions": SILENT}
        try:
            if ticket.mode in (Mode.QUIET, Mode.REPLY):
                await self._answers.respond(ticket, body)
            else:
                await self._answers.follow_up(ticket, body, hidden=True)
        except DeliveryError as error:
            log.warning("discord apology not sent", fault=error.fault)
        if ticket.mode is Mode.POST:
            await self._hide(ticket)

    async def _hide(self, ticket: Ticket) -> None:
        """The bot shows no words of somebody who may not be let in."""
        try:
            await self._answers.take_back(ticket)
        except DeliveryError as error:
            log.warning("discord question not taken back", fault=error.fault)


def _shown(incoming: Incoming, ticket: Ticket) -> Json | None:
    """The question, shown to everybody as the response to the command that asked it."""
    if ticket.mode is not Mode.POST:
        return None
    asked = incoming.text if incoming.command == "ask" else f"/{incoming.command} {incoming.text}"
    quoted = "> " + asked.strip().replace("\n", "\n> ")
    if len(quoted) > LIMIT:
        quoted = quoted[: LIMIT - 1] + "…"
    return {"content": quoted, "allowed_mentions": SILENT, "flags": SUPPRESS_EMBEDS}
