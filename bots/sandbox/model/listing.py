"""`GET /models` in the shapes it was seen in."""

import uuid
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from bots.sandbox.model.accounts import model_uuid
from core.api.catalogue import Model

__all__ = ["Listing", "listed"]

CREATED = 1_757_900_000
CHAT_QUOTA = 1_000_000  # tokens a day in the vendor's own chat, which no program uses


class Listing(StrEnum):
    RECORDED = "recorded"
    """As recorded in 2026: lengths, prices, abilities."""
    SPARE = "spare"
    """As in 2025: OpenAI's and vLLM's fields, no length."""
    DOCUMENTED = "documented"
    """As the vendor describes `ModelData`: a UUID, the id as `name`, quotas, `metadata`."""


def listed(models: Sequence[Model], listing: Listing) -> dict[str, Any]:
    match listing:
        case Listing.RECORDED:
            return {"object": "list", "data": [_recorded(model) for model in models]}
        case Listing.SPARE:
            return {"object": "list", "data": [_spare(model) for model in models]}
        case Listing.DOCUMENTED:
            pages = {
                "total": len(models),
                "page": 1,
                "page_size": len(models),
                "total_pages": 1,
                "has_next": False,
                "has_previous": False,
            }
            return {"data": [_documented(model) for model in models], "pagination": pages}


def _spare(model: Model) -> dict[str, Any]:
    return {
        "id": model.id,
        "object": "model",
        "created": CREATED,
        "owned_by": "io-intelligence",
        "root": None,
        "parent": None,
        "max_model_len": None,
        "permission": [
            {
                "id": f"modelperm-{uuid.uuid5(uuid.NAMESPACE_URL, model.id).hex}",
                "object": "model_permission",
                "created": CREATED,
                "allow_sampling": True,
                "allow_view": True,
                "organization": "*",
                "group": None,
                "is_blocking": False,
            }
        ],
    }


def _recorded(model: Model) -> dict[str, Any]:
    return {
        **_spare(model),
        "name": model.id,
        "root": model.id,
        "max_tokens": model.context,
        "context_window": model.context,
        "supports_reasoning": model.reasons,
        "supports_tools": False,
        "input_modalities": ["text", "image"] if model.vision else ["text"],
        "output_modalities": ["embedding"] if model.embeds else ["text"],
        "supports_prompt_cache": False,
        "input_token_price": 0.0,
        "output_token_price": 0.0,
        "cache_read_token_price": None,
        "precision": "bf16",
        "avg_latency_ms_per_day": 400,
        "avg_throughput_per_day": 40,
        "supports_attestation": False,
        "min_access_tier": 1,
        "higher_tier_required": False,
    }


def _documented(model: Model) -> dict[str, Any]:
    quota = model.daily_quota or 0
    return {
        "model_id": model_uuid(model.id),
        "name": model.id,
        "description": None,
        "status": "active",
        "chat_daily_quota_tier_1": 0 if model.embeds else CHAT_QUOTA,
        "api_completions_daily_quota_tier_1": 0 if model.embeds else quota,
        "embeddings_daily_quota_tier_1": quota if model.embeds else 0,
        "metadata": {
            "max_tokens": model.context,
            "context_window": model.context,
            "supports_reasoning": model.reasons,
            "supports_images_input": model.vision,
            "enable_api_chat_completions": not model.embeds,
            "enable_api_embeddings": model.embeds,
        },
        "created_at": "2025-09-15T01:33:20Z",
        "updated_at": "2025-09-15T01:33:20Z",
    }
