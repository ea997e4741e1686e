"""What is left of the quotas of several models."""

from collections.abc import Sequence

from core.api.catalogue import Model
from core.conversation.ledger import Ledger, QuotaStatus
from core.store.token_usage import UsageKind


async def quotas_by_model(ledger: Ledger, key_id: str, models: Sequence[Model]) -> dict[str, QuotaStatus]:
    """Today's quota of each model, by its ID."""
    quotas: dict[str, QuotaStatus] = {}
    for kind, is_embedding_model in ((UsageKind.CHAT, False), (UsageKind.EMBEDDINGS, True)):
        if ids := [model.id for model in models if model.is_embedding_model is is_embedding_model]:
            quotas |= await ledger.get_quotas(key_id, ids, kind)
    return quotas
