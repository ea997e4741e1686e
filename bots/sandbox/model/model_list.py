"""The answer to `GET /models`, in each format in which it was seen."""

import uuid
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from bots.sandbox.model.accounts import model_uuid
from core.api.catalogue import Model

__all__ = ["ModelListFormat", "model_list"]

CREATED_AT = 1_757_900_000
CHAT_QUOTA_TOKENS = 1_000_000
"""A day, in the vendor's own chat. The API has quotas of its own."""


class ModelListFormat(StrEnum):
    RECORDED = "recorded"
    """Recorded in 2026: context windows, prices, capabilities."""
    MINIMAL = "minimal"
    """Seen in 2025: the fields of OpenAI and vLLM, without context windows."""
    DOCUMENTED = "documented"
    """The vendor's description of `ModelData`: a UUID, the ID as `name`, quotas, `metadata`."""


def model_list(models: Sequence[Model], list_format: ModelListFormat) -> dict[str, Any]:
    match list_format:
        case ModelListFormat.RECORDED:
            return {"object": "list", "data": [_recorded_model(model) for model in models]}
        case ModelListFormat.MINIMAL:
            return {"object": "list", "data": [_minimal_model(model) for model in models]}
        case ModelListFormat.DOCUMENTED:
            pages = {
                "total": len(models),
                "page": 1,
                "page_size": len(models),
                "total_pages": 1,
                "has_next": False,
                "has_previous": False,
            }
            return {"data": [_documented_model(model) for model in models], "pagination": pages}


def _minimal_model(model: Model) -> dict[str, Any]:
    return {
        "id": model.id,
        "object": "model",
        "created": CREATED_AT,
        "owned_by": "io-intelligence",
        "root": None,
        "parent": None,
        "max_model_len": None,
        "permission": [
            {
                "id": f"modelperm-{uuid.uuid5(uuid.NAMESPACE_URL, model.id).hex}",
                "object": "model_permission",
                "created": CREATED_AT,
                "allow_sampling": True,
                "allow_view": True,
                "organization": "*",
                "group": None,
                "is_blocking": False,
            }
        ],
    }


def _recorded_model(model: Model) -> dict[str, Any]:
    return {
        **_minimal_model(model),
        "name": model.id,
        "root": model.id,
        "max_tokens": model.context_window,
        "context_window": model.context_window,
        "supports_reasoning": model.has_reasoning,
        "supports_tools": False,
        "input_modalities": ["text", "image"] if model.has_vision else ["text"],
        "output_modalities": ["embedding"] if model.is_embedding_model else ["text"],
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


def _documented_model(model: Model) -> dict[str, Any]:
    quota = model.daily_quota or 0
    return {
        "model_id": model_uuid(model.id),
        "name": model.id,
        "description": None,
        "status": "active",
        "chat_daily_quota_tier_1": 0 if model.is_embedding_model else CHAT_QUOTA_TOKENS,
        "api_completions_daily_quota_tier_1": 0 if model.is_embedding_model else quota,
        "embeddings_daily_quota_tier_1": quota if model.is_embedding_model else 0,
        "metadata": {
            "max_tokens": model.context_window,
            "context_window": model.context_window,
            "supports_reasoning": model.has_reasoning,
            "supports_images_input": model.has_vision,
            "enable_api_chat_completions": not model.is_embedding_model,
            "enable_api_embeddings": model.is_embedding_model,
        },
        "created_at": "2025-09-15T01:33:20Z",
        "updated_at": "2025-09-15T01:33:20Z",
    }
