"""Discord's entry in `bots.adapters.ADAPTERS`."""

from functools import partial
from typing import TYPE_CHECKING

from bots.adapter_spec import AdapterSpec
from bots.discord.settings import DiscordSettings
from core.scopes import ScopeKind

if TYPE_CHECKING:
    from core.diagnosis.finding import Finding
    from core.port import Adapter, Incoming
    from core.services import Services
    from core.store.database import Store


def _create(settings: DiscordSettings, services: "Services") -> "Adapter | None":
    if settings.token is None:
        return None
    from bots.discord.adapter import DiscordAdapter
    from core.commands.declarations import COMMANDS
    from core.commands.language import language_in_force
    from core.commands.models import autocomplete_models
    from core.commands.settings import instructions_in_force
    from core.store.recent_activity import EventHistory
    from core.turns.access_control import AccessControl
    from core.turns.question_form import editable_question

    access_control = AccessControl(services.store, services.settings.access, timings=services.timings)

    async def read_question(incoming: "Incoming") -> str | None:
        return await editable_question(services, adapter, incoming)

    adapter = DiscordAdapter(
        settings.token.get_secret_value(),
        api_base=settings.api_base,
        gateway_url=settings.gateway_url,
        message_content=settings.message_content,
        commands=COMMANDS,
        autocomplete_models=partial(autocomplete_models, services.models),
        has_access=access_control.allows,
        read_language=partial(language_in_force, services),
        read_instructions=partial(instructions_in_force, services),
        read_question=read_question,
        state=services,
        leases=services.leases,
        history=EventHistory(services.store, "discord"),
        max_backfill_age=services.settings.too_old,
    )
    return adapter


async def _diagnose(settings: DiscordSettings, _store: "Store") -> "list[Finding]":
    from bots.discord.diagnosis import diagnose_discord

    return await diagnose_discord(settings)


DISCORD = AdapterSpec(
    platform="discord",
    section=DiscordSettings,
    enabled_by="DISCORD_BOT_TOKEN",
    access_subjects=dict.fromkeys((ScopeKind.PERSON, ScopeKind.CHAT, ScopeKind.SERVER, ScopeKind.ROLE), r"\d{1,20}"),
    create=_create,
    diagnose=_diagnose,
)
