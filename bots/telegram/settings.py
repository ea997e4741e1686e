"""Telegram's settings."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr, ValidationInfo, field_validator

from core.settings import SettingsSection, setting
from core.settings.parsing import HostPort, HttpUrl, parse_api_token, parse_url

PUBLIC_API_URL = "https://api.telegram.org"
PUBLIC_API_WEBHOOK_PORTS = (443, 80, 88, 8443)
TOKEN_PATTERN = re.compile(r"\d+:[\w-]+", re.ASCII)


def _parse_bot_token(value: SecretStr | None) -> SecretStr | None:
    token = parse_api_token(value)
    if token and not TOKEN_PATTERN.fullmatch(token.get_secret_value()):
        raise ValueError("is not a Telegram bot token: a token begins with a number and a colon")
    return token


def _parse_reaction(value: str) -> str:
    from telegram.constants import ReactionEmoji

    if value and value not in set(ReactionEmoji):
        raise ValueError("is not an emoji that Telegram allows as a reaction")
    return value


class TelegramSettings(SettingsSection):
    title = "Telegram"
    key_prefix = "telegram_"

    token: Annotated[SecretStr | None, AfterValidator(_parse_bot_token)] = setting(
        "TELEGRAM_BOT_TOKEN", None, "Bot token from @BotFather. Enables Telegram", example="123456789:AA..."
    )
    preview: Literal["auto", "draft", "edit", "off"] = setting(
        "TELEGRAM_PREVIEW",
        "auto",
        "How a growing answer is shown. auto and draft: a draft in private chats, edits in groups; "
        "edit: edits everywhere; off: only the typing indicator",
    )
    rich: Literal["auto", "always", "off"] = setting(
        "TELEGRAM_RICH",
        "auto",
        "When answers are rich messages. auto: those with a table, a formula or collapsible details, and long ones; "
        "always; off: never, for people whose clients show them badly. A chat can choose with /settings rich",
    )
    description: str = setting(
        "TELEGRAM_DESCRIPTION",
        "",
        "What the bot's empty chat shows, at most 512 characters. Unset: Telegram keeps the current text",
        max_length=512,
    )
    short_description: str = setting(
        "TELEGRAM_SHORT_DESCRIPTION",
        "",
        "What the bot's profile shows, at most 120 characters. Unset: Telegram keeps the current text",
        max_length=120,
    )
    seen_reaction: Annotated[str, AfterValidator(_parse_reaction)] = setting(
        "TELEGRAM_SEEN_REACTION",
        "",
        "Emoji with which the bot marks questions in groups when it has received them. Unset: none",
        example="👀",
    )
    api_base: HttpUrl = setting("TELEGRAM_API_BASE", PUBLIC_API_URL, "Base URL of the Bot API server")
    webhook_url: str | None = setting(
        "TELEGRAM_WEBHOOK_URL",
        None,
        "URL, with a path, at which Telegram delivers updates. Unset: the bot polls",
        example="https://bot.example.org/telegram",
    )
    webhook_listen: HostPort = setting(
        "TELEGRAM_WEBHOOK_LISTEN",
        "127.0.0.1:8443",
        "HOST:PORT on which the webhook listens, behind a proxy that terminates TLS",
    )

    @field_validator("webhook_url")
    @classmethod
    def _validate_webhook_url(cls, value: str | None, info: ValidationInfo) -> str | None:
        if not value or not value.strip():
            return None
        url = urlsplit(parse_url(value, "https", "http"))
        if not url.path.strip("/"):
            raise ValueError("must have a path after the host")
        # A self-hosted Bot API server accepts any scheme and port.
        if info.data.get("api_base") == PUBLIC_API_URL:
            if url.scheme != "https":
                raise ValueError("must begin with https://: Telegram accepts no other scheme")
            if (url.port or 443) not in PUBLIC_API_WEBHOOK_PORTS:
                raise ValueError("must use one of Telegram's ports: 443, 80, 88 or 8443")
        return url.geturl()
