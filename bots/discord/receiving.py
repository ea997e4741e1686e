"""Hands Discord's events to the inbox and acknowledges interactions in time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from weakref import WeakValueDictionary

import discord
import structlog

from bots.background_tasks import BackgroundTasks
from bots.discord.commands import ASK_ABOUT_MESSAGE, focused_argument
from bots.discord.dialect import MAX_MESSAGE_CHARS, DiscordDialect
from bots.discord.http_client import HttpClient, Json
from bots.discord.interaction_responder import EPHEMERAL_MODES, InteractionResponder, InteractionToken, ResponseMode
from bots.discord.modals import (
    ASK_MODAL,
    INSTRUCTIONS_MODAL,
    MAX_FIELD_CHARS,
    Modal,
    ModalSubmission,
    modal_payload,
    read_submission,
)
from bots.discord.payloads import EPHEMERAL_FLAG, SUPPRESS_EMBEDS_FLAG, message_payload
from bots.discord.timings import DiscordTimings
from bots.discord.translate import (
    Interaction,
    channel_id,
    command_call,
    is_message_command,
    translate_button,
    translate_command,
    translate_edit,
    translate_guild_join,
    translate_message,
    translate_message_command,
    translate_submission,
)
from core.backoff import Backoff
from core.bounded_dict import BoundedDict
from core.commands.declarations import RESET, Command
from core.commands.models import Suggestion
from core.conversation.redaction import find_api_key
from core.errors import AccessDeniedError, DeliveryError, StoreError
from core.i18n.translation import gettext, gettext_noop, load_catalogue, match_language, speaking
from core.markdown.document import Document, Inline, LineBreak, Paragraph, Quote, Text
from core.port import EventKind, Inbox, Incoming, Place

log = structlog.get_logger(__name__)

SuggestModels = Callable[[str], Sequence[Suggestion]]
"""Completes the beginning of a model's name, best matches first. Must be fast, without I/O."""

HasAccess = Callable[[Incoming], Awaitable[bool]]
"""Whether the sender of an event may use the bot. Raises `StoreError`."""

ReadInstructions = Callable[[Incoming], Awaitable[str]]
"""The instructions that apply to the sender of an event. Raises `StoreError`."""

NOT_STORED_TEXT = gettext_noop("I couldn't save your message, so it won't be answered. Send it again in a few minutes.")
MESSAGE_FORGOTTEN_TEXT = gettext_noop("I no longer have that message. Use the command on it again.")
MAX_OPEN_FORMS = 1000
MAX_CHOICES = 25
MAX_CHOICE_CHARS = 100


