"""From events to the inbox: keep what people say, and let Discord know in time."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from weakref import WeakValueDictionary

import discord
import structlog

from bots.discord.commands import focused_argument
from bots.discord.http_client import HttpClient, Json
from bots.discord.interaction_responder import (
    EPHEMERAL_FLAG,
    SUPPRESS_EMBEDS_FLAG,
    InteractionResponder,
)
from bots.discord.interaction_token import InteractionToken, ResponseMode
from bots.discord.timings import DiscordTimings
from bots.discord.translate import (
    Interaction,
    command_data,
    interaction_place,
    interaction_sender,
    translate_button,
    translate_command,
    translate_message,
)
from core.commands.declarations import Command
from core.errors import AccessDeniedError, DeliveryError, StoreError
from core.port import Inbox, Incoming, Place, Sender

__all__ = ["NO_MENTIONS", "EventReceiver", "SuggestModels"]

log = structlog.get_logger(__name__)

SuggestModels = Callable[[Place, Sender, str], Sequence[tuple[str, str]]]
"""Choices (label, value) for what a person has typed of a model's name: ranked, from memory."""

NO_MENTIONS: Json = {"parse": [], "replied_user": False}
"""Nothing that is written may ring anybody's bell."""
NOT_STORED_TEXT = "I could not keep your message, so there will be no answer. Please send it again later."
MAX_MESSAGE_CHARS = 2000
MAX_CHOICES = 25
MAX_CHOICE_CHARS = 100
DRAIN_SECONDS = 1.5
"""Seconds that events already taken get at the end."""


