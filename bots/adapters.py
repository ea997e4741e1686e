"""The list of platforms: a new one is one line here."""

from collections.abc import Callable

from bots.discord.adapter import DiscordAdapter
from bots.telegram.adapter import TelegramAdapter
from core.app import Services
from core.commands.declarations import COMMANDS
from core.errors import ConfigurationError
from core.port import Adapter
from core.store.recent_activity import EventHistory

__all__ = ["create_adapters"]


def create_telegram(services: Services) -> Adapter | None:
    settings = services.settings
    if settings.telegram_token is None:
        return None
    url = settings.telegram_webhook_url
    return TelegramAdapter(
        settings.telegram_token.get_secret_value(),
        api_base=settings.telegram_api_base,
        preview_mode=settings.telegram_preview,
        commands=[(command.name, command.description) for command in COMMANDS],
        leases=services.leases,
        webhook=(url, settings.telegram_webhook_listen) if url else None,
    )


def create_discord(services: Services) -> Adapter | None:
    settings = services.settings
    if settings.discord_token is None:
        return None
    return DiscordAdapter(
        settings.discord_token.get_secret_value(),
        api_base=settings.discord_api_base,
        gateway_url=settings.discord_gateway_url,
        message_content=settings.discord_message_content,
        commands=COMMANDS,
        suggest_models=lambda _place, _sender, text: services.models.suggest(text),
        state=services,
        leases=services.leases,
        history=EventHistory(services.store, "discord"),
        max_backfill_age=settings.too_old,
    )


ADAPTER_FACTORIES: tuple[Callable[[Services], Adapter | None], ...] = (
    create_telegram,
    create_discord,
)


def create_adapters(services: Services) -> list[Adapter]:
    """The adapters that have a token. Raises `ConfigurationError` when none has."""
    adapters = [chat for make in ADAPTER_FACTORIES if (chat := make(services)) is not None]
    if not adapters:
        raise ConfigurationError(
            "No platform is switched on: set TELEGRAM_BOT_TOKEN or DISCORD_BOT_TOKEN "
            "(`parley chat` talks in this terminal, `parley sandbox` needs no account)."
        )
    return adapters
