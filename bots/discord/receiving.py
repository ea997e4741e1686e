"""Translates Discord's events and hands them to the inbox. Completes what people type."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import discord
import structlog

from bots.discord.commands import CONTINUE_FROM_HERE, focused_argument
from bots.discord.event_intake import NOT_STORED_TEXT, EventIntake, translate_refusal
from bots.discord.forms import Forms
from bots.discord.http_client import HttpClient, Json
from bots.discord.payloads import message_payload
from bots.discord.thread_titles import ThreadTitles
from bots.discord.translate import (
    Interaction,
    command_call,
    is_addressed_by_thread,
    is_message_command,
    translate_button,
    translate_command,
    translate_continue_from,
    translate_edit,
    translate_guild_join,
    translate_message,
)
from core.buttons import ButtonAction, parse_action
from core.commands.declarations import Command
from core.commands.models import AutocompleteChoice
from core.errors import DeliveryError
from core.i18n.translation import speaking
from core.port import EventKind, Incoming, Place

log = structlog.get_logger(__name__)

AutocompleteModels = Callable[[str], Sequence[AutocompleteChoice]]
"""Completes the beginning of a model's name, best matches first. Must be fast, without I/O."""

MAX_CHOICES = 25
MAX_CHOICE_CHARS = 100


@dataclass(slots=True)
class EventReceiver:
    """`commands` are by name. `reads_own_threads`: the bot has asked for the intent that it needs for this."""

    http: HttpClient
    intake: EventIntake
    forms: Forms
    account: str
    commands: Mapping[str, Command]
    autocomplete_models: AutocompleteModels
    reads_own_threads: bool
    thread_titles: ThreadTitles = field(init=False)

    def __post_init__(self) -> None:
        self.thread_titles = ThreadTitles(self.http, self.account)

    async def handle_message(self, message: discord.Message, bot_id: int) -> None:
        incoming = translate_message(message, self.account, bot_id)
        if incoming is None:
            return
        refusal = await self._store(message, incoming, bot_id)
        if refusal == NOT_STORED_TEXT and incoming.kind is not EventKind.FORWARD:
            await self._reply_not_stored(message, await translate_refusal(refusal, incoming))
        elif refusal is None:
            await self.thread_titles.name(incoming, message.channel)

    async def handle_edit(self, message: discord.Message, bot_id: int) -> None:
        """If an edit cannot be stored, the question keeps its text, and the person can edit it again."""
        incoming = translate_edit(message, self.account, bot_id)
        if incoming is not None:
            await self._store(message, incoming, bot_id)

    async def handle_guild_join(self, guild: discord.Guild) -> None:
        incoming = translate_guild_join(guild, self.account)
        if incoming is not None:
            await self.intake.store(incoming)

    async def handle_missed_message(self, message: discord.Message, bot_id: int, place: Place) -> bool:
        """Store a message of `place` that backfill found; False if it could not be stored."""
        incoming = translate_message(message, self.account, bot_id)
        if incoming is None:
            return True
        if is_addressed_by_thread(message, bot_id) and not self.reads_own_threads:
            return True  # what Discord has stored may have its text nevertheless
        # The library does not know the parent channel of an archived thread.
        incoming = replace(incoming, place=place)
        return await self._store(message, incoming, bot_id) != NOT_STORED_TEXT

    async def _store(self, message: discord.Message, incoming: Incoming, bot_id: int) -> str | None:
        # Somebody without access may talk to others in the bot's thread: it is no question that was refused.
        return await self.intake.store(incoming, if_allowed=is_addressed_by_thread(message, bot_id))

    async def handle_command(self, interaction: Interaction) -> None:
        if is_message_command(interaction):
            await self._handle_message_command(interaction)
            return
        incoming = translate_command(interaction, self.account, self.commands)
        if incoming.command == "system" and not incoming.text:
            await self.forms.open_instructions(interaction, incoming)
        elif await self.intake.store_interaction(incoming):
            await self.thread_titles.name(incoming, interaction.channel)

    async def _handle_message_command(self, interaction: Interaction) -> None:
        if command_call(interaction).name == CONTINUE_FROM_HERE:
            await self.intake.store_interaction(translate_continue_from(interaction, self.account))
        else:
            await self.forms.open_question_about_message(interaction)

    async def handle_modal(self, interaction: Interaction) -> None:
        await self.forms.handle_submission(interaction)

    async def handle_button(self, interaction: Interaction) -> None:
        incoming = translate_button(interaction, self.account)
        if incoming is None:
            return
        press = parse_action(incoming.text)
        if press is not None and press.action is ButtonAction.EDIT_QUESTION:
            await self.forms.open_question(interaction, incoming, press)
        else:
            await self.intake.store_interaction(incoming)

    async def handle_autocomplete(self, interaction: Interaction) -> None:
        choices = await self._autocomplete_choices(interaction)
        try:
            await self.intake.responder.answer_autocomplete(str(interaction.id), interaction.token, choices)
        except DeliveryError as error:
            log.info("discord.autocomplete_failed", failure=error.failure)

    async def _autocomplete_choices(self, interaction: Interaction) -> list[Json]:
        """None for people without access, to whom the bot does not react."""
        call = command_call(interaction)
        focused = focused_argument(self.commands.get(call.name), call.options)
        if focused is None or not focused.argument.autocompletes_models:
            return []
        incoming = translate_command(interaction, self.account, self.commands)
        may_use, catalogue = await asyncio.gather(self.intake.may_use(incoming), self.intake.load_catalogue(incoming))
        if not may_use:
            return []
        with speaking(catalogue):
            choices = self.autocomplete_models(focused.text)[:MAX_CHOICES]
        return [
            {"name": choice.label[:MAX_CHOICE_CHARS], "value": choice.value}
            for choice in choices
            if choice.label and len(choice.value) <= MAX_CHOICE_CHARS
        ]

    async def _reply_not_stored(self, message: discord.Message, notice: str) -> None:
        body = message_payload(notice, nonce=f"s{message.id}", reply_to=str(message.id))
        try:
            await self.http.call("POST", f"/channels/{message.channel.id}/messages", body)
        except DeliveryError as error:
            log.warning("discord.notice_failed", failure=error.failure)
