"""`parley models`: fetches the models and prints them as a table."""

import os
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Column, Table

from bots.tables import UNLIMITED_WIDTH
from core.api.advice import ADVICE
from core.api.catalogue import Model
from core.app import open_services
from core.commands.models import matches_search, search_models
from core.conversation.ledger import QuotaStatus
from core.conversation.model_quotas import quotas_by_model
from core.conversation.model_registry import ModelRegistry
from core.errors import ConfigurationError, ModelError, ModelFailure, ParleyError, UnavailableError
from core.services import Services
from core.settings import Settings
from core.texts.formatting import count, format_context_window, format_duration

COLUMNS = ("context", "reasoning", "pictures", "daily quota", "remaining", "use")
REVERSED_IMPORTANCE = ("daily quota", "pictures", "reasoning", "use")
"""The columns that a narrow terminal does without, first the least important one."""
SETUP_FAILURES = (ModelFailure.REGION, ModelFailure.BLOCKED, ModelFailure.WRONG_ADDRESS)
KEY_REJECTED_TEXT = "The model service does not accept the key in IOINTELLIGENCE_API_KEY."


async def list_models(
    settings: Settings,
    search: str,
    console: Console,
    stderr: Console,
    *,
    forgets_facts: bool = False,
    ends_pauses: bool = False,
) -> None:
    """Print the models whose names match `search`, and warn on `stderr` about unknown models in the settings.

    Below them are the pauses of these models and what the service has taught about them; with `ends_pauses` and
    `forgets_facts`, they are deleted first. If the service does not list its models, or would refuse every question,
    print the known models and raise `UnavailableError` or `ConfigurationError`.
    """
    async with open_services(settings) as services:
        if forgets_facts:
            facts = {item.fact.model for item in await services.facts.list_facts()}
            number = await services.facts.reset([model for model in facts if matches_search(model, search)])
            stderr.print(f"parley: Forgot {count(number, 'learned fact')}.", markup=False, highlight=False)
        if ends_pauses:
            paused = {pause.model for pause in await services.pauses.list_pauses()}
            number = await services.pauses.end([model for model in paused if matches_search(model, search)])
            stderr.print(f"parley: Ended {count(number, 'pause')}.", markup=False, highlight=False)
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
    if models := search_models(services.models, search):
        console.print(await _fitting_table(services, models, console))
    else:
        console.print(f"No model's name contains {search!r}.", markup=False, highlight=False)
    pauses = Table(_name_column(), "paused for", "because", "until", "ends in")
    now = datetime.now().astimezone()
    for pause in await services.pauses.list_pauses():
        if matches_search(pause.model, search):
            key = "everyone" if pause.key_id == services.api_keys.bot_key.key_id else "one personal key"
            until = f"{now + timedelta(seconds=pause.remaining_seconds):%H:%M:%S}"
            pauses.add_row(pause.model, key, escape(str(pause.error)), until, format_duration(pause.remaining_seconds))
    learned = Table(_name_column(), "learned", "detail", "forgotten in")
    for item in await services.facts.list_facts():
        fact = item.fact
        if matches_search(fact.model, search):
            learned.add_row(fact.model, fact.kind, escape(fact.detail), format_duration(item.remaining_seconds))
    for details in (pauses, learned):
        if details.row_count:
            console.print(details)


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


async def _fitting_table(services: Services, models: Sequence[Model], console: Console) -> Table:
    """The models, with what remains today of the quotas of the bot's own key. A narrow terminal gets fewer columns.

    Raises `StoreError`.
    """
    quotas = await quotas_by_model(services.ledger, services.api_keys.bot_key.key_id, models)
    left_out: list[str] = []
    table = _models_table(models, quotas, left_out)
    unlimited = console.options.update(max_width=UNLIMITED_WIDTH)
    for column in REVERSED_IMPORTANCE:
        if Measurement.get(console, unlimited, table).maximum <= console.width:
            break
        left_out.append(column)
        table = _models_table(models, quotas, left_out)
    table.caption = f"Quotas reset in {format_duration(services.ledger.seconds_until_reset())}"
    if left_out:
        table.caption += f". A wider terminal also shows: {', '.join(left_out)}"
    return table


def _models_table(models: Sequence[Model], quotas: Mapping[str, QuotaStatus], left_out: Collection[str]) -> Table:
    table = Table(_name_column(), *(column for column in COLUMNS if column not in left_out))
    for model in models:
        quota = quotas[model.id]
        cells = {
            "context": format_context_window(model.context_window),
            "reasoning": "yes" if model.has_reasoning else "",
            "pictures": "yes" if model.has_vision else "",
            "daily quota": "" if quota.limit is None else f"{quota.limit:,}",
            "remaining": "" if quota.remaining is None else f"{quota.remaining:,}",
            "use": "embeddings only" if model.is_embedding_model else "speech only" if model.is_speech_model else "",
        }
        table.add_row(model.id, *(cells[column] for column in COLUMNS if column not in left_out))
    return table


def _name_column() -> Column:
    """Names are copied into settings: they are wrapped rather than cut."""
    return Column("model", overflow="fold")
