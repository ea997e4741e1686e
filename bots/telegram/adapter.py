"""Telegram, as the core sees it."""

import asyncio
import logging
import os
import re
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import structlog
from telegram import (
    Bot,
    BotCommand,
    BotCommandScope,
    BotCommandScopeAllGroupChats,
    BotCommandScopeAllPrivateChats,
    LinkPreviewOptions,
    MessageEntity,
    ReplyParameters,
    Update,
    User,
)
from telegram.constants import ChatAction
from telegram.error import BadRequest, InvalidToken, TelegramError
from telegram.ext import Updater

from bots.telegram.buttons import inline_keyboard
from bots.telegram.dialect import TelegramDialect
from bots.telegram.errors import is_not_modified, to_delivery_error
from bots.telegram.files import download
from bots.telegram.http_client import BotApiRequest
from bots.telegram.polling import ALLOWED_UPDATES, InboxQueue, PollingRequest
from bots.telegram.translate import PLATFORM, translate
from bots.telegram.webhook import WebhookServer
from core.errors import AccessDeniedError, ConfigurationError, DeliveryError, DeliveryFailure
from core.port import Attachment, Capabilities, Dialect, Inbox, Part, Place, PreviewMode, RateLimit

__all__ = ["TelegramAdapter"]

# Without it the library warns at every 429 that the type of `retry_after` will change.
os.environ.setdefault("PTB_TIMEDELTA", "true")

TOKEN_PATTERN = re.compile(r"(\d+):[\w-]+", re.ASCII)
NO_LINK_PREVIEW = LinkPreviewOptions(is_disabled=True)
PRIVATE_RATE_LIMIT = RateLimit(burst=3, rate=1)
# 20 in any minute: the burst and what a minute refills together stay below.
GROUP_RATE_LIMIT = RateLimit(burst=7, rate=12 / 60, reserve=3)
# Telegram speaks of about 30 a second; requests bunch on a busy machine, so stay well below.
ACCOUNT_RATE_LIMIT = RateLimit(burst=3, rate=20, reserve=1)
COMMAND_SCOPES: tuple[BotCommandScope, ...] = (
    BotCommandScopeAllPrivateChats(),
    BotCommandScopeAllGroupChats(),
)
CALL_TIMEOUT_SECONDS = 90.0
"""Seconds for one request: what comes byte by byte never meets the library's own time-outs."""
STOP_TIMEOUT_SECONDS = 4.0  # seconds for the last acknowledgement when polling ends
BACKGROUND_GRACE_SECONDS = 0.5  # seconds at the end for what is done aside: presses acknowledged
MAX_BACKGROUND_TASKS = 100
"""Small requests under way that nobody waits for."""

T = TypeVar("T")


class SupportsLeases(Protocol):
    """Rights that one process at a time has; see `core.store.leases.Leases`."""

    async def run_while_held(self, name: str, work: Callable[[], Awaitable[T]]) -> T: ...


log = structlog.get_logger(__name__)


