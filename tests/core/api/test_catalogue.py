from typing import Any

import msgspec
import pytest

from core.api.catalogue import Model, find_model, merge_models, parse_models, size_in_billions
from core.api.model_data import BUILTIN_MODELS, DEFAULT_EMBEDDING_MODEL
from tests.counting import count_calls


def parse_model(model_id: str = "lab/some-model", **fields: Any) -> Model:
    (model,) = parse_models({"data": [{"id": model_id, **fields}]})
    return model


@pytest.mark.parametrize(
    "fields",
    [
        {"input_modalities": ["text", "image", "video"]},  # IO Intelligence, as recorded in 2026
        {"metadata": {"supports_images_input": True}},  # IO Intelligence, as documented
        {"supports_images": True},
        {"supports_vision": True},
        {"architecture": {"input_modalities": ["text", "image"]}},  # OpenRouter, llama.cpp
        {"architecture": {"modality": "text+image->text"}},
        {"modalities": ["text", "image"]},
    ],
)
def test_vision_is_read_from_listing(fields: dict[str, Any]) -> None:
    assert parse_model(**fields).has_vision


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"input_modalities": ["text"]},
        {"metadata": {"supports_images_input": False}},
        {"architecture": {"modality": "text->text+image"}},  # draws images
        {"input_modalities": None, "supports_images_input": None},
    ],
)
def test_missing_vision_is_read_from_listing(fields: dict[str, Any]) -> None:
    assert not parse_model(**fields).has_vision


@pytest.mark.parametrize(
    ("model_id", "has_vision"),
    [
        ("Qwen/Qwen2.5-VL-32B-Instruct", True),
        ("meta-llama/Llama-3.2-90B-Vision-Instruct", True),
        ("meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8", True),
        ("mistralai/Pixtral-12B", True),
        ("google/gemma-3-27b-it", True),
        ("google/gemma-3-1b-it", False),
        ("mistralai/Mistral-Large-Instruct-2411", False),
        *((model_id, False) for model_id in BUILTIN_MODELS),
    ],
)
def test_vision_is_guessed_from_name(model_id: str, has_vision: bool) -> None:
    assert parse_model(model_id).has_vision is has_vision


def test_listing_overrides_name() -> None:
    assert parse_model("lab/vision-1").has_vision
    assert not parse_model("lab/vision-1", input_modalities=["text"]).has_vision


@pytest.mark.parametrize(
    ("fields", "context"),
    [
        ({"context_window": 65_536, "max_tokens": 8192, "max_model_len": None}, 65_536),
        ({"max_model_len": None, "max_tokens": 4096}, 4096),
        ({"metadata": {"context_window": 9000}, "context_window": None}, 9000),
        ({"context_length": 32_768}, 32_768),
        ({"meta": {"n_ctx": 1024, "n_ctx_train": 4096}}, 1024),
        ({"max_model_len": "much"}, 0),
    ],
)
def test_context_window_field_names(fields: dict[str, Any], context: int) -> None:
    assert parse_model(**fields).context_window == context


def test_embedding_model_has_own_quota() -> None:
    description = {
        "name": "lab/vectors",
        "api_completions_daily_quota_tier_1": 0,
        "embeddings_daily_quota_tier_1": 500_000,
        "metadata": {"enable_api_chat_completions": False, "enable_api_embeddings": True},
    }
    (model,) = parse_models({"data": [description]})
    assert (model.is_embedding_model, model.daily_quota) == (True, 500_000)
    assert parse_model(output_modalities=["embedding"]).is_embedding_model
    assert not parse_model(output_modalities=["text"]).is_embedding_model


def test_known_models_are_completed_from_table() -> None:
    offered = {model_id: Model(model_id) for model_id in BUILTIN_MODELS}
    merged = merge_models(offered, BUILTIN_MODELS, {})
    assert merged == BUILTIN_MODELS
    assert len(merged) == 31
    assert {m.daily_quota for m in merged.values()} == {500_000}
    assert merged[DEFAULT_EMBEDDING_MODEL].context_window == 512
    assert merged[DEFAULT_EMBEDDING_MODEL].is_embedding_model


