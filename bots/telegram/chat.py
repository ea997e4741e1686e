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

from bots.telegram.dialect import TelegramDialect
from bots.telegram.faults import classify, is_unmodified
from bots.telegram.files import download
from bots.telegram.keyboard import keyboard
from bots.telegram.polling import ALLOWED_UPDATES, Intake, Poll
from bots.telegram.request import Request
from bots.telegram.translate import PLATFORM, translate
from bots.telegram.webhook import Webhook
from core.errors import ConfigurationError, DeliveryError, DeniedError, Fault
from core.port import Attachment, Capabilities, Dialect, Inbox, Pace, Part, Place

__all__ = ["TelegramChat"]

# Without it the library warns at every 429 that the type of `retry_after` will change.
os.environ.setdefault("PTB_TIMEDELTA", "true")

TOKEN = re.compile(r"(\d+):[\w-]+", re.ASCII)
NO_PREVIEW = LinkPreviewOptions(is_disabled=True)
PRIVATE_PACE = Pace(burst=3, rate=1)
# 20 in any minute: the burst and what a minute refills together stay below.
GROUP_PACE = Pace(burst=7, rate=12 / 60, reserve=3)
# Telegram speaks of about 30 a second; requests bunch on a busy machine, so stay well below.
OVERALL = Pace(burst=3, rate=20, reserve=1)
SCOPES: tuple[BotCommandScope, ...] = (
    BotCommandScopeAllPrivateChats(),
    BotCommandScopeAllGroupChats(),
)
LONGEST_CALL = 90.0
"""Seconds for one request: what comes byte by byte never meets the library's own time-outs."""
STOPPING = 4.0  # seconds for the last acknowledgement when polling ends
ERRANDS = 0.5  # seconds at the end for what is done aside: presses acknowledged
AT_ONCE = 100
"""Small requests under way that nobody waits for."""

T = TypeVar("T")


class Leases(Protocol):
    """Rights that one process at a time has; see `core.store.leases.Leases`."""

    async def while_held(self, name: str, work: Callable[[], Awaitable[T]]) -> T: ...


log = structlog.get_logger(__name__)


