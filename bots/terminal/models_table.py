"""The table of models for `parley models`."""

from rich.table import Table

from core.commands.models import quotas_by_model, search_models
from core.services import Services
from core.texts.formatting import format_context_length, format_duration


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
