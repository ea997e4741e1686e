"""`parley chat`: the bot with the terminal as its only platform."""

import asyncio
import getpass
import sys

from rich.console import Console

from bots.terminal.adapter import TerminalAdapter
from core.app import open_services, serve
from core.errors import ParleyError, UnavailableError
from core.scopes import applicable_scopes, person_key
from core.services import Services
from core.settings import AccessMode, Settings
from core.store.answers import is_any_event_answered
from core.store.preferences import Preference, PreferenceName, set_preference


class UnknownModelError(ParleyError):
    """The name of no model, or of several."""


async def run_terminal_chat(settings: Settings, model: str) -> None:
    """Serve until the input ends. `model`: a part of a model's name, chosen before the first message.

    Raises `UnknownModelError`, `ConfigurationError` and `UnavailableError`; the last one also after piped questions
    that all failed, so that a script notices.
    """
    # The only person here is the operator. A message that is rejected would wait for its answer for ever.
    settings = settings.model_copy(update={"access": AccessMode.OPEN, "messages_a_minute": 0})
    async with open_services(settings) as services:
        adapter = TerminalAdapter(Console(), getpass.getuser())
        if model:
            await _choose_model(services, adapter, model)
        await serve(services, [adapter], asyncio.Event())
        if adapter.has_asked and not sys.stdin.isatty():
            key_prefix = f"{adapter.place.account_key}:{adapter.session}"
            if not await services.store.read(is_any_event_answered, person_key(adapter.sender), key_prefix):
                raise UnavailableError("No question was answered.")


async def _choose_model(services: Services, adapter: TerminalAdapter, query: str) -> None:
    match = services.models.find(query)
    if match.model is None:
        raise UnknownModelError(f"{query!r} matches no model, or several. `parley models` lists them.")
    scope = applicable_scopes(adapter.place, adapter.sender)[0]
    choice = Preference(match.model.id, adapter.sender.name, person_key(adapter.sender))
    await services.store.write(set_preference, scope.key, PreferenceName.MODEL, choice)
