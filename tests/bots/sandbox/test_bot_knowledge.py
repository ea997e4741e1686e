"""What a new day and a repair of the sandbox make the bot forget."""

from pathlib import Path

from bots.sandbox.bot_knowledge import forget_day
from core.conversation.model_pauses import ModelPauses
from core.errors import ModelError, ModelFailure
from core.store import token_usage
from core.store.database import Store
from core.store.token_usage import UsageKey, UsageKind

BASE_URL = "http://127.0.0.1:9/api/v1/"
KEY, MODEL, DAY = "bot", "owner/model", "2026-12-01"


async def test_used_up_quotas_and_pauses_are_forgotten(tmp_path: Path) -> None:
    database = tmp_path / "parley.sqlite3"
    await forget_day(database, BASE_URL)
    assert not database.exists(), "before the bot's first start there is nothing to forget"
    store = Store(f"sqlite:///{database}")
    await store.open()
    try:
        await store.write(token_usage.mark_exhausted, UsageKey(KEY, MODEL, UsageKind.CHAT, DAY))
        pauses = ModelPauses(store, BASE_URL)
        for _ in range(10):
            await pauses.record_failure(KEY, MODEL, ModelError("broken", ModelFailure.SERVER_ERROR, status=500))
        assert await pauses.list_pauses()
        await forget_day(database, BASE_URL)
        usage = await store.read(token_usage.get_usage_by_model, KEY, DAY, [MODEL])
        assert not usage[MODEL].is_exhausted
        assert not await pauses.list_pauses()
    finally:
        await store.close()
