"""What is read from the lists of models that services give."""

from typing import Any

import pytest

from core.api.catalogue import Model, builtin, merge, parse
from core.api.table import EMBEDDING


def one(**told: Any) -> Model:
    (model,) = parse({"data": [{"id": "lab/some-model", **told}]})
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
def test_a_model_that_sees_images_is_known_by_what_is_told(told: dict[str, Any]) -> None:
    assert one(**told).vision


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
def test_a_model_that_does_not_is_known_too(told: dict[str, Any]) -> None:
    assert not one(**told).vision


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
        *((id_, False) for id_ in builtin()),
    ],
)
def test_where_nothing_is_told_the_name_tells(id_: str, sees: bool) -> None:
    (model,) = parse({"data": [{"id": id_}]})
    assert model.vision is sees


def test_what_is_told_counts_more_than_the_name() -> None:
    (model,) = parse({"data": [{"id": "lab/vision-1", "input_modalities": ["text"]}]})
    assert not model.vision


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
def test_windows_are_read_wherever_they_are(told: dict[str, Any], context: int) -> None:
    assert one(**told).context == context


def test_what_only_embeds_is_known_with_its_own_quota() -> None:
    documented = {
        "name": "lab/vectors",
        "api_completions_daily_quota_tier_1": 0,
        "embeddings_daily_quota_tier_1": 500_000,
        "metadata": {"enable_api_chat_completions": False, "enable_api_embeddings": True},
    }
    (model,) = parse({"data": [documented]})
    assert (model.embeds, model.daily_quota) == (True, 500_000)
    assert one(output_modalities=["embedding"]).embeds
    assert not one(output_modalities=["text"]).embeds


def test_all_models_of_the_table_are_completed_from_it() -> None:
    offered = {id_: Model(id_) for id_ in builtin()}
    merged = merge(offered, builtin(), {"microsoft/phi-4": 12_345})
    assert len(merged) == 31
    assert {m.daily_quota for m in merged.values()} == {500_000}
    assert merged["microsoft/phi-4"].context == 12_345, "settings come first"
    assert (merged[EMBEDDING].context, merged[EMBEDDING].embeds) == (512, True)
