"""The catalogue as a table, for `parley models`."""

from rich.table import Table

from core.app import Services
from core.commands.listing import matching, quotas_of
from core.conversation.ledger import span
from core.conversation.models import length
from core.conversation.resources import resources

__all__ = ["catalogue"]


async def catalogue(with_: Services, search: str) -> Table:
    """The models whose ids have `search` in them, with what is left of today's quotas of the
    bot's own key. Raises `StoreError`.
    """
    made = resources(with_.settings, with_.store, with_.api, with_.models)
    found = matching([*with_.models.chat(), *with_.models.embedding()], search)
    quotas = await quotas_of(made.ledger, made.accounts.house.name, found)
    table = Table("model", "context", "reasons", "images", "quota a day", "left today", "")
    for model in found:
        quota = quotas[model.id]
        table.add_row(
            model.id,
            length(model.context),
            "yes" if model.reasons else "",
            "yes" if model.vision else "",
            "" if quota.limit is None else f"{quota.limit:,}",
            "" if quota.left is None else f"{quota.left:,}",
            "embeddings only" if model.embeds else "",
        )
    table.caption = f"Quotas begin anew in {span(made.ledger.resets_in())}."
    return table
