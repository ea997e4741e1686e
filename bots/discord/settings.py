"""Discord's settings."""

import re
from typing import Annotated

from pydantic import AfterValidator, SecretStr

from core.settings import SettingsSection, setting
from core.settings.parsing import HttpUrl, WebSocketUrl, parse_api_token

TOKEN_PATTERN = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)


def _parse_bot_token(value: SecretStr | None) -> SecretStr | None:
    token = parse_api_token(value)
    if token and not TOKEN_PATTERN.fullmatch(token.get_secret_value()):
        raise ValueError(
            "is not a Discord bot token: a token has three parts with dots between them. Copy it from the page Bot "
            "of the developer portal (neither the client secret nor the public key)"
        )
    return token


class DiscordSettings(SettingsSection):
    title = "Discord"
    key_prefix = "discord_"

    token: Annotated[SecretStr | None, AfterValidator(_parse_bot_token)] = setting(
        "DISCORD_BOT_TOKEN", None, "Bot token from the developer portal. Enables Discord", example="MTIz..."
    )
    message_content: bool = setting(
        "DISCORD_MESSAGE_CONTENT",
        False,
        "Request the privileged message content intent. Mentions and commands work without it",
    )
    api_base: HttpUrl = setting("DISCORD_API_BASE", "https://discord.com/api/v10", "Base URL of the REST API")
    gateway_url: WebSocketUrl = setting(
        "DISCORD_GATEWAY_URL",
        None,
        "URL of the gateway. Unset: the one that the REST API names",
        example="wss://gateway.discord.gg",
    )
