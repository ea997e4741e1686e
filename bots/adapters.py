"""The list of platforms: a new one is one line here."""

from collections.abc import Callable

from bots.discord.chat import DiscordChat
from bots.telegram.chat import TelegramChat
from core.app import Services
from core.commands.declared import COMMANDS
from core.errors import ConfigurationError
from core.port import Chat
from core.store.heard import History

__all__ = ["configured"]


def telegram(with_: Services) -> Chat | None:
    settings = with_.settings
    if settings.telegram_token is None:
        return None
    url = settings.telegram_webhook_url
    return TelegramChat(
        settings.telegram_token.get_secret_value(),
        api_base=settings.telegram_api_base,
        preview=settings.telegram_preview,
        commands=[(command.name, command.summary) for command in COMMANDS],
        leases=with_.leases,
        webhook=(url, settings.telegram_webhook_listen) if url else None,
    )


def discord(with_: Services) -> Chat | None:
    settings = with_.settings
    if settings.discord_token is None:
        return None
    return DiscordChat(
        settings.discord_token.get_secret_value(),
        api_base=settings.discord_api_base,
        gateway_url=settings.discord_gateway_url,
        message_content=settings.discord_message_content,
        commands=COMMANDS,
        suggest=lambda _place, _sender, text: with_.models.suggest(text),
        remember=with_,
        leases=with_.leases,
        history=History(with_.store, "discord"),
        too_old=settings.too_old,
    )


PLATFORMS: tuple[Callable[[Services], Chat | None], ...] = (telegram, discord)


def configured(with_: Services) -> list[Chat]:
    """The adapters that have a token. Raises `ConfigurationError` when none has."""
    chats = [chat for make in PLATFORMS if (chat := make(with_)) is not None]
    if not chats:
        raise ConfigurationError(
            "No platform is switched on: set TELEGRAM_BOT_TOKEN or DISCORD_BOT_TOKEN "
            "(`parley chat` talks in this terminal, `parley sandbox` needs no account)."
        )
    return chats
