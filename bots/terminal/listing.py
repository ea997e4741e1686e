"""`parley models`."""

import os
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from core.app import services
from core.conversation.models import Models, length
from core.errors import ConfigurationError, Failure, ModelError, ParleyError, UnavailableError
from core.settings import Settings

__all__ = ["list_models"]

WRONG_KEY = "The model service does not accept the key in IOINTELLIGENCE_API_KEY."


async def list_models(settings: Settings, search: str, out: Console) -> None:
    """Print the chat models whose id holds `search`.

    Where the service does not list them, or does not take the key, what is known is printed, and
    then `UnavailableError` or `ConfigurationError` says why.
    """
    async with services(settings) as with_:
        try:
            await with_.models.ask()
        except ModelError as error:
            _print(with_.models, search, out)
            raise _why(error, settings, with_.models) from error
        _print(with_.models, search, out)
        if not await with_.api.takes_key():
            raise ConfigurationError(WRONG_KEY)


def _print(models: Models, search: str, out: Console) -> None:
    table = Table("model", "context", "reasons")
    for model in models.chat():
        if search.casefold() in model.id.casefold():
            table.add_row(model.id, length(model.context), "yes" if model.reasons else "")
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