def test_configured_context_window_overrides_others() -> None:
    offered = {"microsoft/phi-4": Model("microsoft/phi-4", 16_000)}
    merged = merge_models(offered, BUILTIN_MODELS, {"microsoft/phi-4": 12_345})
    assert merged["microsoft/phi-4"].context_window == 12_345


def test_size_is_read_from_name_or_table() -> None:
    assert size_in_billions(Model("lab/tiny-1.5B-chat", billion_parameters=9)) == 1.5
    assert size_in_billions(BUILTIN_MODELS["microsoft/phi-4"]) == 14
    assert size_in_billions(Model("lab/unknown")) == 30


def test_model_stored_by_an_older_version_is_read() -> None:
    stored = b'[{"id": "lab/model", "context": 4096, "has_vision": true}]'
    assert msgspec.json.decode(stored, type=list[Model]) == [Model("lab/model", has_vision=True)]


MODELS = list(BUILTIN_MODELS.values())


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("llama 3.3", "Llama-3.3-70B-Instruct"),
        ("LLAMA33", "Llama-3.3-70B-Instruct"),
        ("llama3.3", "Llama-3.3-70B-Instruct"),
        ("meta-llama", "Llama-3.3-70B-Instruct"),
        ("instruct 3.3 llama", "Llama-3.3-70B-Instruct"),
        ("qwen 14b", "DeepSeek-R1-Distill-Qwen-14B"),
        ("coder", "Qwen2.5-Coder-32B-Instruct"),
        ("deepseek-r1", "DeepSeek-R1"),
        ("phi", None),
        ("ama", None),
        ("llama 3.3 please", None),
        ("llama 3b", None),
        ("phi 5", None),
        ("🦙", None),
        ("", None),
    ],
)
def test_model_is_found_by_words_of_its_name(query: str, name: str | None) -> None:
    match = find_model(MODELS, query)
    assert (match.model.name if match.model else None) == name
    assert bool(match.candidates) is (query == "phi"), "no match means no match"


@pytest.mark.parametrize("id_", ["a1" * 100, "10-" * 66])
@pytest.mark.parametrize("query", ["1z", "a1" * 99 + "z", "z", "10 1 0 1 0 z"])
def test_search_among_hostile_names_is_cheap(id_: str, query: str) -> None:
    """Names of hundreds of words: each key press in Discord searches all of them."""
    models = [Model(f"{id_[:190]}/{number}") for number in range(100)]
    find_model(models, query)
    assert count_calls(lambda text: find_model(models, text), query) < 20 * len(models)  # without a cache: 28 to 95


@pytest.mark.parametrize(
    ("name", "has_reasoning"),
    [
        ("openai/gpt-oss-120b", True),
        ("mistralai/Magistral-Small-2506", True),
        ("openai/o3-mini", True),
        ("lab/model-thinking", True),
        ("meta-llama/Llama-3.3-70B-Instruct", False),
    ],
)
def test_reasoning_is_guessed_from_name(name: str, *, has_reasoning: bool) -> None:
    assert parse_model(name).has_reasoning is has_reasoning


@pytest.mark.parametrize(
    ("model_id", "fields", "is_speech_model"),
    [
        ("openai/whisper-large-v3", {}, True),
        ("gpt-4o-mini-transcribe", {}, True),
        ("nvidia/parakeet-tdt-0.6b", {}, True),
        ("lab/some-model", {"input_modalities": ["audio"], "output_modalities": ["text"]}, True),
        ("lab/some-model", {"input_modalities": ["text", "audio"], "output_modalities": ["text"]}, False),
        ("lab/whisperer", {"input_modalities": ["text"], "output_modalities": ["text"]}, False),
        ("meta-llama/Llama-3.3-70B-Instruct", {}, False),
    ],
)
def test_speech_models_are_recognised(model_id: str, fields: dict[str, Any], is_speech_model: bool) -> None:
    assert parse_model(model_id, **fields).is_speech_model is is_speech_model
