"""Telegram, as an entry of `bots.adapters.ADAPTERS`."""

from typing import TYPE_CHECKING

from bots.adapter_spec import AdapterSpec
from bots.telegram.settings import TelegramSettings
from core.scopes import ScopeKind

if TYPE_CHECKING:
    from core.diagnosis.finding import Finding
    from core.port import Adapter
    from core.services import Services
    from core.store.database import Store


def _create(settings: TelegramSettings, services: "Services") -> "Adapter | None":
    if settings.token is None:
        return None
    from bots.telegram.adapter import TelegramAdapter
    from bots.telegram.profile import BotProfile
    from core.commands.declarations import COMMANDS
    from core.port import PreviewMode, RichMode

    webhook = None
    if settings.webhook_url:
        from bots.telegram.webhook import WebhookAddress

        webhook = WebhookAddress(settings.webhook_url, settings.webhook_listen)
    return TelegramAdapter(
        settings.token.get_secret_value(),
        api_base=settings.api_base,
        preview_mode=PreviewMode.DRAFT if settings.preview == "auto" else PreviewMode(settings.preview),
        rich_mode=RichMode(settings.rich),
        profile=BotProfile(settings.description, settings.short_description),
        seen_reaction=settings.seen_reaction,
        commands=[command for command in COMMANDS if not command.needs_threads],
        state=services,
        leases=services.leases,
        webhook=webhook,
    )


async def _diagnose(settings: TelegramSettings, store: "Store") -> "list[Finding]":
    from bots.telegram.diagnosis import diagnose_telegram

    return await diagnose_telegram(settings, store)


TELEGRAM = AdapterSpec(
    platform="telegram",
    section=TelegramSettings,
    enabled_by="TELEGRAM_BOT_TOKEN",
    access_subjects={ScopeKind.PERSON: r"\d{1,20}", ScopeKind.CHAT: r"-?\d{1,20}"},
    create=_create,
    diagnose=_diagnose,
)
