"""`parley models`."""

import os
from urllib.parse import urlsplit

from rich.console import Console

from bots.terminal.models_table import models_table
from core.app import Services, open_services
from core.conversation.model_registry import ModelRegistry
from core.errors import ConfigurationError, ModelError, ModelFailure, ParleyError, UnavailableError
from core.settings import Settings

__all__ = ["list_models"]

REJECTED_KEY_MESSAGE = "The model service does not accept the key in IOINTELLIGENCE_API_KEY."


async def list_models(settings: Settings, search: str, console: Console, stderr: Console) -> None:
    """Print the models whose id holds `search`; what the settings name and is not offered is
    `told`.

    Where the service does not list them, or does not take the key, what is known is printed, and
    then `UnavailableError` or `ConfigurationError` says why.
    """
    async with open_services(settings) as services:
        try:
            await services.models.fetch()
        except ModelError as error:
            await _print_models(services, search, console)
            raise _to_parley_error(error, settings, services.models) from error
        await _print_models(services, search, console)
        for one in services.models.find_unknown_models(settings):
            stderr.print(f"parley: {one}", markup=False, highlight=False, soft_wrap=True)
        if not await services.api.is_key_valid():
            raise ConfigurationError(REJECTED_KEY_MESSAGE)


async def _print_models(services: Services, search: str, console: Console) -> None:
    table = await models_table(services, search)
    if table.row_count:
        console.print(table)
    else:
        console.print(f"No model's name has {search!r} in it.", markup=False, highlight=False)


def _to_parley_error(error: ModelError, settings: Settings, models: ModelRegistry) -> ParleyError:
    note = "the list of the last time" if models.is_loaded else "the built-in list"
    note = f"Above is {note}, which may be out of date."
    if error.failure is ModelFailure.AUTHENTICATION:
        return ConfigurationError(f"{REJECTED_KEY_MESSAGE} {note}")
    if error.failure is ModelFailure.UNKNOWN_MODEL:
        return ConfigurationError(f"No models are listed at IOINTELLIGENCE_BASE_URL. {note}")
    host = urlsplit(settings.base_url).hostname
    return UnavailableError(f"{error} ({host}{_system_error_text(error)}). {note}")


def _system_error_text(error: BaseException | None) -> str:
    """What the system says of it, where it said something."""
    while error is not None:
        if isinstance(error, OSError) and error.errno:
            reason = os.strerror(error.errno) if error.errno > 0 else error.strerror
            return f": {reason}"
        error = error.__cause__ or error.__context__
    return ""
