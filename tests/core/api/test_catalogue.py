"""What is read from the lists of models that services give."""

from typing import Any

import pytest

from core.api.catalogue import Model, builtin_models, merge_models, parse_models
from core.api.model_data import DEFAULT_EMBEDDING_MODEL


def one(**told: Any) -> Model:
    (model,) = parse_models({"data": [{"id": "lab/some-model", **told}]})
    return model


@pytest.mark.parametrize(
    "told",
    [
        {"input_modalities": ["text", "image", "video"]},  # IO Intelligence, 2026
        {"metadata": {"supports_images_input": True}},  # as it documents itself
        {"supports_images": True},
        {"supports_vision": True},
        {"architecture": {"input_modalities": ["text", "image"]}},  # OpenRouter, llama.cpp
        {"architecture": {"modality": "text+image->text"}},
        {"modalities": ["text", "image"]},
    ],
)
def test_vision_is_read_from_listing(told: dict[str, Any]) -> None:
    assert one(**told).has_vision


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"input_modalities": ["text"]},
        {"metadata": {"supports_images_input": False}},
        {"architecture": {"modality": "text->text+image"}},  # draws, and does not see
        {"input_modalities": None, "supports_images_input": None},
    ],
)
def test_missing_vision_is_read_from_listing(told: dict[str, Any]) -> None:
    assert not one(**told).has_vision


@pytest.mark.parametrize(
    ("id_", "sees"),
    [
        ("Qwen/Qwen2.5-VL-32B-Instruct", True),
        ("meta-llama/Llama-3.2-90B-Vision-Instruct", True),
        ("meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8", True),
        ("mistralai/Pixtral-12B", True),
        ("google/gemma-3-27b-it", True),
        ("google/gemma-3-1b-it", False),
        ("mistralai/Mistral-Large-Instruct-2411", False),
        *((id_, False) for id_ in builtin_models()),
    ],
)
def test_vision_is_guessed_from_name(id_: str, sees: bool) -> None:
    (model,) = parse_models({"data": [{"id": id_}]})
    assert model.has_vision is sees


def test_listing_overrides_name() -> None:
    (model,) = parse_models({"data": [{"id": "lab/vision-1", "input_modalities": ["text"]}]})
    assert not model.has_vision


@pytest.mark.parametrize(
    ("told", "context"),
    [
        ({"context_window": 65_536, "max_tokens": 8192, "max_model_len": None}, 65_536),
        ({"max_model_len": None, "max_tokens": 4096}, 4096),
        ({"metadata": {"context_window": 9000}, "context_window": None}, 9000),
        ({"context_length": 32_768}, 32_768),
        ({"meta": {"n_ctx": 1024, "n_ctx_train": 4096}}, 1024),
        ({"max_model_len": "much"}, 0),
    ],
)
def test_context_window_field_names(told: dict[str, Any], context: int) -> None:
    assert one(**told).context_window == context


def test_embedding_model_has_own_quota() -> None:
    documented = {
        "name": "lab/vectors",
        "api_completions_daily_quota_tier_1": 0,
        "embeddings_daily_quota_tier_1": 500_000,
        "metadata": {"enable_api_chat_completions": False, "enable_api_embeddings": True},
    }
    (model,) = parse_models({"data": [documented]})
    assert (model.is_embedding_model, model.daily_quota) == (True, 500_000)
    assert one(output_modalities=["embedding"]).is_embedding_model
    assert not one(output_modalities=["text"]).is_embedding_model


def test_known_models_are_completed_from_table() -> None:
    offered = {id_: Model(id_) for id_ in builtin_models()}
    merged = merge_models(offered, builtin_models(), {"microsoft/phi-4": 12_345})
    assert len(merged) == 31
    assert {m.daily_quota for m in merged.values()} == {500_000}
    assert merged["microsoft/phi-4"].context_window == 12_345, "settings come first"
    assert (
        merged[DEFAULT_EMBEDDING_MODEL].context_window,
        merged[DEFAULT_EMBEDDING_MODEL].is_embedding_model,
    ) == (512, True)
