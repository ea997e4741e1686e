"""Telegram's checks of `parley doctor`: the token, privacy mode and the webhook."""

import re
from urllib.parse import urlsplit

from telegram import Bot, ChatMember, User, WebhookInfo
from telegram.error import BadRequest, ChatMigrated, Forbidden, InvalidToken, TelegramError

from bots.telegram.adapter import create_bot
from bots.telegram.errors import redact_token, to_delivery_error
from bots.telegram.http_client import close_bot
from bots.telegram.identity import PLATFORM
from bots.telegram.settings import TelegramSettings
from bots.telegram.timings import TelegramTimings
from bots.telegram.webhook import is_same_url
from core.diagnosis.finding import Finding, error, ok, unavailable, warning
from core.errors import ConfigurationError, StoreError
from core.store.conversations import list_chats
from core.store.database import Store

MAX_PENDING_UPDATES = 100
"""With a webhook, Telegram delivers updates at once."""
MAX_GROUPS = 20
"""The number of groups about which Telegram is asked whether the bot is an administrator there."""
GROUP_ID = re.compile(r"-\d+")
ERROR_MEMORY_SECONDS = 3600.0
"""Telegram reports the last failed delivery for ever."""
TOKEN_ADVICE = (
    "Set TELEGRAM_BOT_TOKEN to the bot's current token from @BotFather, or set TELEGRAM_API_BASE to the address of a "  # noqa: S105 (no token)
    "Bot API server."
)
PRIVACY_ADVICE = (
    "To let it see mentions, turn privacy mode off at @BotFather (/setprivacy), then add the bot to the group again."
)


async def diagnose_telegram(
    settings: TelegramSettings, store: Store, timings: TelegramTimings = TelegramTimings()
) -> list[Finding]:
    if settings.token is None:
        return []
    bot = create_bot(settings.token.get_secret_value(), settings.api_base.rstrip("/"), timings)
    try:
        await bot.initialize()
        findings = [ok("telegram.token", f"The bot is @{bot.bot.username} ({bot.bot.id}).")]
        findings.append(await _check_privacy(bot, store))
        findings.append(_check_other_chats(bot.bot))
        info = await bot.get_webhook_info()
        return findings + _check_webhook(settings, info, timings.clock.time())
    except InvalidToken:
        return [error("telegram.token", "Telegram does not accept the bot's token.", TOKEN_ADVICE)]
    except TelegramError as failure:
        reason = redact_token(str(to_delivery_error(failure)), bot.token)
        text = f"{reason} ({urlsplit(settings.api_base).netloc})."
        return [unavailable("telegram.token", text, "Check the network, HTTPS_PROXY and TELEGRAM_API_BASE.")]
    finally:
        await close_bot(bot)


async def _check_privacy(bot: Bot, store: Store) -> Finding:
    if bot.bot.can_read_all_group_messages:
        return ok("telegram.privacy", "Privacy mode is off: in groups, the bot sees mentions.")
    text = "Privacy mode is on: in groups, the bot sees only commands and replies to it."
    for chat_id in (await _known_groups(store, bot.bot.id))[:MAX_GROUPS]:
        if await _is_ordinary_member(bot, chat_id):
            return warning("telegram.privacy", text, PRIVACY_ADVICE)
    return ok("telegram.privacy", text)


async def _known_groups(store: Store, bot_id: int) -> list[int]:
    """The groups in which people have used the bot, the newest first; none while the database cannot be read, which
    its own checks report.
    """
    try:
        store.check_exists()
        chats = await store.read(list_chats, f"{PLATFORM}:{bot_id}")
    except (ConfigurationError, StoreError):
        return []
    return [int(chat) for chat in chats if GROUP_ID.fullmatch(chat)]


async def _is_ordinary_member(bot: Bot, chat_id: int) -> bool:
    """Privacy mode does not hold for administrators."""
    try:
        member = await bot.get_chat_member(chat_id, bot.bot.id)
    except (BadRequest, Forbidden, ChatMigrated):  # the bot is no longer there
        return False
    return member.status in (ChatMember.MEMBER, ChatMember.RESTRICTED)


def _check_other_chats(me: User) -> Finding:
    """Both are the operator's choice."""
    inline, guests = ("on" if is_on else "off" for is_on in (me.supports_inline_queries, me.supports_guest_queries))
    text = f"Inline queries (/setinline) are {inline}, guest mode is {guests}; `parley run` learns it when it starts."
    return ok("telegram.other_chats", text)


def _check_webhook(settings: TelegramSettings, info: WebhookInfo, now: float) -> list[Finding]:
    host = urlsplit(info.url).netloc
    if settings.webhook_url is None:
        if not info.url:
            return [ok("telegram.webhook", f"The bot polls; {info.pending_update_count} updates wait.")]
        advice = "If another program uses this token, give it another bot. `parley run` removes the webhook."
        return [warning("telegram.webhook", f"A webhook is registered ({host}), but the bot polls.", advice)]
    if not info.url:
        return [ok("telegram.webhook", "No webhook is registered yet; `parley run` registers it.")]
    if not is_same_url(info.url, settings.webhook_url):
        advice = "If another program uses this token, give it another bot. `parley run` registers its own webhook."
        return [warning("telegram.webhook", f"Another webhook is registered ({host}).", advice)]
    return _check_deliveries(settings, info, now)


def _check_deliveries(settings: TelegramSettings, info: WebhookInfo, now: float) -> list[Finding]:
    advice = (
        f"Check that {urlsplit(settings.webhook_url or '').netloc} has a valid certificate and forwards to "
        f"{settings.webhook_listen}, and that the bot runs."
    )
    if info.last_error_message and info.last_error_date:
        seconds = now - info.last_error_date.timestamp()
        if seconds < ERROR_MEMORY_SECONDS:
            text = f"Telegram could not deliver an update {seconds:,.0f} seconds ago: {info.last_error_message}."
            return [warning("telegram.webhook", text, advice)]
    if info.pending_update_count > MAX_PENDING_UPDATES:
        return [warning("telegram.webhook", f"{info.pending_update_count:,} updates wait for delivery.", advice)]
    return [ok("telegram.webhook", f"The webhook is registered; {info.pending_update_count} updates wait.")]