@dataclass(slots=True)
class EventReceiver:
    """Passes every event to `inbox`, which is set only while the adapter runs. `commands` are by name."""

    http: HttpClient
    responder: InteractionResponder
    account: str
    commands: Mapping[str, Command]
    suggest_models: SuggestModels
    has_access: HasAccess
    read_instructions: ReadInstructions
    timings: DiscordTimings
    inbox: Inbox | None = None
    _store_tasks: BackgroundTasks = field(default_factory=BackgroundTasks)
    _place_locks: WeakValueDictionary[Place, asyncio.Lock] = field(default_factory=WeakValueDictionary)
    _questions_about_messages: BoundedDict[str, Incoming] = field(default_factory=lambda: BoundedDict(MAX_OPEN_FORMS))
    """By interaction: the messages about which somebody is writing a question in a form. The form cannot contain them,
    and the bot may not be able to read them later."""

    async def handle_message(self, message: discord.Message, bot_id: int) -> None:
        incoming = translate_message(message, self.account, bot_id)
        if incoming is None:
            return
        refusal = await self._refusal_text(self._start_storing(incoming), incoming)
        if refusal == NOT_STORED_TEXT and incoming.kind is not EventKind.FORWARD:
            await self._reply_not_stored(message, await _translate_refusal(refusal, incoming))

    async def handle_edit(self, message: discord.Message, bot_id: int) -> None:
        """An edit that cannot be stored changes nothing: the question keeps its text, and the person can write anew."""
        incoming = translate_edit(message, self.account, bot_id)
        if incoming is not None:
            await self._refusal_text(self._start_storing(incoming), incoming)

    async def handle_guild_join(self, guild: discord.Guild) -> None:
        incoming = translate_guild_join(guild, self.account)
        if incoming is not None:
            await self._refusal_text(self._start_storing(incoming), incoming)

    async def handle_missed_message(self, message: discord.Message, bot_id: int, place: Place) -> bool:
        """Store a message of `place` that backfill found; False if it could not be stored."""
        incoming = translate_message(message, self.account, bot_id)
        if incoming is None:
            return True
        # The library does not know the parent channel of an archived thread.
        incoming = replace(incoming, place=place)
        return await self._refusal_text(self._start_storing(incoming), incoming) != NOT_STORED_TEXT

    async def handle_command(self, interaction: Interaction) -> None:
        if is_message_command(interaction):
            await self._ask_about_message(interaction)
            return
        incoming = translate_command(interaction, self.account, self.commands)
        if incoming.command == "system" and not incoming.text:
            await self._edit_instructions(interaction, incoming)
        else:
            await self._handle_interaction(incoming)

    async def handle_modal(self, interaction: Interaction) -> None:
        submission = read_submission(interaction.data or {})
        if submission.name == ASK_MODAL:
            await self._handle_question_about_message(interaction, submission)
        elif submission.name == INSTRUCTIONS_MODAL:
            await self._handle_instructions(interaction, submission)

    async def handle_button(self, interaction: Interaction) -> None:
        if (incoming := translate_button(interaction, self.account)) is not None:
            await self._handle_interaction(incoming)

    async def _ask_about_message(self, interaction: Interaction) -> None:
        """Open a form for the question. Whoever may not use the bot gets the same as for any other command."""
        incoming = translate_message_command(interaction, self.account)
        if not await self._can_respond(incoming):
            await self._handle_interaction(incoming)
            return
        self._questions_about_messages[str(interaction.id)] = incoming
        with speaking(await load_catalogue(match_language(incoming.language))):
            modal = Modal(
                ASK_MODAL,
                str(interaction.id),
                title=gettext(ASK_ABOUT_MESSAGE),
                label=gettext("Your question"),
                placeholder=gettext("Empty: I answer the message itself."),
            )
        await self._open_modal(interaction, modal)

    async def _handle_question_about_message(self, interaction: Interaction, submission: ModalSubmission) -> None:
        incoming = translate_submission(interaction, self.account, "ask", submission.text)
        about = self._questions_about_messages.get(submission.argument)
        if about is not None and (about.sender.user, about.place) == (incoming.sender.user, incoming.place):
            incoming = replace(incoming, quotes=about.quotes, attachments=about.attachments)
        elif await self._can_respond(incoming):
            token = InteractionToken.decode(incoming.interaction_token or "")
            await self._refuse(token, await _translate_refusal(MESSAGE_FORGOTTEN_TEXT, incoming))
            return
        await self._handle_interaction(incoming)

    async def _edit_instructions(self, interaction: Interaction, incoming: Incoming) -> None:
        """Open a form with the current instructions. If it cannot contain them, they are shown as for `/system`."""
        current = await self._current_instructions(incoming) if await self._can_respond(incoming) else None
        if current is None or len(current) > MAX_FIELD_CHARS:
            await self._handle_interaction(incoming)
            return
        with speaking(await load_catalogue(match_language(incoming.language))):
            modal = Modal(
                INSTRUCTIONS_MODAL,
                "",
                title=gettext("The model's instructions"),
                label=gettext("Instructions"),
                placeholder=gettext("Empty: the default."),
                text=current,
            )
        await self._open_modal(interaction, modal)

    async def _handle_instructions(self, interaction: Interaction, submission: ModalSubmission) -> None:
        """Without a change, this is `/system`, which shows them."""
        incoming = translate_submission(interaction, self.account, "system", submission.text or RESET)
        current = await self._current_instructions(incoming) if await self._can_respond(incoming) else None
        if current is not None and current.strip() == submission.text:
            incoming = replace(incoming, text="")
        await self._handle_interaction(incoming)

    async def _current_instructions(self, incoming: Incoming) -> str | None:
        try:
            return await self.read_instructions(incoming)
        except StoreError as error:
            log.info("discord.instructions_not_read", error=str(error))
            return None

    async def _open_modal(self, interaction: Interaction, modal: Modal) -> None:
        try:
            await self.responder.open_modal(str(interaction.id), interaction.token, modal_payload(modal))
        except DeliveryError as error:
            log.info("discord.modal_failed", failure=error.failure)

    async def _can_respond(self, incoming: Incoming) -> bool:
        """Whether the sender may use the bot, as far as the database can be asked."""
        try:
            return await self.has_access(incoming)
        except StoreError as error:
            log.info("discord.access_not_checked", error=str(error))
            return False

    async def handle_autocomplete(self, interaction: Interaction) -> None:
        choices = await self._completions(interaction)
        try:
            await self.responder.answer_autocomplete(str(interaction.id), interaction.token, choices)
        except DeliveryError as error:
            log.info("discord.autocomplete_failed", failure=error.failure)

    async def _completions(self, interaction: Interaction) -> list[Json]:
        """None for people without access, to whom the bot does not react."""
        call = command_call(interaction)
        focused = focused_argument(self.commands.get(call.name), call.options)
        if focused is None or not focused.argument.autocompletes_models:
            return []
        if not await self._can_respond(translate_command(interaction, self.account, self.commands)):
            return []
        with speaking(await load_catalogue(match_language(str(interaction.locale)))):
            suggestions = self.suggest_models(focused.text)[:MAX_CHOICES]
        return [
            {"name": suggestion.label[:MAX_CHOICE_CHARS], "value": suggestion.value}
            for suggestion in suggestions
            if suggestion.label and len(suggestion.value) <= MAX_CHOICE_CHARS
        ]

    async def drain(self) -> None:
        """Wait until all received events are stored, at most for `drain_timeout`."""
        await self._store_tasks.drain(self.timings.drain_timeout)
        self.inbox = None

    async def _handle_interaction(self, incoming: Incoming) -> None:
        """Store an interaction and acknowledge it; acknowledge first if storing takes too long."""
        token = InteractionToken.decode(incoming.interaction_token or "")
        self.responder.expect_acknowledgement(token)
        storing = self._start_storing(incoming)
        done, _ = await asyncio.wait({storing}, timeout=self.timings.max_acknowledge_delay)
        if done and (refusal := await self._refusal_text(storing, incoming)) is not None:
            await self._refuse(token, await _translate_refusal(refusal, incoming))
            return
        await self._acknowledge(token, _question_message(incoming, token))
        if not done and (refusal := await self._refusal_text(storing, incoming)) is not None:
            await self._answer_refusal(token, await _translate_refusal(refusal, incoming))

    async def _refuse(self, token: InteractionToken, refusal: str) -> None:
        """Show the refusal. Without a text, the person is banned: only a button press is acknowledged."""
        if refusal:
            await self._acknowledge(token, {"content": refusal, "flags": EPHEMERAL_FLAG})
        elif token.mode is ResponseMode.COMPONENT:
            await self._acknowledge(token, None)

    async def _acknowledge(self, token: InteractionToken, message: Json | None) -> None:
        try:
            await self.responder.acknowledge(token, message)
        except DeliveryError as error:
            log.warning("discord.interaction_not_acknowledged", failure=error.failure)

    def _start_storing(self, incoming: Incoming) -> "asyncio.Task[None]":
        if self.inbox is None:
            raise RuntimeError("received an event while the adapter is not running")
        return self._store_tasks.start(self._store_in_order(self.inbox, incoming))

    async def _store_in_order(self, inbox: Inbox, incoming: Incoming) -> None:
        """Store the messages of a place in the order of arrival. Interactions need no order."""
        if incoming.interaction_token is not None:
            await self._store_with_retry(inbox, incoming)
            return
        # The lock disappears with the last message that waits for it.
        async with self._place_locks.setdefault(incoming.place, asyncio.Lock()):
            await self._store_with_retry(inbox, incoming)

    async def _store_with_retry(self, inbox: Inbox, incoming: Incoming) -> None:
        """Retry while the database is unavailable, because Discord delivers an event only once."""
        backoff = Backoff(self.timings.first_store_retry_delay, self.timings.max_store_retry_delay)
        deadline = self.timings.clock.monotonic() + self.timings.store_timeout
        while True:
            try:
                await inbox(incoming)
                return
            except StoreError:
                delay = backoff.next_delay()
                if self.timings.clock.monotonic() + delay > deadline:
                    raise
            await self.timings.clock.sleep(delay)

    async def _refusal_text(self, storing: "asyncio.Task[None]", incoming: Incoming) -> str | None:
        """The notice for the person if the event was not stored, "" for a banned person; None if it was stored."""
        try:
            await storing
        except AccessDeniedError as denied:
            return str(denied)
        except Exception as error:  # noqa: BLE001 (the person must be notified of any error)
            log.error("discord.event_not_stored", key=incoming.key, error=type(error).__name__)
            return NOT_STORED_TEXT
        return None

    async def _reply_not_stored(self, message: discord.Message, notice: str) -> None:
        body = message_payload(notice, nonce=f"s{message.id}", reply_to=str(message.id))
        try:
            await self.http.call("POST", f"/channels/{message.channel.id}/messages", body)
        except DeliveryError as error:
            log.warning("discord.notice_failed", failure=error.failure)

    async def _answer_refusal(self, token: InteractionToken, refusal: str) -> None:
        """Tell the person that their interaction, already acknowledged, was not stored. A banned person is not told."""
        if refusal:
            await self._send_refusal(token, refusal)
        if token.mode is ResponseMode.CHANNEL or not (refusal or token.mode is ResponseMode.COMPONENT):
            await self._delete_response(token)

    async def _send_refusal(self, token: InteractionToken, refusal: str) -> None:
        body = message_payload(refusal)
        try:
            if token.mode in (*EPHEMERAL_MODES, ResponseMode.PUBLIC):
                await self.responder.respond(token, body)
            else:
                await self.responder.follow_up(token, body, ephemeral=True)
        except DeliveryError as error:
            log.warning("discord.notice_failed", failure=error.failure)

    async def _delete_response(self, token: InteractionToken) -> None:
        """Delete the public question, because the bot must not publish the text of a rejected user, or what shows a
        banned person that the bot works on something.
        """
        try:
            await self.responder.delete_original(token)
        except DeliveryError as error:
            log.warning("discord.question_not_deleted", failure=error.failure)


