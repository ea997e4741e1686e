"""`parley models`."""

from rich.console import Console

from bots.terminal.catalogue import catalogue
from core.app import services
from core.settings import Settings

__all__ = ["list_models"]


async def list_models(settings: Settings, search: str, out: Console) -> None:
    """Print the models whose id holds `search`."""
    async with services(settings) as with_:
        await with_.models.refresh()
        out.print(await catalogue(with_, search))
