"""Discord's settings."""

from core.settings import SettingsSection, setting
from core.settings.parsing import ApiToken, HttpUrl, WebSocketUrl


class DiscordSettings(SettingsSection):
    title = "Discord"
    key_prefix = "discord_"

    token: ApiToken = setting(
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
