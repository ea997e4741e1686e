"""`parley models`."""

from rich.console import Console
from rich.table import Table

from core.app import services
from core.conversation.models import length
from core.settings import Settings

__all__ = ["list_models"]


async def list_models(settings: Settings, search: str, out: Console) -> None:
    """Print the chat models whose id holds `search`."""
    async with services(settings) as with_:
        await with_.models.refresh()
        table = Table("model", "context", "reasons")
        for model in with_.models.chat():
            if search.casefold() in model.id.casefold():
                table.add_row(model.id, length(model.context), "yes" if model.reasons else "")
        out.print(table)
