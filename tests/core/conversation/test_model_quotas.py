"""What is left of several models' quotas: chat and embedding models are counted apart."""

from pathlib import Path

from core.api.catalogue import Model
from core.api.client import ModelApi
from core.conversation.ledger import Ledger
from core.conversation.model_quotas import quotas_by_model
from core.conversation.model_registry import ModelRegistry
from core.settings import Settings
from core.store.database import Store
from core.store.token_usage import UsageKind
from tests.sqlite import sqlite_url

CHAT, UNUSED, EMBEDDING = Model("a/chat"), Model("a/unused"), Model("a/embed", is_embedding_model=True)


async def test_each_model_has_the_quota_of_its_kind(tmp_path: Path) -> None:
    store = Store(sqlite_url(tmp_path))
    await store.open()
    registry = ModelRegistry(ModelApi("http://127.0.0.1:1", "key"), store, Settings())
    ledger = Ledger(store, registry, Settings(quotas={"*": 1000}))
    for model, tokens, kind in ((CHAT, 100, UsageKind.CHAT), (EMBEDDING, 20, UsageKind.EMBEDDINGS)):
        async with ledger.reserve("key", model.id, tokens, kind=kind):
            pass
    quotas = await quotas_by_model(ledger, "key", [CHAT, UNUSED, EMBEDDING])
    assert {id_: quota.remaining for id_, quota in quotas.items()} == {CHAT.id: 900, UNUSED.id: 1000, EMBEDDING.id: 980}
    assert list(await quotas_by_model(ledger, "key", [EMBEDDING])) == [EMBEDDING.id]
    assert await quotas_by_model(ledger, "key", []) == {}, "not those of all models that were used"
    await store.close()
