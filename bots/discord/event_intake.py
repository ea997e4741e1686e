"""Stores events through the inbox, and acknowledges interactions in time."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any
from weakref import WeakValueDictionary

import structlog

from bots.background_tasks import BackgroundTasks
from bots.discord.dialect import MAX_MESSAGE_CHARS, DiscordDialect
from bots.discord.http_client import Json
from bots.discord.interaction_responder import EPHEMERAL_MODES, InteractionResponder, InteractionToken, ResponseMode
from bots.discord.payloads import EPHEMERAL_FLAG, SUPPRESS_EMBEDS_FLAG, message_payload
from bots.discord.timings import DiscordTimings
from bots.discord.translate import channel_id
from core.backoff import Backoff
from core.conversation.redaction import find_api_key
from core.errors import AccessDeniedError, DeliveryError, StoreError
from core.i18n.translation import Catalogue, gettext, gettext_noop, load_catalogue, match_language, speaking
from core.markdown.document import Document, Inline, LineBreak, Paragraph, Quote, Text
from core.markdown.parser import normalise_text, parse_blocks
from core.port import Dialect, EventKind, Inbox, Incoming, Place

log = structlog.get_logger(__name__)

HasAccess = Callable[[Incoming], Awaitable[bool]]
"""Whether the sender of an event may use the bot. Raises `StoreError`."""

ReadLanguage = Callable[[Incoming], Awaitable[str]]
"""The language of the bot's messages to the sender of an event. Raises `StoreError`."""

NOT_STORED_TEXT = gettext_noop("I couldn't save your message, so it won't be answered. Send it again in a few minutes.")
MAX_RETURNED_CHARS = 1800
"""How much of their own words a person gets back when they cannot be used."""