class TelegramChat:
    """One bot. `account` is its id, which the token begins with.

    `preview`: "auto" and "draft" show a growing answer as a draft in private chats and by edits
    elsewhere; "edit" by edits everywhere; "off" shows only that something is being written.
    `commands` are offered by name and summary in Telegram's own menu.
    `leases`: of several processes on one database one polls, the others stand by. `webhook`: the
    address Telegram is to call and the one to listen on; then nobody polls.
    `patience` is how many refusals in a row because of another receiver end `run`;
    `read_timeout` and `ready_timeout` are seconds.
    """

    platform = PLATFORM
    overall = OVERALL

    def __init__(
        self,
        token: str,
        *,
        api_base: str = "https://api.telegram.org",
        preview: str = "auto",
        commands: Sequence[tuple[str, str]] = (),
        leases: Leases | None = None,
        webhook: tuple[str, str] | None = None,
        patience: int = 5,
        poll_timeout: int = 20,
        read_timeout: float = 30.0,
        ready_timeout: float = 10.0,
    ) -> None:
        match = TOKEN.fullmatch(token)
        if match is None:
            raise ConfigurationError("TELEGRAM_BOT_TOKEN is not a Telegram bot token")
        self.account = match[1]
        self.dialect: Dialect = TelegramDialect(limit=4096)
        self._preview = preview
        self._commands = [BotCommand(name, summary) for name, summary in commands]
        self._names = frozenset(name for name, _ in commands)
        self._leases = leases
        self._address = webhook
        self._webhook: Webhook | None = None
        self._polling = False
        self._poll = Poll(patience)
        self._poll_timeout = poll_timeout
        self._ready = asyncio.Event()
        self._ready_timeout = ready_timeout
        self._drafts = True
        self._can_stop: bool | None = None  # None: not tried yet
        self._errands: set[asyncio.Task[None]] = set()
        base = api_base.rstrip("/")
        self._bot = Bot(
            token,
            base_url=f"{base}/bot",
            base_file_url=f"{base}/file/bot",
            # A send may take long: to give up early is not to know whether it arrived.
            request=Request(
                connection_pool_size=256,
                read_timeout=read_timeout,
                write_timeout=30.0,
                connect_timeout=10.0,
                pool_timeout=10.0,
            ),
            get_updates_request=self._poll,
        )
        # These log addresses, which hold the token, and what people write.
        for name in ("httpx", "httpcore", "telegram"):
            logging.getLogger(name).setLevel(logging.WARNING)

    @property
    def last_poll(self) -> float:
        """When Telegram last answered a poll (`time.monotonic`); at first, when `run` began."""
        return self._poll.last_poll

    @property
    def last_heard(self) -> float | None:
        """See `core.port.Alive`."""
        if self._webhook is not None:
            return self._webhook.last_heard
        return self._poll.last_poll if self._polling else None

    def capabilities(self, place: Place) -> Capabilities:
        preview = {"auto": "draft"}.get(self._preview, self._preview)
        if preview == "draft" and not (place.private and self._drafts):
            preview = "edit"
        if not place.private:
            return Capabilities(
                pace=GROUP_PACE, preview=preview, preview_every=3.0, slower_after=2000
            )
        if preview == "draft":
            return Capabilities(
                pace=PRIVATE_PACE,
                preview=preview,
                preview_every=0.8,
                preview_expires=25.0,
                stop_button=False,  # a draft cannot carry one; the client shows its own
            )
        return Capabilities(pace=PRIVATE_PACE, preview=preview, preview_every=1.2)

    # Receiving

    async def run(self, inbox: Inbox) -> None:
        self._poll.begin()
        try:
            me = await self._connect()
            self._ready.set()
            self._errand(self._announce(me))
            await self._receive(inbox, me)
        except InvalidToken:
            raise ConfigurationError(
                "Telegram does not accept TELEGRAM_BOT_TOKEN "
                "(or TELEGRAM_API_BASE is not a Bot API server)"
            ) from None  # the library's message holds the token
        finally:
            self._ready.clear()
            if self._errands:
                _, late = await asyncio.wait(self._errands, timeout=ERRANDS)
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
        async def keep(update: Update) -> None:
            if update.callback_query is not None:
                self._errand(self._acknowledge(update.callback_query.id))
            incoming = translate(update, me, self._names)
            if incoming is not None:
                with suppress(DeniedError):  # who is not let in hears nothing
                    await inbox(incoming)
            elif update.my_chat_member is not None:
                change = update.my_chat_member
                log.info(
                    "telegram.membership",
                    chat=change.chat.id,
                    status=change.new_chat_member.status,
                )

        intake = Intake(keep)
        if self._address is not None:
            self._webhook = Webhook(self._bot, *self._address, intake.put)
            try:
                await self._webhook.run()
            finally:
                self._webhook = None
        elif self._leases is not None:
            name = f"telegram:poller:{self.account}"
            await self._leases.while_held(name, lambda: self._poll_with(intake))
        else:
            await self._poll_with(intake)

    async def _poll_with(self, intake: Intake) -> None:
        self._poll.begin()
        self._polling = True
        updater = Updater(self._bot, intake)
        await updater.initialize()
        try:
            await updater.start_polling(
                timeout=self._poll_timeout,
                bootstrap_retries=-1,
                allowed_updates=ALLOWED_UPDATES,
                error_callback=lambda error: log.warning(
                    "telegram.poll_failed", error=self._redact(error)
                ),
            )
            raise await self._poll.failure()
        finally:
            self._polling = False
            await self._stop(updater)

    async def _stop(self, updater: Updater) -> None:
        """End polling within a few seconds. What was kept is acknowledged; the rest comes again."""
        if not updater.running:
            return
        stopping = asyncio.create_task(updater.stop())
        await asyncio.wait({stopping}, timeout=0.2)
        if self._poll.busy:  # acknowledging
            await asyncio.wait({stopping}, timeout=STOPPING)
        if not stopping.done():
            stopping.cancel()  # ends the pause after a failure; the acknowledgement follows
            await asyncio.wait({stopping}, timeout=1.0)
        if stopping.done() and not stopping.cancelled() and (error := stopping.exception()):
            log.warning("telegram.stopped_badly", error=type(error).__name__)

    async def _announce(self, me: User) -> None:
        everything = bool(me.can_read_all_group_messages)
        log.info(
            "telegram.ready",
            bot=me.username,
            can_read_all_group_messages=everything,
            meaning="privacy mode is off: sees every message in groups"
            if everything
            else "privacy mode is on: sees commands and replies to it in groups; "
            "switch it off at @BotFather for mentions, then add the bot to the group again",
        )
        for scope in SCOPES if self._commands else ():
            if list(await self._bot.get_my_commands(scope=scope)) != self._commands:
                await self._bot.set_my_commands(self._commands, scope=scope)
                log.info("telegram.commands_set", scope=scope.type)

    async def _acknowledge(self, query: str) -> None:
        try:
            await self._bot.answer_callback_query(query)
        except BadRequest:
            log.debug("telegram.query_too_old")  # or answered before its update came again

    def _errand(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` aside: it is small, and nobody waits for it."""
        if len(self._errands) >= AT_ONCE:
            work.close()
            return
        task = asyncio.create_task(self._guarded(work))
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
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
        ticket: str | None = None,  # noqa: ARG002 (Telegram needs no right to answer)
        quiet: bool = False,  # noqa: ARG002 (a message is for everybody in the chat)
    ) -> str:
        reply = None
        if reply_to is not None and not place.private:
            reply = ReplyParameters(int(reply_to), allow_sending_without_reply=True)
        try:
            message = await self._call(
                lambda: self._bot.send_message(
                    int(place.chat),
                    part.text,
                    entities=_entities(part),
                    message_thread_id=_topic(place),
                    reply_parameters=reply,
                    reply_markup=keyboard(part),
                    link_preview_options=NO_PREVIEW,
                )
            )
        except DeliveryError as error:
            if error.fault is Fault.UNKNOWN:
                log.warning("telegram.send_uncertain", key=key, chat=place.chat)
            raise
        return str(message.message_id)

    async def edit(
        self,
        place: Place,
        message: str,
        part: Part,
        *,
        ticket: str | None = None,  # noqa: ARG002 (Telegram needs no right to answer)
    ) -> None:
        async def request() -> None:
            try:
                await self._bot.edit_message_text(
                    part.text,
                    chat_id=int(place.chat),
                    message_id=int(message),
                    entities=_entities(part),
                    reply_markup=keyboard(part),
                    link_preview_options=NO_PREVIEW,
                )
            except BadRequest as error:
                if not is_unmodified(error):
                    raise

        await self._call(request)

    async def delete(
        self,
        place: Place,
        message: str,
        *,
        ticket: str | None = None,  # noqa: ARG002 (Telegram needs no right to answer)
    ) -> None:
        await self._call(lambda: self._bot.delete_message(int(place.chat), int(message)))

    async def typing(self, place: Place) -> None:
        await self._call(
            lambda: self._bot.send_chat_action(
                int(place.chat), ChatAction.TYPING, message_thread_id=_topic(place)
            )
        )

    async def fetch(self, attachment: Attachment, most: int) -> bytes:
        file = await self._call(lambda: self._bot.get_file(attachment.ref))
        return await download(file, most)

    async def draft(self, place: Place, draft: int, part: Part) -> None:
        async def request() -> None:
            if self._can_stop is not False:
                try:
                    await self._show(place, draft, part, can_stop=True)
                except BadRequest:
                    if self._can_stop:
                        raise
                else:
                    self._can_stop = True
                    return
            await self._show(place, draft, part, can_stop=False)
            self._can_stop = False  # the same went through without: an older server

        await self._call(request)

    async def _show(self, place: Place, draft: int, part: Part, *, can_stop: bool) -> None:
        try:
            await self._bot.send_message_draft(
                int(place.chat),
                draft,
                part.text,
                message_thread_id=_topic(place),
                entities=_entities(part),
                api_kwargs={"can_stop": True} if can_stop else None,
            )
        except InvalidToken as error:
            if "not found" not in error.message.lower():
                raise
            self._drafts = False
            raise DeliveryError("This Telegram server knows no drafts", Fault.REJECTED) from None

    async def _call(self, request: Callable[[], Awaitable[T]]) -> T:
        if not self._ready.is_set():
            try:
                async with asyncio.timeout(self._ready_timeout):
                    await self._ready.wait()
            except TimeoutError:
                raise DeliveryError("Telegram is not connected", Fault.TRANSIENT) from None
        try:
            async with asyncio.timeout(LONGEST_CALL):
                return await request()
        except TelegramError as error:
            raise classify(error) from error
        except TimeoutError as error:
            raise DeliveryError("The connection to Telegram broke off", Fault.UNKNOWN) from error
        except DeliveryError:
            raise
        except Exception as error:
            # The library could not read an answer it took for a success.
            log.error("telegram.answer_unreadable", error=type(error).__name__)
            raise DeliveryError("Telegram's answer cannot be understood", Fault.UNKNOWN) from error

    def _redact(self, error: Exception) -> str:
        return str(error).replace(self._bot.token, "<token>")


def _entities(part: Part) -> Sequence[MessageEntity] | None:
    entities = part.native.get("entities")
    return entities if isinstance(entities, tuple) and entities else None


def _topic(place: Place) -> int | None:
    return None if place.thread is None else int(place.thread)