class TelegramAdapter:
    """One bot. `account` is its id, which the token begins with.

    `preview_mode`: drafts exist only in private chats; elsewhere answers grow by edits instead.
    `commands` are offered by name and summary in Telegram's own menu.
    `leases`: of several processes on one database one polls, the others stand by. `webhook`: the
    address Telegram is to call and the one to listen on; then nobody polls.
    `patience` is how many refusals in a row because of another receiver end `run`;
    `read_timeout` and `ready_timeout` are seconds.
    """

    platform = PLATFORM
    account_rate_limit = ACCOUNT_RATE_LIMIT

    def __init__(
        self,
        token: str,
        *,
        api_base: str = "https://api.telegram.org",
        preview_mode: PreviewMode = PreviewMode.DRAFT,
        commands: Sequence[tuple[str, str]] = (),
        leases: SupportsLeases | None = None,
        webhook: tuple[str, str] | None = None,
        max_conflicts: int = 5,
        poll_timeout: int = 20,
        read_timeout: float = 30.0,
        ready_timeout: float = 10.0,
    ) -> None:
        match = TOKEN_PATTERN.fullmatch(token)
        if match is None:
            raise ConfigurationError("TELEGRAM_BOT_TOKEN is not a Telegram bot token")
        self.account = match[1]
        self.dialect: Dialect = TelegramDialect(limit=4096)
        self._preview_mode = preview_mode
        self._commands = [BotCommand(name, summary) for name, summary in commands]
        self._command_names = frozenset(name for name, _ in commands)
        self._leases = leases
        self._webhook_address = webhook
        self._webhook: WebhookServer | None = None
        self._is_polling = False
        self._polling_request = PollingRequest(max_conflicts)
        self._poll_timeout = poll_timeout
        self._ready = asyncio.Event()
        self._ready_timeout = ready_timeout
        self._has_drafts = True
        self._has_draft_stop: bool | None = None  # None: not tried yet
        self._background_tasks: set[asyncio.Task[None]] = set()
        base = api_base.rstrip("/")
        self._bot = Bot(
            token,
            base_url=f"{base}/bot",
            base_file_url=f"{base}/file/bot",
            # A send may take long: to give up early is not to know whether it arrived.
            request=BotApiRequest(
                connection_pool_size=256,
                read_timeout=read_timeout,
                write_timeout=30.0,
                connect_timeout=10.0,
                pool_timeout=10.0,
            ),
            get_updates_request=self._polling_request,
        )
        # These log addresses, which hold the token, and what people write.
        for name in ("httpx", "httpcore", "telegram"):
            logging.getLogger(name).setLevel(logging.WARNING)

    @property
    def last_poll_answer(self) -> float:
        """When Telegram last answered a poll (`time.monotonic`); at first, when `run` began."""
        return self._polling_request.last_answer

    @property
    def last_activity(self) -> float | None:
        """See `core.port.Alive`."""
        if self._webhook is not None:
            return self._webhook.last_activity
        return self._polling_request.last_answer if self._is_polling else None

    def capabilities(self, place: Place) -> Capabilities:
        preview_mode = self._preview_mode
        if preview_mode is PreviewMode.DRAFT and not (place.is_private and self._has_drafts):
            preview_mode = PreviewMode.EDIT
        if not place.is_private:
            return Capabilities(
                rate_limit=GROUP_RATE_LIMIT,
                preview_mode=preview_mode,
                preview_interval=3.0,
                slow_preview_after_chars=2000,
            )
        if preview_mode is PreviewMode.DRAFT:
            return Capabilities(
                rate_limit=PRIVATE_RATE_LIMIT,
                preview_mode=preview_mode,
                preview_interval=0.8,
                draft_lifetime=25.0,
                has_stop_button=False,  # a draft cannot carry one; the client shows its own
            )
        return Capabilities(rate_limit=PRIVATE_RATE_LIMIT, preview_mode=preview_mode, preview_interval=1.2)

    # Receiving

    async def run(self, inbox: Inbox) -> None:
        self._polling_request.reset()
        try:
            me = await self._connect()
            self._ready.set()
            self._start_background(self._publish_commands(me))
            await self._receive(inbox, me)
        except InvalidToken:
            raise ConfigurationError(
                "Telegram does not accept TELEGRAM_BOT_TOKEN (or TELEGRAM_API_BASE is not a Bot API server)"
            ) from None  # the library's message holds the token
        finally:
            self._ready.clear()
            if self._background_tasks:
                _, late = await asyncio.wait(self._background_tasks, timeout=BACKGROUND_GRACE_SECONDS)
                for errand in late:
                    errand.cancel()
                if late:
                    await asyncio.wait(late, timeout=1.0)
            await self._bot.shutdown()

    async def _connect(self) -> User:
        pause = 1.0
        while True:
            try:
                await self._bot.initialize()
            except InvalidToken:
                raise
            except TelegramError as error:
                log.warning("telegram.unreachable", error=self._redact(error), retry_in=pause)
                await asyncio.sleep(pause)
                pause = min(30.0, 2 * pause)
            else:
                return self._bot.bot

    async def _receive(self, inbox: Inbox, me: User) -> None:
        async def handle_update(update: Update) -> None:
            if update.callback_query is not None:
                self._start_background(self._answer_callback_query(update.callback_query.id))
            incoming = translate(update, me, self._command_names)
            if incoming is not None:
                with suppress(AccessDeniedError):  # who is not let in hears nothing
                    await inbox(incoming)
            elif update.my_chat_member is not None:
                membership = update.my_chat_member
                log.info(
                    "telegram.membership",
                    chat=membership.chat.id,
                    status=membership.new_chat_member.status,
                )

        update_queue = InboxQueue(handle_update)
        if self._webhook_address is not None:
            self._webhook = WebhookServer(self._bot, *self._webhook_address, update_queue.put)
            try:
                await self._webhook.run()
            finally:
                self._webhook = None
        elif self._leases is not None:
            name = f"telegram:poller:{self.account}"
            await self._leases.run_while_held(name, lambda: self._poll_updates(update_queue))
        else:
            await self._poll_updates(update_queue)

    async def _poll_updates(self, update_queue: InboxQueue) -> None:
        self._polling_request.reset()
        self._is_polling = True
        updater = Updater(self._bot, update_queue)
        await updater.initialize()
        try:
            await updater.start_polling(
                timeout=self._poll_timeout,
                bootstrap_retries=-1,
                allowed_updates=ALLOWED_UPDATES,
                error_callback=lambda error: log.warning("telegram.poll_failed", error=self._redact(error)),
            )
            raise await self._polling_request.wait_for_failure()
        finally:
            self._is_polling = False
            await self._stop_updater(updater)

    async def _stop_updater(self, updater: Updater) -> None:
        """End polling within a few seconds. What was kept is acknowledged; the rest comes again."""
        if not updater.running:
            return
        stopping = asyncio.create_task(updater.stop())
        await asyncio.wait({stopping}, timeout=0.2)
        if self._polling_request.is_in_flight:  # acknowledging
            await asyncio.wait({stopping}, timeout=STOP_TIMEOUT_SECONDS)
        if not stopping.done():
            stopping.cancel()  # ends the pause after a failure; the acknowledgement follows
            await asyncio.wait({stopping}, timeout=1.0)
        if stopping.done() and not stopping.cancelled() and (error := stopping.exception()):
            log.warning("telegram.stopped_badly", error=type(error).__name__)

    async def _publish_commands(self, me: User) -> None:
        sees_all_messages = bool(me.can_read_all_group_messages)
        log.info(
            "telegram.ready",
            bot=me.username,
            can_read_all_group_messages=sees_all_messages,
            meaning="privacy mode is off: sees every message in groups"
            if sees_all_messages
            else "privacy mode is on: sees commands and replies to it in groups; "
            "switch it off at @BotFather for mentions, then add the bot to the group again",
        )
        for scope in COMMAND_SCOPES if self._commands else ():
            if list(await self._bot.get_my_commands(scope=scope)) != self._commands:
                await self._bot.set_my_commands(self._commands, scope=scope)
                log.info("telegram.commands_set", scope=scope.type)

    async def _answer_callback_query(self, query_id: str) -> None:
        try:
            await self._bot.answer_callback_query(query_id)
        except BadRequest:
            log.debug("telegram.query_too_old")  # or answered before its update came again

    def _start_background(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Do `work` aside: it is small, and nobody waits for it."""
        if len(self._background_tasks) >= MAX_BACKGROUND_TASKS:
            coroutine.close()
            return
        task = asyncio.create_task(self._log_failures(coroutine))
        self._background_tasks.add(task)
        task.add_done_callback(self._background_tasks.discard)

    async def _log_failures(self, coroutine: Coroutine[Any, Any, None]) -> None:
        try:
            await coroutine
        except TelegramError as error:
            log.warning("telegram.errand_failed", error=self._redact(error))

    # Sending

    async def send(
        self,
        place: Place,
        part: Part,
        *,
        key: str,
        reply_to: str | None = None,
        interaction_token: str | None = None,  # noqa: ARG002 (Telegram needs no right to answer)
        ephemeral: bool = False,  # noqa: ARG002 (a message is for everybody in the chat)
    ) -> str:
        reply_parameters = None
        if reply_to is not None and not place.is_private:
            reply_parameters = ReplyParameters(int(reply_to), allow_sending_without_reply=True)
        try:
            message = await self._call(
                lambda: self._bot.send_message(
                    int(place.chat),
                    part.text,
                    entities=_entities(part),
                    message_thread_id=_topic_id(place),
                    reply_parameters=reply_parameters,
                    reply_markup=inline_keyboard(part),
                    link_preview_options=NO_LINK_PREVIEW,
                )
            )
        except DeliveryError as error:
            if error.failure is DeliveryFailure.UNKNOWN:
                log.warning("telegram.send_uncertain", key=key, chat=place.chat)
            raise
        return str(message.message_id)

    async def edit(
        self,
        place: Place,
        message_id: str,
        part: Part,
        *,
        interaction_token: str | None = None,  # noqa: ARG002 (Telegram needs no right to answer)
    ) -> None:
        async def request() -> None:
            try:
                await self._bot.edit_message_text(
                    part.text,
                    chat_id=int(place.chat),
                    message_id=int(message_id),
                    entities=_entities(part),
                    reply_markup=inline_keyboard(part),
                    link_preview_options=NO_LINK_PREVIEW,
                )
            except BadRequest as error:
                if not is_not_modified(error):
                    raise

        await self._call(request)

    async def delete(
        self,
        place: Place,
        message_id: str,
        *,
        interaction_token: str | None = None,  # noqa: ARG002 (Telegram needs no right to answer)
    ) -> None:
        await self._call(lambda: self._bot.delete_message(int(place.chat), int(message_id)))

    async def show_typing(self, place: Place) -> None:
        await self._call(
            lambda: self._bot.send_chat_action(int(place.chat), ChatAction.TYPING, message_thread_id=_topic_id(place))
        )

    async def fetch(self, attachment: Attachment, max_bytes: int) -> bytes:
        file = await self._call(lambda: self._bot.get_file(attachment.file_id))
        return await download(file, max_bytes)

    async def show_draft(self, place: Place, draft_id: int, part: Part) -> None:
        async def request() -> None:
            if self._has_draft_stop is not False:
                try:
                    await self._send_draft(place, draft_id, part, has_stop=True)
                except BadRequest:
                    if self._has_draft_stop:
                        raise
                else:
                    self._has_draft_stop = True
                    return
            await self._send_draft(place, draft_id, part, has_stop=False)
            self._has_draft_stop = False  # the same went through without: an older server

        await self._call(request)

    async def _send_draft(self, place: Place, draft_id: int, part: Part, *, has_stop: bool) -> None:
        try:
            await self._bot.send_message_draft(
                int(place.chat),
                draft_id,
                part.text,
                message_thread_id=_topic_id(place),
                entities=_entities(part),
                api_kwargs={"can_stop": True} if has_stop else None,
            )
        except InvalidToken as error:
            if "not found" not in error.message.lower():
                raise
            self._has_drafts = False
            raise DeliveryError("This Telegram server knows no drafts", DeliveryFailure.REJECTED) from None

    async def _call(self, request: Callable[[], Awaitable[T]]) -> T:
        if not self._ready.is_set():
            try:
                async with asyncio.timeout(self._ready_timeout):
                    await self._ready.wait()
            except TimeoutError:
                raise DeliveryError("Telegram is not connected", DeliveryFailure.TRANSIENT) from None
        try:
            async with asyncio.timeout(CALL_TIMEOUT_SECONDS):
                return await request()
        except TelegramError as error:
            raise to_delivery_error(error) from error
        except TimeoutError as error:
            raise DeliveryError("The connection to Telegram broke off", DeliveryFailure.UNKNOWN) from error
        except DeliveryError:
            raise
        except Exception as error:
            # The library could not read an answer it took for a success.
            log.error("telegram.answer_unreadable", error=type(error).__name__)
            raise DeliveryError("Telegram's answer cannot be understood", DeliveryFailure.UNKNOWN) from error

    def _redact(self, error: Exception) -> str:
        return str(error).replace(self._bot.token, "<token>")


def _entities(part: Part) -> Sequence[MessageEntity] | None:
    entities = part.native.get("entities")
    return entities if isinstance(entities, tuple) and entities else None


def _topic_id(place: Place) -> int | None:
    return None if place.thread is None else int(place.thread)
