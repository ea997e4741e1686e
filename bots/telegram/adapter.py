"""The Telegram adapter: connects, receives by polling or webhook, and sends."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import structlog
from telegram import Bot, ChatMember, InputFile, Message, ReplyParameters, Update, User
from telegram.constants import ChatAction, FileSizeLimit, MessageLimit
from telegram.error import BadRequest, InvalidToken, TelegramError

from bots.background_tasks import BackgroundTasks
from bots.telegram.buttons import inline_keyboard
from bots.telegram.commands import CommandMenus
from bots.telegram.dialect import TelegramDialect, part_entities
from bots.telegram.drafts import DraftSender
from bots.telegram.ephemeral import EphemeralMessages
from bots.telegram.errors import delivery_errors, is_not_modified, is_topic_gone, redact_token, retry
from bots.telegram.foreign_messages import ForeignMessages, GuestQueryClosedError, is_guest
from bots.telegram.http_client import BotApiRequest, PollingRequest, call_method, close_bot, download
from bots.telegram.identity import PLATFORM
from bots.telegram.inline_queries import InlineQueries
from bots.telegram.message_ids import is_ephemeral_key, message_parameters
from bots.telegram.polling import MAX_CONFLICTS, Poller
from bots.telegram.profile import BotProfile, publish_profile
from bots.telegram.reactions import Reactions
from bots.telegram.receiving import UpdateReceiver
from bots.telegram.rich_dialect import RichDialect, rich_content
from bots.telegram.rich_messages import RichMessages
from bots.telegram.settings import TOKEN_PATTERN
from bots.telegram.timings import TelegramTimings
from bots.telegram.topics import TopicTitles
from bots.telegram.translate import thread_id
from bots.telegram.updates import allowed_updates
from core.bounded_dict import BoundedDict
from core.commands.declarations import Command
from core.errors import ConfigurationError, DeliveryError, DeliveryFailure, RichRejectedError
from core.i18n.translation import gettext
from core.port import (
    Attachment,
    Capabilities,
    ConnectionState,
    Dialect,
    FastStart,
    File,
    Inbox,
    Incoming,
    Part,
    Place,
    PreviewMode,
    RateLimit,
    RateWindow,
    RichMode,
    StateStore,
    UploadLimits,
)
from core.store.leases import Leases
from core.suggestions import SupportsSuggestions
from core.texts.answers import GUEST_ANSWER_MOVED
from core.throttled_log import ThrottledLog

if TYPE_CHECKING:
    from bots.telegram.webhook import WebhookAddress, WebhookServer

# Without this, the library warns at every 429 that the type of `retry_after` will change.
os.environ.setdefault("PTB_TIMEDELTA", "true")

NO_LINK_PREVIEW = {"is_disabled": True}
# Telegram allows about one message a second, and a few at once. Edits count as messages.
PRIVATE_RATE_LIMIT: RateLimit = (RateWindow(5, 5.3),)
# And 20 in any minute in a group. The extra second allows for requests that arrive faster than earlier ones.
GROUP_RATE_LIMIT: RateLimit = (*PRIVATE_RATE_LIMIT, RateWindow(20, 61.0, spacing=1.0))
# Drafts do not count as messages. In practice, up to 20 in 5 seconds and 40 in 30 seconds pass.
DRAFT_RATE_LIMIT: RateLimit = (RateWindow(16, 5.0), RateWindow(36, 30.0))
# Telegram allows 30 a second. The shorter window spreads requests, because they bunch up on a busy machine.
ACCOUNT_RATE_LIMIT: RateLimit = (RateWindow(29, 1.15), RateWindow(6, 0.22))
UPLOAD_LIMITS = UploadLimits(int(FileSizeLimit.FILESIZE_UPLOAD), int(MessageLimit.CAPTION_LENGTH))
MAX_EPHEMERAL_AGE = 24 * 3600.0
"""Telegram does not say when an ephemeral message expires."""
MAX_BACKGROUND_TASKS = 100
MAX_CACHED_MEMBERS = 1_000
MAX_MOVED_ANSWERS = 1_000
MANAGER_STATUSES = (ChatMember.OWNER, ChatMember.ADMINISTRATOR)

log = structlog.get_logger(__name__)
T = TypeVar("T")


class TelegramAdapter:
    """One bot; `account` is its ID, the beginning of the token.

    `preview_mode`: drafts exist only in private chats; elsewhere edits replace them.
    `rich_mode`: when answers are rich messages, unless a chat prefers another mode.
    `seen_reaction`: marks stored questions in groups; empty for none.
    `commands` appear in Telegram's menu; `state` remembers that they do in other languages than English.
    `leases`: only one of the processes on the same database polls; the others stand by.
    `webhook`: Telegram sends updates to this address, and no process polls.
    `max_conflicts`: see `Poller`.
    """

    platform = PLATFORM
    account_rate_limit = ACCOUNT_RATE_LIMIT
    upload_limits = UPLOAD_LIMITS

    def __init__(
        self,
        token: str,
        *,
        api_base: str = "https://api.telegram.org",
        preview_mode: PreviewMode = PreviewMode.DRAFT,
        rich_mode: RichMode = RichMode.AUTO,
        profile: BotProfile = BotProfile(),  # noqa: B008 (frozen)
        seen_reaction: str = "",
        commands: Sequence[Command] = (),
        state: StateStore | None = None,
        leases: Leases | None = None,
        webhook: "WebhookAddress | None" = None,
        max_conflicts: int = MAX_CONFLICTS,
        timings: TelegramTimings = TelegramTimings(),
    ) -> None:
        if not TOKEN_PATTERN.fullmatch(token):
            raise ConfigurationError("TELEGRAM_BOT_TOKEN is not a Telegram bot token.")
        self.account = token.partition(":")[0]
        self.dialect: Dialect = TelegramDialect()
        self._preview_mode = preview_mode
        self._rich_mode = rich_mode
        self._commands = commands
        self._state = state
        self._leases = leases
        self._webhook = webhook
        self._max_conflicts = max_conflicts
        self._timings = timings
        self._bot = create_bot(token, api_base.rstrip("/"), timings)
        self._rich_messages = RichMessages(self._bot)
        self._foreign_messages = ForeignMessages(self._bot, self._rich_messages)
        self._moved_answers: BoundedDict[str, None] = BoundedDict(MAX_MOVED_ANSWERS)
        """The interaction tokens of guests who have read that they get the answer in their private chat."""
        self._ephemeral = EphemeralMessages(self._bot, timings.clock)
        self._drafts = DraftSender(self._bot, self._rich_messages)
        self._profile = profile
        self._reactions = Reactions(self._bot, seen_reaction, timings.clock)
        self._topics = TopicTitles(self._bot, state, timings.clock)
        self._inline_queries: InlineQueries | None = None
        self._transport: Poller | WebhookServer | None = None
        self._connected = asyncio.Event()
        self._has_privacy_mode = False
        """Telegram reports it when the bot connects."""
        self._background_tasks = BackgroundTasks()
        self._managers: BoundedDict[tuple[str, str], tuple[bool, float]] = BoundedDict(MAX_CACHED_MEMBERS)
        """By chat and user: whether they manage the chat, and until when (`Clock.monotonic`) that holds."""
        # At lower levels, these log people's messages and URLs that contain the token.
        for name in ("httpx", "httpcore", "telegram"):
            logging.getLogger(name).setLevel(logging.WARNING)

    @property
    def last_activity(self) -> float | None:
        """See `core.port.SupportsLiveness`."""
        return self._transport.last_activity if self._transport is not None else None

    @property
    def connection_state(self) -> ConnectionState:
        """See `core.port.SupportsLiveness`."""
        if self._transport is not None:
            return ConnectionState.CONNECTED if self._transport.is_connected else ConnectionState.CONNECTING
        return ConnectionState.STANDBY if self._connected.is_set() else ConnectionState.CONNECTING

    def capabilities(self, place: Place) -> Capabilities:
        preview_mode = self._preview_mode
        if preview_mode is PreviewMode.DRAFT and not (place.is_private and self._drafts.is_supported):
            preview_mode = PreviewMode.EDIT
        if place.is_foreign:
            return Capabilities(
                rate_limit=PRIVATE_RATE_LIMIT,
                # Telegram waits only so long for the answer to a guest: the preview creates the message.
                preview_mode=PreviewMode.EDIT if is_guest(place) else preview_mode,
                deduplicates_sends=True,
                answers_in_one_message=True,
            )
        if not place.is_private:
            return Capabilities(
                rate_limit=GROUP_RATE_LIMIT,
                preview_mode=preview_mode,
                slow_preview_after_chars=2000,
                has_ephemeral_messages=self._ephemeral.is_supported(place),
                has_ephemeral_files=self._ephemeral.hides_files(place),
                max_ephemeral_age=MAX_EPHEMERAL_AGE,
            )
        if preview_mode is PreviewMode.DRAFT:
            return Capabilities(
                rate_limit=PRIVATE_RATE_LIMIT,
                preview_mode=preview_mode,
                draft_rate_limit=DRAFT_RATE_LIMIT,
                fast_start=FastStart(interval=0.38, seconds=5.0),
                draft_refresh_interval=25.0,  # Telegram removes a draft after 30 seconds
                has_stop_button=False,  # the client shows its own Stop on a draft
            )
        return Capabilities(rate_limit=PRIVATE_RATE_LIMIT, preview_mode=preview_mode)

    def answer_dialect(self, mode: RichMode | None) -> Dialect:
        """See `core.port.SupportsRichMessages`."""
        mode = mode or self._rich_mode
        return self.dialect if mode is RichMode.OFF or not self._rich_messages.is_supported else RichDialect(mode)

    # Receiving

    async def run(self, inbox: Inbox) -> None:
        try:
            me = await self._connect()
            menus = CommandMenus(self._bot, self._commands, self._state, self._timings)
            self._start_background(menus.publish())
            self._start_background(publish_profile(self._bot, self._profile, self._timings))
            if isinstance(inbox, SupportsSuggestions):
                self._inline_queries = InlineQueries(self._bot, me, inbox, self._rich_messages, self._timings)
            receiver = UpdateReceiver(
                self._with_reactions(inbox),
                me,
                frozenset(command.name for command in self._commands),
                lambda query_id, text: self._start_background(self._answer_callback_query(query_id, text)),
                ThrottledLog(clock=self._timings.clock),
                self._observe,
                self._inline_queries,
            )
            await self._receive_updates(receiver, allowed_updates(me))
        except InvalidToken:
            raise ConfigurationError(
                "Telegram does not accept TELEGRAM_BOT_TOKEN. Set it to the bot's current token from @BotFather, "
                "or set TELEGRAM_API_BASE to the address of a Bot API server."
            ) from None  # the library's message contains the token
        finally:
            self._connected.clear()
            try:
                if self._inline_queries is not None:
                    await self._inline_queries.close()
                await self._background_tasks.drain(self._timings.background_timeout)
            finally:
                await close_bot(self._bot)

    async def _connect(self) -> User:
        await retry("getMe", self._bot.initialize, self._bot.token, self._timings)
        me = self._bot.bot
        self._has_privacy_mode = not me.can_read_all_group_messages
        self._connected.set()
        log.info(
            "telegram.connected",
            bot=me.username,
            privacy_mode=self._has_privacy_mode,
            hint="the bot receives only commands and replies to it in groups; to let it receive mentions, "
            "turn privacy mode off at @BotFather, then add the bot to the group again"
            if self._has_privacy_mode
            else "the bot receives every message in groups",
        )
        return me

    async def _observe(self, update: Update) -> None:
        await self._topics.observe(update)
        if update.my_chat_member is not None:
            self._managers.pop((str(update.my_chat_member.chat.id), self.account), None)

    def _with_reactions(self, inbox: Inbox) -> Inbox:
        """`inbox`, followed by the bot's reactions to an event that it has stored."""

        async def receive(incoming: Incoming) -> None:
            if is_guest(incoming.place) and not self._foreign_messages.allows_guests:
                return
            self._ephemeral.observe(incoming.place, incoming.message_id)
            await inbox(incoming)
            self._name_topic(incoming)
            if self._reactions.marks_seen(incoming):
                self._start_background(self._reactions.mark_seen(incoming))

        return receive

    def _name_topic(self, question: Incoming) -> None:
        if self._topics.may_name(question):
            self._start_background(self._topics.name(question))

    def question_transcribed(self, question: Incoming) -> None:
        """See `core.port.SupportsTranscripts`."""
        self._name_topic(question)

    async def _receive_updates(self, receiver: UpdateReceiver, updates: Sequence[str]) -> None:
        if self._webhook is not None:
            from bots.telegram.webhook import WebhookServer

            server = WebhookServer(self._bot, self._webhook, receiver.receive, self._timings, updates)
            await self._run_transport(server)
            return

        async def poll() -> None:
            poller = Poller(self._bot, receiver.receive, self._timings, self._max_conflicts, updates)
            await self._run_transport(poller)

        if self._leases is None:
            await poll()
        else:
            await self._leases.run_while_held(f"telegram:poller:{self.account}", poll)

    async def _run_transport(self, transport: "Poller | WebhookServer") -> None:
        self._transport = transport
        try:
            await transport.run()
        finally:
            self._transport = None

    async def _answer_callback_query(self, query_id: str, text: str) -> None:
        try:
            await self._bot.answer_callback_query(query_id, text=text or None, show_alert=bool(text) or None)
        except BadRequest:  # too old, or answered before Telegram delivered it again
            log.debug("telegram.callback_query_expired")

    def _start_background(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a small request in the background."""
        if len(self._background_tasks) < MAX_BACKGROUND_TASKS:
            self._background_tasks.start(self._log_failure(coroutine))
        else:
            coroutine.close()

    async def _log_failure(self, coroutine: Coroutine[Any, Any, None]) -> None:
        try:
            await coroutine
        except TelegramError as error:
            log.warning("telegram.background_failed", error=redact_token(str(error), self._bot.token))

    async def is_manager(self, place: Place, user: str) -> bool:
        """See `core.port.SupportsManagers`. Somebody who asked as the group presses buttons as a person."""
        now, member_key = self._timings.clock.monotonic(), (place.chat, user)
        is_manager, expires_at = self._managers.get(member_key, (False, 0.0))
        if now < expires_at:
            return is_manager
        try:
            async with asyncio.timeout(self._timings.member_timeout), self._request():
                member = await self._bot.get_chat_member(int(place.chat), int(user))
        except (DeliveryError, TimeoutError) as error:
            log.info("telegram.member_unknown", chat=place.chat, error=str(error) or type(error).__name__)
            return False
        is_manager = member.status in MANAGER_STATUSES
        self._managers[member_key] = is_manager, now + self._timings.manager_cache_lifetime
        return is_manager

    async def receives_mentions(self, place: Place) -> bool:
        """See `core.port.SupportsPrivacyMode`. Privacy mode does not hold where the bot is an administrator."""
        return place.is_private or not self._has_privacy_mode or await self.is_manager(place, self.account)

    async def open_private_chat(self, user: str) -> Place:
        """See `core.port.SupportsPrivateChats`. Telegram refuses messages to people who never wrote to the bot."""
        return Place(PLATFORM, self.account, user, is_private=True)

    # Sending

    async def send(
        self,
        place: Place,
        part: Part,
        *,
        key: str,
        reply_to: str | None = None,
        interaction_token: str | None = None,
        person: str = "",
        ephemeral: bool = False,
    ) -> str:
        if place.is_foreign:
            return await self._send_to_foreign_chat(place, part, interaction_token or "")
        receiver = person if ephemeral and not place.is_private else ""
        reply = None
        if reply_to is not None and not is_ephemeral_key(reply_to):
            reply = ReplyParameters(int(reply_to), allow_sending_without_reply=True)
        try:
            async with self._request():
                return await _in_topic(place, lambda place: self._create_message(place, part, reply, receiver))
        except DeliveryError as error:
            if error.failure is DeliveryFailure.UNKNOWN:
                # A private chat has its person's ID.
                log.warning("telegram.send_uncertain", key=key, chat="private" if place.is_private else place.chat)
            raise

    async def _send_to_foreign_chat(self, place: Place, part: Part, token: str) -> str:
        try:
            async with self._request():
                return await self._foreign_messages.send(token, part)
        except GuestQueryClosedError:
            return await self._answer_guest_privately(place, part, token)
        except DeliveryError as error:
            if error.failure is not DeliveryFailure.UNKNOWN:
                raise
            # Sending twice is safe: an inline message exists, and Telegram accepts one answer to a guest query.
            raise DeliveryError(str(error), DeliveryFailure.TRANSIENT) from error

    async def _answer_guest_privately(self, place: Place, part: Part, token: str) -> str:
        """The person gets the answer in their private chat."""
        private_chat = await self.open_private_chat(place.chat)
        async with self._request():
            if token not in self._moved_answers:
                log.info("telegram.guest_answered_privately")
                await self._create_message(private_chat, Part(gettext(GUEST_ANSWER_MOVED)), None, "")
                self._moved_answers[token] = None
            return await self._create_message(private_chat, part, None, "")

    async def _create_message(self, place: Place, part: Part, reply: ReplyParameters | None, receiver: str) -> str:
        """`receiver` alone should see the message; empty: everybody."""
        file = part.file
        if file is None:
            target = {
                "chat_id": int(place.chat),
                "message_thread_id": thread_id(place),
                "reply_parameters": reply and reply.to_dict(),
                "reply_markup": _keyboard_parameter(part),
            }
            if rich_content(part) is not None:
                if receiver:
                    raise RichRejectedError("it is for one person alone")
                message = await self._rich_messages.call("sendRichMessage", part, target)
            elif receiver:
                return await self._ephemeral.send(place, receiver, target | _text_parameters(part))
            else:
                message = await call_method(self._bot, "sendMessage", target | _text_parameters(part))
            return str(message["message_id"])
        if receiver:
            return await self._ephemeral.send_file(
                place, receiver, lambda parameters: self._send_document(place, part, file, None, parameters)
            )
        return str((await self._send_document(place, part, file, reply, {})).message_id)

    async def _send_document(
        self, place: Place, part: Part, file: File, reply: ReplyParameters | None, parameters: Mapping[str, object]
    ) -> Message:
        """`parameters`: those that the library does not know."""
        return await self._bot.send_document(
            int(place.chat),
            InputFile(file.content, filename=file.name),
            caption=part.text or None,
            disable_content_type_detection=True,
            message_thread_id=thread_id(place),
            reply_parameters=reply,
            reply_markup=inline_keyboard(part),
            api_kwargs={"caption_entities": msgspec.to_builtins(part_entities(part)) or None, **parameters},
        )

    async def edit(self, place: Place, message_id: str, part: Part, **_: Any) -> None:
        async with self._request():
            if place.is_foreign and not _is_private_message(message_id):
                await self._foreign_messages.edit(message_id, part)
                return
            try:
                kind, message = message_parameters(message_id)
                target = {"chat_id": int(place.chat), **message, "reply_markup": _keyboard_parameter(part)}
                if rich_content(part) is not None:
                    await self._rich_messages.call(f"edit{kind}Text", part, target)
                else:
                    await call_method(self._bot, f"edit{kind}Text", target | _text_parameters(part))
            except BadRequest as error:
                if not is_not_modified(error):
                    raise

    async def delete(self, place: Place, message_id: str, **_: Any) -> None:
        if place.is_foreign:
            raise DeliveryError("Telegram lets bots delete no message of another chat", DeliveryFailure.REJECTED)
        kind, message = message_parameters(message_id)
        async with self._request():
            await call_method(self._bot, f"delete{kind}", {"chat_id": int(place.chat), **message})

    async def show_typing(self, place: Place) -> None:
        if place.is_foreign:
            return
        async with self._request():
            await _in_topic(place, self._send_typing)

    async def _send_typing(self, place: Place) -> None:
        await self._bot.send_chat_action(int(place.chat), ChatAction.TYPING, message_thread_id=thread_id(place))

    async def show_draft(self, place: Place, draft_id: int, part: Part) -> None:
        async with self._request():
            await _in_topic(place, lambda place: self._drafts.send(place, draft_id, part))

    async def mark_waiting(self, place: Place, message_id: str, *, is_waiting: bool) -> None:
        """See `core.port.SupportsWaitingMarks`."""
        async with self._request():
            await self._reactions.mark_waiting(place, message_id, is_waiting=is_waiting)

    async def fetch(self, attachment: Attachment, max_bytes: int) -> bytes:
        async with self._request():
            file = await self._bot.get_file(attachment.file_id)
        return await download(file, max_bytes, self._timings)

    @asynccontextmanager
    async def _request(self) -> AsyncIterator[None]:
        """Wait until connected, and translate all errors to `DeliveryError`."""
        try:
            async with asyncio.timeout(self._timings.ready_timeout):
                await self._connected.wait()
        except TimeoutError:
            raise DeliveryError("Telegram is not connected", DeliveryFailure.TRANSIENT) from None
        with delivery_errors():
            async with asyncio.timeout(self._timings.request_timeout):
                yield


def _is_private_message(message_id: str) -> bool:
    """Whether an answer to a guest stands in their private chat: its messages have numbers, inline ones other IDs."""
    return message_id.isdecimal()


def _text_parameters(part: Part) -> dict[str, object]:
    """The parameters of a Bot API method for the text of `part`."""
    return {
        "text": part.text,
        "entities": part_entities(part) or None,
        "link_preview_options": NO_LINK_PREVIEW,
    }


def _keyboard_parameter(part: Part) -> object:
    keyboard = inline_keyboard(part)
    return keyboard and keyboard.to_dict()


async def _in_topic(place: Place, request: Callable[[Place], Awaitable[T]]) -> T:
    """The result of `request`, which names the topic. If the topic no longer exists, the chat takes its place."""
    try:
        return await request(place)
    except BadRequest as error:
        if place.thread is None or not is_topic_gone(error):
            raise
    return await request(replace(place, thread=None))


def create_bot(token: str, api_base: str, timings: TelegramTimings) -> Bot:
    return Bot(
        token,
        base_url=f"{api_base}/bot",
        base_file_url=f"{api_base}/file/bot",
        request=BotApiRequest(api_base, timings, read_timeout=timings.read_timeout, max_connections=256),
        get_updates_request=PollingRequest(
            api_base, timings, read_timeout=timings.poll_read_timeout, max_connections=2
        ),
    )