class EventReceiver:
    """Hands every event to `inbox`; holds no more than the events being kept right now."""

    def __init__(
        self,
        http: HttpClient,
        responder: InteractionResponder,
        *,
        account: str,
        commands: Sequence[Command],
        suggest_models: SuggestModels,
        timings: DiscordTimings,
    ) -> None:
        self.inbox: Inbox | None = None
        self._account = account
        self._http = http
        self._responder = responder
        self._commands = {command.name: command for command in commands}
        self._suggest_models = suggest_models
        self._timings = timings
        self._store_tasks: set[asyncio.Task[None]] = set()
        self._place_locks: WeakValueDictionary[Place, asyncio.Lock] = WeakValueDictionary()

    async def handle_message(self, message: discord.Message, bot_id: int) -> None:
        incoming = translate_message(message, self._account, bot_id)
        if incoming is None:
            return
        if await self._refusal_text(self._start_storing(incoming), incoming) == NOT_STORED_TEXT:
            await self._reply_not_stored(message)

    async def handle_missed_message(self, message: discord.Message, bot_id: int, place: Place) -> bool:
        """Keep a message of `place` that was missed; whether there is nothing left to do."""
        incoming = translate_message(message, self._account, bot_id)
        if incoming is None:
            return True
        # Of a thread that slept the library does not know what it belongs to.
        incoming = replace(incoming, place=place)
        return await self._refusal_text(self._start_storing(incoming), incoming) != NOT_STORED_TEXT

    async def handle_command(self, interaction: Interaction) -> None:
        await self._handle_interaction(translate_command(interaction, self._account, self._commands))

    async def handle_button(self, interaction: Interaction, action: str) -> None:
        await self._handle_interaction(translate_button(interaction, self._account, action))

    async def handle_autocomplete(self, interaction: Interaction) -> None:
        name, options = command_data(interaction)
        argument_and_text = focused_argument(self._commands.get(name), options)
        choices: list[Json] = []
        if argument_and_text is not None and argument_and_text[0].autocomplete:
            place, sender = (
                interaction_place(interaction, self._account),
                interaction_sender(interaction),
            )
            for label, value in self._suggest_models(place, sender, argument_and_text[1])[:MAX_CHOICES]:
                if label and len(value) <= MAX_CHOICE_CHARS:
                    choices.append({"name": label[:MAX_CHOICE_CHARS], "value": value})
        try:
            await self._responder.answer_autocomplete(str(interaction.id), interaction.token, choices)
        except DeliveryError as error:
            log.info("discord completion not shown", fault=error.failure)

    async def drain(self) -> None:
        """Let what was taken be kept, within reason."""
        if self._store_tasks:
            _, late = await asyncio.wait(self._store_tasks, timeout=DRAIN_SECONDS)
            for task in late:
                task.cancel()
        self.inbox = None

    async def _handle_interaction(self, incoming: Incoming) -> None:
        """Keep an interaction and acknowledge it, whichever is first to be due."""
        token = InteractionToken.decode(incoming.interaction_token or "")
        self._responder.expect_acknowledgement(token)
        storing = self._start_storing(incoming)
        done, _ = await asyncio.wait({storing}, timeout=self._timings.store_before_acknowledge)
        if done and (refusal := await self._refusal_text(storing, incoming)):
            await self._acknowledge(token, {"content": refusal, "flags": EPHEMERAL_FLAG})
            return
        await self._acknowledge(token, _question_message(incoming, token))
        if not done and (refusal := await self._refusal_text(storing, incoming)):
            await self._answer_refusal(token, refusal)

    async def _acknowledge(self, token: InteractionToken, message: Json | None) -> None:
        try:
            await self._responder.acknowledge(token, message)
        except DeliveryError as error:
            log.warning("discord interaction not acknowledged", fault=error.failure)

    def _start_storing(self, incoming: Incoming) -> "asyncio.Task[None]":
        if self.inbox is None:
            raise RuntimeError("events arrive while the adapter runs only")
        task = asyncio.ensure_future(self._store_in_order(self.inbox, incoming))
        self._store_tasks.add(task)
        task.add_done_callback(self._store_tasks.discard)
        return task

    async def _store_in_order(self, inbox: Inbox, incoming: Incoming) -> None:
        """Messages of a place one after the other, as they came; the rest overtakes."""
        if incoming.interaction_token is not None:
            await self._store_with_retry(inbox, incoming)
            return
        # Gone with the last message that waits for it.
        async with self._place_locks.setdefault(incoming.place, asyncio.Lock()):
            await self._store_with_retry(inbox, incoming)

    async def _store_with_retry(self, inbox: Inbox, incoming: Incoming) -> None:
        """Discord says nothing twice: a database that is away for a moment is waited for."""
        pause, deadline = 0.2, time.monotonic() + self._timings.store_timeout
        while True:
            try:
                await inbox(incoming)
            except StoreError:
                if time.monotonic() + pause > deadline:
                    raise
            else:
                return
            await asyncio.sleep(pause)
            pause = min(2.0, 2 * pause)

    async def _refusal_text(self, storing: "asyncio.Task[None]", incoming: Incoming) -> str:
        """What the person is to be told of an event that was not kept; "" when it was."""
        try:
            await storing
        except AccessDeniedError as denied:
            return str(denied)
        except Exception as error:  # noqa: BLE001 (whatever it was, the person must hear of it)
            kind = type(error).__name__
            log.error("discord event not kept", key=incoming.key, error=kind)
            return NOT_STORED_TEXT
        return ""

    async def _reply_not_stored(self, message: discord.Message) -> None:
        body: Json = {
            "content": NOT_STORED_TEXT,
            "allowed_mentions": NO_MENTIONS,
            "message_reference": {"message_id": str(message.id), "fail_if_not_exists": False},
            "nonce": f"s{message.id}",
            "enforce_nonce": True,
        }
        try:
            await self._http.call("POST", f"/channels/{message.channel.id}/messages", body)
        except DeliveryError as error:
            log.warning("discord apology not sent", fault=error.failure)

    async def _answer_refusal(self, token: InteractionToken, refusal: str) -> None:
        """It was acknowledged before it was kept, and then was not."""
        body: Json = {"content": refusal, "allowed_mentions": NO_MENTIONS}
        try:
            if token.mode in (ResponseMode.EPHEMERAL, ResponseMode.PUBLIC):
                await self._responder.respond(token, body)
            else:
                await self._responder.follow_up(token, body, ephemeral=True)
        except DeliveryError as error:
            log.warning("discord apology not sent", fault=error.failure)
        if token.mode is ResponseMode.CHANNEL:
            await self._delete_question(token)

    async def _delete_question(self, token: InteractionToken) -> None:
        """The bot shows no words of somebody who may not be let in."""
        try:
            await self._responder.delete_original(token)
        except DeliveryError as error:
            log.warning("discord question not taken back", fault=error.failure)


def _question_message(incoming: Incoming, token: InteractionToken) -> Json | None:
    """The question, shown to everybody as the response to the command that asked it."""
    if token.mode is not ResponseMode.CHANNEL:
        return None
    question = incoming.text if incoming.command == "ask" else f"/{incoming.command} {incoming.text}"
    quoted = "> " + question.strip().replace("\n", "\n> ")
    if len(quoted) > MAX_MESSAGE_CHARS:
        quoted = quoted[: MAX_MESSAGE_CHARS - 1] + "…"
    return {"content": quoted, "allowed_mentions": NO_MENTIONS, "flags": SUPPRESS_EMBEDS_FLAG}