async def _translate_refusal(text: str, incoming: Incoming) -> str:
    """In the language of the client or the server: the one that a person chose is in the database, which is away."""
    with speaking(await load_catalogue(match_language(incoming.language))):
        return gettext(text)


def _question_message(incoming: Incoming, token: InteractionToken) -> Json | None:
    """The question as a public quote: the response to a command that is answered in the channel.

    It is shown as it was typed, because the bot must not publish a disguised link of somebody.
    """
    if token.mode is not ResponseMode.CHANNEL:
        return None
    text = "" if find_api_key(incoming.text) else incoming.text  # the core keeps it secret, too
    is_question = incoming.command == "ask" and bool(text.strip())  # Discord refuses an empty message
    question = (text if is_question else f"/{incoming.command} {text}").strip()
    link = _message_link(incoming)
    max_chars = MAX_MESSAGE_CHARS - len(link)
    quote = _quote(question)
    if len(quote) > max_chars:
        quote = _quote(question[: max_chars // 3] + "…")  # a line break takes three characters
    return message_payload(f"{quote}{link}", flags=SUPPRESS_EMBEDS_FLAG)


def _message_link(incoming: Incoming) -> str:
    """A line with the address of the message that the question is about."""
    message_id = next((quote.message_id for quote in incoming.quotes), None)
    if message_id is None:
        return ""
    place = incoming.place
    return f"\n-# https://discord.com/channels/{place.server or '@me'}/{channel_id(place)}/{message_id}"


def _quote(text: str) -> str:
    lines: Iterator[tuple[Inline, Inline]] = ((Text(line), LineBreak()) for line in text.split("\n"))
    paragraph = Paragraph(tuple(chain.from_iterable(lines))[:-1])
    return DiscordDialect().render(Document((Quote((paragraph,)),))).text
