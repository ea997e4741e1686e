"""`parley models`."""

import os
from urllib.parse import urlsplit

from rich.console import Console

from bots.terminal.catalogue import catalogue
from core.app import Services, services
from core.conversation.models import Models
from core.errors import ConfigurationError, Failure, ModelError, ParleyError, UnavailableError
from core.settings import Settings

__all__ = ["list_models"]

WRONG_KEY = "The model service does not accept the key in IOINTELLIGENCE_API_KEY."


async def list_models(settings: Settings, search: str, out: Console, told: Console) -> None:
    """Print the models whose id holds `search`; what the settings name and is not offered is
    `told`.

    Where the service does not list them, or does not take the key, what is known is printed, and
    then `UnavailableError` or `ConfigurationError` says why.
    """
    async with services(settings) as with_:
        try:
            await with_.models.ask()
        except ModelError as error:
            await _print(with_, search, out)
            raise _why(error, settings, with_.models) from error
        await _print(with_, search, out)
        for one in with_.models.missing(settings):
            told.print(f"parley: {one}", markup=False, highlight=False, soft_wrap=True)
        if not await with_.api.takes_key():
            raise ConfigurationError(WRONG_KEY)


async def _print(with_: Services, search: str, out: Console) -> None:
    table = await catalogue(with_, search)
    if table.row_count:
        out.print(table)
    else:
        out.print(f"No model's name has {search!r} in it.", markup=False, highlight=False)


def _why(error: ModelError, settings: Settings, models: Models) -> ParleyError:
    shown = "the list of the last time" if models.known else "the built-in list"
    shown = f"Above is {shown}, which may be out of date."
    if error.failure is Failure.AUTHENTICATION:
        return ConfigurationError(f"{WRONG_KEY} {shown}")
    if error.failure is Failure.UNKNOWN_MODEL:
        return ConfigurationError(f"No models are listed at IOINTELLIGENCE_BASE_URL. {shown}")
    host = urlsplit(settings.base_url).hostname
    return UnavailableError(f"{error} ({host}{_cause(error)}). {shown}")


def _cause(error: BaseException | None) -> str:
    """What the system says of it, where it said something."""
    while error is not None:
        if isinstance(error, OSError) and error.errno:
            known = os.strerror(error.errno) if error.errno > 0 else error.strerror
            return f": {known}"
        error = error.__cause__ or error.__context__
    return ""
