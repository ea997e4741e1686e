"""`parley models`: fetches the models and prints them as a table."""

import os
from urllib.parse import urlsplit

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from core.api.advice import ADVICE
from core.app import open_services
from core.commands.models import quotas_by_model, search_models
from core.conversation.model_registry import ModelRegistry
from core.errors import ConfigurationError, ModelError, ModelFailure, ParleyError, UnavailableError
from core.services import Services
from core.settings import Settings
from core.texts.formatting import format_context_length, format_duration

SETUP_FAILURES = (ModelFailure.REGION, ModelFailure.BLOCKED, ModelFailure.WRONG_ADDRESS)
KEY_REJECTED_TEXT = "The model service does not accept the key in IOINTELLIGENCE_API_KEY."


async def list_models(
    settings: Settings, search: str, console: Console, stderr: Console, *, forgets_facts: bool = False
) -> None:
    """Print the models whose names match `search`, and warn on `stderr` about unknown models in the settings.

    Below them is what the service has taught about its models; with `forgets_facts`, it is deleted first. If the
    service does not list its models, or would refuse every question, print the known models and raise
    `UnavailableError` or `ConfigurationError`.
    """
    async with open_services(settings) as services:
        if forgets_facts:
            count = await services.facts.reset()
            stderr.print(f"parley: {count} learned facts are forgotten.", markup=False, highlight=False)
        try:
            await services.models.fetch()
        except ModelError as error:
            await _print_models(services, search, console)
            raise _to_parley_error(error, settings, services.models) from error
        await _print_models(services, search, console)
        for warning in services.models.find_unknown_models():
            stderr.print(f"parley: {warning}", markup=False, highlight=False, soft_wrap=True)
        if problem := await services.api.find_account_problem():
            is_key_rejected = problem.failure is ModelFailure.AUTHENTICATION
            raise ConfigurationError(KEY_REJECTED_TEXT if is_key_rejected else f"{problem}. {ADVICE[problem.failure]}")


async def _print_models(services: Services, search: str, console: Console) -> None:
    table = await models_table(services, search)
    if table.row_count:
        console.print(table)
    else:
        console.print(f"No model's name contains {search!r}.", markup=False, highlight=False)
    facts = await services.facts.list_facts()
    if facts:
        learned = Table("model", "learned", "detail", "forgotten in")
        for item in facts:
            fact = item.fact
            learned.add_row(fact.model, fact.kind, escape(fact.detail), format_duration(item.remaining_seconds))
        console.print(learned)


def _to_parley_error(error: ModelError, settings: Settings, models: ModelRegistry) -> ParleyError:
    origin = "the list of an earlier run" if models.is_loaded else "the built-in list"
    note = f"This is {origin}, which may be out of date." if models.chat_models() else ""
    if error.failure is ModelFailure.AUTHENTICATION:
        return ConfigurationError(f"{KEY_REJECTED_TEXT} {note}")
    url = urlsplit(settings.base_url)
    if error.failure in SETUP_FAILURES:
        return ConfigurationError(f"{error} ({url.hostname}{url.path}). {ADVICE[error.failure]} {note}")
    advice = "" if error.failure is ModelFailure.UNREACHABLE else f"{ADVICE[error.failure]} "
    return UnavailableError(f"{error} ({url.hostname}{_system_error_text(error)}). {advice}{note}")


def _system_error_text(error: BaseException | None) -> str:
    """The operating system's reason among the causes of `error`, after a colon; "" if there is none."""
    while error is not None:
        if isinstance(error, OSError) and error.errno:
            reason = os.strerror(error.errno) if error.errno > 0 else error.strerror
            return f": {reason}"
        error = error.__cause__ or error.__context__
    return ""


async def models_table(services: Services, search: str) -> Table:
    """The models whose names match `search`, with what remains today of the quotas of the bot's own key.

    Raises `StoreError`.
    """
    models = search_models(services.models, search)
    quotas = await quotas_by_model(services.ledger, services.api_keys.bot_key.key_id, models)
    table = Table("model", "context", "reasoning", "images", "daily quota", "remaining", "")
    for model in models:
        quota = quotas[model.id]
        table.add_row(
            model.id,
            format_context_length(model.context_window),
            "yes" if model.has_reasoning else "",
            "yes" if model.has_vision else "",
            "" if quota.limit is None else f"{quota.limit:,}",
            "" if quota.remaining is None else f"{quota.remaining:,}",
            "embeddings only" if model.is_embedding_model else "",
        )
    table.caption = f"Quotas reset in {format_duration(services.ledger.seconds_until_reset())}"
    return table
