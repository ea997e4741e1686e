"""Passes updates from polling or the webhook to the inbox.

Telegram counts an update as delivered only after `UpdateReceiver.receive` has returned. By then it is
stored, or need not be. All other updates are delivered again.
"""

import traceback
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

import structlog
from telegram import ChatMemberUpdated, Update, User
from telegram.constants import ChatType

from bots.telegram.errors import UpdateNotStoredError
from bots.telegram.inline_queries import InlineQueries
from bots.telegram.translate import translate
from core.bounded_dict import BoundedDict
from core.errors import AccessDeniedError, PressRefusedError, StoreError
from core.port import Inbox, Incoming
from core.throttled_log import ThrottledLog

MAX_ATTEMPTS = 3
MAX_TRACKED_UPDATES = 1000
"""The number of failing updates whose attempts are counted at the same time."""

log = structlog.get_logger(__name__)


async def _observe_nothing(_update: Update) -> None: ...


@dataclass(frozen=True, slots=True)
class UpdateReceiver:
    """Translates updates and hands them to the inbox.

    An update that fails repeatedly, for a reason other than the store, is dropped so that it does not
    block later ones. Its sender gets no notice, because it is unknown whether they have access.
    """

    inbox: Inbox
    me: User
    command_names: Collection[str]
    answer_callback_query: Callable[[str, str], None]
    """Ends the client's spinner after a press; called with the query's ID and what to tell the person, or nothing."""
    throttled_log: ThrottledLog
    observe: Callable[[Update], Awaitable[None]] = _observe_nothing
    """Called with every update before it is translated."""
    inline_queries: InlineQueries | None = None
    """None: the bot has none."""
    _failed_attempts: BoundedDict[int, int] = field(default_factory=lambda: BoundedDict(MAX_TRACKED_UPDATES))
    """By update ID."""

    async def receive(self, update: Update) -> None:
        """Store `update`. Raises `UpdateNotStoredError` if Telegram has to deliver it again."""
        try:
            await self._handle_update(update)
        except StoreError as error:
            log.error("telegram.update_not_stored", update=update.update_id, error=str(error))
            raise UpdateNotStoredError from error
        except Exception as error:
            attempts = self._failed_attempts.pop(update.update_id, 0) + 1
            log.error(
                "telegram.update_failed",
                update=update.update_id,
                attempts=attempts,
                error=type(error).__name__,  # its text may contain the person's message
                stack="".join(traceback.format_tb(error.__traceback__)),
            )
            if attempts < MAX_ATTEMPTS:
                self._failed_attempts[update.update_id] = attempts
                raise UpdateNotStoredError from error
            log.error("telegram.update_dropped", update=update.update_id)
        else:
            self._failed_attempts.pop(update.update_id, None)

    async def _handle_update(self, update: Update) -> None:
        await self.observe(update)
        query = update.callback_query
        if query is not None and query.inline_message_id is None:
            self.answer_callback_query(query.id, "")
        if update.inline_query is not None and self.inline_queries is not None:
            self.inline_queries.receive(update.inline_query)
        incoming = translate(update, self.me, self.command_names)
        if incoming is not None and self.inline_queries is not None:
            incoming = await self.inline_queries.find_question(incoming) or incoming
        refusal = await self._store(incoming) if incoming is not None else ""
        if query is not None and query.inline_message_id is not None:
            self.answer_callback_query(query.id, refusal)  # the bot cannot reply in this chat
        if update.my_chat_member is not None:
            self._log_membership(update.my_chat_member)

    async def _store(self, incoming: Incoming) -> str:
        """Returns what to tell the person who pressed a button; empty for nothing."""
        try:
            await self.inbox(incoming)
        except PressRefusedError as refusal:
            return str(refusal)
        except AccessDeniedError:
            pass  # the core has logged it; the sender gets no answer
        return ""

    def _log_membership(self, membership: ChatMemberUpdated) -> None:
        """Anyone can add and remove the bot."""
        is_private = membership.chat.type == ChatType.PRIVATE
        chat = "private" if is_private else str(membership.chat.id)  # a private chat has its person's ID
        status = membership.new_chat_member.status
        self.throttled_log.log(
            f"{chat} {status}",
            lambda suppressed: log.info("telegram.membership_changed", chat=chat, status=status, suppressed=suppressed),
        )