@dataclass(slots=True)
class EventIntake:
    """Passes events to `inbox`, which is set only while the adapter runs."""

    responder: InteractionResponder
    has_access: HasAccess
    read_language: ReadLanguage
    timings: DiscordTimings
    inbox: Inbox | None = None
    dialect: Dialect = field(default_factory=DiscordDialect)
    """For the bot's own texts."""
    _store_tasks: BackgroundTasks = field(default_factory=BackgroundTasks)
    _handler_tasks: BackgroundTasks = field(default_factory=BackgroundTasks)
    _place_locks: WeakValueDictionary[Place, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    async def finish(self, handling: Coroutine[Any, Any, None]) -> None:
        """Run the handler of an event, for which `drain` waits: the library does not wait for its own handlers."""
        await self._handler_tasks.start(handling)

    async def may_use(self, incoming: Incoming) -> bool:
        """Whether the sender certainly may use the bot."""
        return await self.check_access(incoming) is True

    async def check_access(self, incoming: Incoming) -> bool | None:
        """Whether the sender may use the bot. None if the database does not say in time."""
        return await self._read_access(incoming, self.timings.max_read_delay)

    async def _read_access(self, incoming: Incoming, timeout: float | None) -> bool | None:
        try:
            async with asyncio.timeout(timeout):
                return await self.has_access(incoming)
        except (StoreError, TimeoutError) as error:
            log.info("discord.access_not_checked", error=str(error) or "timeout")
            return None

    async def load_catalogue(self, incoming: Incoming) -> Catalogue | None:
        """The catalogue of the language in which the bot writes to the sender. If the database does not say in time,
        that of the client.
        """
        try:
            async with asyncio.timeout(self.timings.max_read_delay):
                language = await self.read_language(incoming)
        except (StoreError, TimeoutError) as error:
            log.info("discord.language_not_read", error=str(error) or "timeout")
            language = match_language(incoming.language)
        return await load_catalogue(language)

    async def store(self, incoming: Incoming, *, if_allowed: bool = False) -> str | None:
        """The notice for the person if the event was not stored, "" if they get none; None if it was stored.

        A banned person gets none; with `if_allowed`, nobody who may not use the bot does.
        """
        return await self._refusal_text(self._start_storing(incoming, if_allowed=if_allowed), incoming)

    async def store_interaction(self, incoming: Incoming) -> bool:
        """Store an interaction and acknowledge it; acknowledge first if storing takes too long.

        Returns whether it was stored.
        """
        token = InteractionToken.decode(incoming.interaction_token or "")
        self.responder.expect_acknowledgement(token)
        storing = self._start_storing(incoming)
        done, _ = await asyncio.wait({storing}, timeout=self.timings.max_acknowledge_delay)
        if done and (refusal := await self._refusal_text(storing, incoming)) is not None:
            await self.refuse(token, await translate_refusal(refusal, incoming))
            return False
        await self._acknowledge(token, _question_message(incoming, token))
        if not done and (refusal := await self._refusal_text(storing, incoming)) is not None:
            await self._answer_refusal(token, await translate_refusal(refusal, incoming))
            return False
        return True

    async def refuse(self, token: InteractionToken, refusal: str, *, returned_text: str = "") -> None:
        """Show the refusal, and what the person wrote. Without a refusal, the person is banned: only a button press is
        acknowledged.
        """
        if refusal:
            quote = f"\n{quote_text(returned_text, MAX_RETURNED_CHARS)}" if returned_text else ""
            await self._acknowledge(token, {"content": self._write(refusal) + quote, "flags": EPHEMERAL_FLAG})
        elif token.mode is ResponseMode.COMPONENT:
            await self._acknowledge(token, None)

    def _write(self, text: str) -> str:
        """The bot's own text, in Markdown, as Discord needs it."""
        blocks = tuple(placed.block for placed in parse_blocks(normalise_text(text)))
        return self.dialect.render(Document(blocks)).text

    async def _acknowledge(self, token: InteractionToken, message: Json | None) -> None:
        try:
            await self.responder.acknowledge(token, message)
        except DeliveryError as error:
            log.warning("discord.interaction_not_acknowledged", failure=error.failure)

    def _start_storing(self, incoming: Incoming, *, if_allowed: bool = False) -> "asyncio.Task[None]":
        if self.inbox is None:
            raise RuntimeError("received an event while the adapter is not running")
        return self._store_tasks.start(self._store_in_order(self.inbox, incoming, if_allowed=if_allowed))

    async def _store_in_order(self, inbox: Inbox, incoming: Incoming, *, if_allowed: bool) -> None:
        """Store the messages of a place in the order of arrival. Interactions need no order."""
        if incoming.interaction_token is not None:
            await self._store_with_retry(inbox, incoming)
            return
        # The lock disappears with the last message that waits for it.
        async with self._place_locks.setdefault(incoming.place, asyncio.Lock()):
            if if_allowed and await self._read_access(incoming, None) is False:
                raise AccessDeniedError("")
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
        """The notice for the person if the event was not stored, "" if they get none; None if it was stored."""
        try:
            await storing
        except AccessDeniedError as denied:
            return str(denied)
        except Exception as error:  # noqa: BLE001 (the person must be notified of any error)
            log.error("discord.event_not_stored", key=incoming.key, error=type(error).__name__)
            return NOT_STORED_TEXT
        return None

    async def _answer_refusal(self, token: InteractionToken, refusal: str) -> None:
        """Tell the person that their interaction, already acknowledged, was not stored. A banned person is not told."""
        if refusal:
            await self._send_refusal(token, refusal)
        if token.mode is ResponseMode.CHANNEL or not (refusal or token.mode is ResponseMode.COMPONENT):
            await self._delete_response(token)

    async def _send_refusal(self, token: InteractionToken, refusal: str) -> None:
        body = message_payload(self._write(refusal))
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

    async def drain(self) -> None:
        """Wait until all received events are stored and all interactions are acknowledged, at most for `drain_timeout`
        each.
        """
        await self._store_tasks.drain(self.timings.drain_timeout)
        await self._handler_tasks.drain(self.timings.drain_timeout)
        self.inbox = None


async def translate_refusal(text: str, incoming: Incoming) -> str:
    """In the language of the client or the server: the one that a person chose is in the unavailable database."""
    with speaking(await load_catalogue(match_language(incoming.language))):
        return gettext(text)


def _question_message(incoming: Incoming, token: InteractionToken) -> Json | None:
    """The question as a public quote: the response to a command that is answered in the channel.

    It is shown as it was typed, because the bot must not publish a disguised link of somebody.
    """
    if token.mode is not ResponseMode.CHANNEL:
        return None
    text = incoming.form_text or ("" if incoming.kind is EventKind.BUTTON else incoming.text)
    text = "" if find_api_key(text) else text  # the core keeps it secret, too
    is_question = (incoming.command == "ask" or incoming.kind is EventKind.BUTTON) and bool(text.strip())
    question = (text if is_question else f"/{incoming.command} {text}").strip()
    link = _message_link(incoming)
    max_chars = MAX_MESSAGE_CHARS - len(link)
    quote = quote_text(question, max_chars)
    return message_payload(f"{quote}{link}", flags=SUPPRESS_EMBEDS_FLAG)


def _message_link(incoming: Incoming) -> str:
    """A line with the address of the message that the question is about."""
    message_id = next((quote.message_id for quote in incoming.quotes), None)
    if message_id is None:
        return ""
    place = incoming.place
    return f"\n-# https://discord.com/channels/{place.server or '@me'}/{channel_id(place)}/{message_id}"


def quote_text(text: str, max_chars: int) -> str:
    """The text as a quote, as it was typed. Too long ones are cut."""
    quote = _quote(text)
    # A line break takes three characters.
    return quote if len(quote) <= max_chars else _quote(text[: max_chars // 3] + "…")


def _quote(text: str) -> str:
    lines: Iterator[tuple[Inline, Inline]] = ((Text(line), LineBreak()) for line in text.split("\n"))
    paragraph = Paragraph(tuple(chain.from_iterable(lines))[:-1])
    return DiscordDialect().render(Document((Quote((paragraph,)),))).text
