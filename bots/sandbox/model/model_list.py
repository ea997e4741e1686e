"""The answer to `GET /models`, in each format in which it was seen."""

import uuid
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from bots.sandbox.model.accounts import model_uuid
from core.api.catalogue import Model

CONSTANT_FIELDS: dict[str, dict[str, Any]] = msgspec.json.decode(Path(__file__).with_suffix(".json").read_bytes())
"""The fields that are the same for every model."""
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
            pages = {**CONSTANT_FIELDS["pagination"], "total": len(models), "page_size": len(models)}
            return {"data": [_documented_model(model) for model in models], "pagination": pages}


def _minimal_model(model: Model) -> dict[str, Any]:
    permission_id = f"modelperm-{uuid.uuid5(uuid.NAMESPACE_URL, model.id).hex}"
    permission = {**CONSTANT_FIELDS["permission"], "id": permission_id}
    return {**CONSTANT_FIELDS["minimal"], "id": model.id, "permission": [permission]}


def _recorded_model(model: Model) -> dict[str, Any]:
    return {
        **_minimal_model(model),
        **CONSTANT_FIELDS["recorded"],
        "name": model.id,
        "root": model.id,
        "max_tokens": model.context_window,
        "context_window": model.context_window,
        "supports_reasoning": model.has_reasoning,
        "input_modalities": ["audio"] if model.is_speech_model else ["text", "image"] if model.has_vision else ["text"],
        "output_modalities": ["embedding"] if model.is_embedding_model else ["text"],
    }


def _documented_model(model: Model) -> dict[str, Any]:
    quota = model.daily_quota or 0
    return {
        **CONSTANT_FIELDS["documented"],
        "model_id": model_uuid(model.id),
        "name": model.id,
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
    }
