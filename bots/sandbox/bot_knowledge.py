"""What the bot has learned of the model service today, in its database, which it reads before its requests."""

import asyncio
from pathlib import Path

from core.conversation.model_pauses import ModelPauses
from core.errors import ConfigurationError, StoreError, UnavailableError
from core.store.database import Store
from core.store.retention import delete_usage

AFTER_ALL_DAYS = "9999-12-31"


async def forget_day(database: Path, base_url: str) -> None:
    """Delete which quotas are used up and how much, and the pauses of models that failed, as on a new day.

    `database` is the file of an SQLite database, `base_url` the service's. Before the bot has created its database,
    there is nothing to forget.
    """
    if not await asyncio.to_thread(database.exists):
        return
    store = Store(f"sqlite:///{database}")
    try:
        await store.open(migrates=False)
        while await store.write(delete_usage, AFTER_ALL_DAYS):
            pass
        pauses = ModelPauses(store, base_url)
        await pauses.end([pause.model for pause in await pauses.list_pauses()])
    except (ConfigurationError, StoreError, UnavailableError) as error:
        raise ValueError(f"The bot still remembers today's quotas: its database cannot be changed ({error}).") from None
    finally:
        await store.close()
