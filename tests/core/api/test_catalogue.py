from typing import Any

import msgspec
import pytest

from core.api.catalogue import Model, find_model, merge_models, parse_models, size_in_billions
from core.api.model_data import BUILTIN_MODELS, DEFAULT_EMBEDDING_MODEL
from tests.counting import count_calls


def parse_model(model_id: str = "lab/some-model", **fields: Any) -> Model:
    (model,) = parse_models({"data": [{"id": model_id, **fields}]})
    return model


VISION_NAMES = """
gpt-4o gpt-4o-mini chatgpt-4o-latest gpt-4.1 gpt-4.1-nano gpt-4-turbo gpt-5 gpt-5-mini o1 o3 openai/o4-mini
gemini-2.5-flash models/gemini-2.0-flash claude-sonnet-4.5 claude-3-haiku gpt-4-turbo-2024-04-09 claude-3-5-haiku-20241022 anthropic/claude-opus-4 grok-4
gemma3:12b gemma3 gemma-3-27b-it qwen2.5vl:7b qwen3-vl-235b-a22b qwen2.5-omni-7b qvq-72b llama4:scout
mistral-small3.2 mistral-small-latest Mistral-Small-3.1-24B mistral-medium-2505 minicpm-v:8b moondream:1.8b glm-4.5v
glm-4v-plus smolvlm2 llava:13b bakllava llama3.2-vision granite3.2-vision phi-4-multimodal-instruct molmo-7b kimi-k2.5
"""
BLIND_NAMES = """
gpt-3.5-turbo gpt-4 gpt-oss-20b o1-mini o3-mini claude-2.1 claude-instant-1 grok-3 gemma3:1b gemma3:270m gemma-2-9b-it
gemma3n:e4b qwen3:8b qwen2.5:7b llama3.2 llama-3.3-70b mistral-small-2409 mistral-large-2411 mistral-nemo glm-4.5
deepseek-r1 marco-o1 kimi-k2 minicpm3-4b gpt-4-turbo-preview claude-v2 anthropic.claude-v2:1 claude-1 claude-v1
"""
REASONING_NAMES = """
qwen3:8b qwen3-32b Qwen3-235B-A22B qwen3.5-27b qwq-32b gpt-5 gpt-5-mini o1 o3-mini o4-mini gemini-2.5-pro
gemini-2.5-flash gemini-3-pro-preview grok-4 grok-4-fast-reasoning grok-3-mini grok-code-fast-1 GLM-4.5 zai-org/GLM-4.6
glm4.7 DeepSeek-V3.1 deepseek-v3.2 deepseek-reasoner MiniMax-M2 seed-oss-36b nemotron-nano-9b-v2 nemotron-3-nano-30b
exaone-deep:7.8b kimi-k2-thinking openthinker:7b olmo-3-32b-think smollm3 phi-4-reasoning hunyuan-a13b-instruct
sonar-reasoning ernie-x1 deephermes-3 Qwen3-Next-80B-A3B-Thinking Qwen3-235B-A22B-Thinking-2507 nano-thinking
"""
PLAIN_NAMES = """
gpt-4o gpt-4.1 gpt-5-chat-latest gpt-5.1-chat gemini-2.0-flash grok-3 grok-4-fast-non-reasoning qwen2.5:7b qwen3-coder
Qwen3-Coder-480B-A35B-Instruct Qwen3-235B-A22B-Instruct-2507 qwen3-vl-8b-instruct qwen3-embedding glm-4-9b-chat
deepseek-v3 DeepSeek-V3-0324 deepseek-chat minimax-text-01 Llama-3.1-Nemotron-70B exaone-3.5 kimi-k2 phi-4 gemma3:12b
ernie-4.5 o200k-base mistral-small-latest qwen/qwen3-235b-a22b-2507 qwen3-8b-no-think qwen3:8b-nothink
claude-3-7-sonnet-nothinking qwen3-32b-non-thinking model_no_think
"""
OTHER_NAMES = """
dall-e-3 gpt-image-1 gpt-image-1-mini imagen-4.0-generate-001 flux-1-schnell black-forest-labs/FLUX.1-dev qwen-image
stabilityai/stable-diffusion-xl-base-1.0 sd3.5-large sora-2 sora-2-pro veo-3.0-generate-preview Wan2.2-T2V-A14B
tts-1 tts-1-hd gpt-4o-mini-tts playai-tts playai-tts-arabic gemini-2.5-flash-preview-tts hexgrad/Kokoro-82M
canopylabs/orpheus-3b-0.1-ft gpt-audio-mini gpt-4o-audio-preview gpt-realtime gpt-4o-realtime-preview lyria-2
omni-moderation-latest text-moderation-stable mistral-moderation-latest mistral-ocr-latest llama-guard-4-12b
meta-llama/Llama-Guard-3-8B llama-prompt-guard-2-86m granite3-guardian:8b shieldgemma:9b Qwen/Qwen3Guard-Gen-8B
jina-reranker-v2-base-multilingual BAAI/bge-reranker-v2-m3 rerank-v3.5 nemotron-4-340b-reward
kling-v2.1-master kwaivgi/kling1.6-pro fal-ai/text-to-video hunyuan/text-to-image canopylabs/orpheus-v1-english
canopylabs/orpheus-arabic-saudi isaiahbjork/orpheus-3b-0.1-ft
babbage-002 davinci-002 gpt-3.5-turbo-instruct computer-use-preview o3-deep-research aqa nova-canvas
"""
EMBEDDING_NAMES = """
all-minilm all-minilm:22m text-embedding-3-small nomic-embed-text bge-m3 voyage-3-large gte-qwen2 all-mpnet-base-v2
paraphrase-multilingual mistral-embed
"""
CHAT_NAMES = f"""
{VISION_NAMES} {BLIND_NAMES} {REASONING_NAMES} {" ".join(PLAIN_NAMES.split()).replace("qwen3-embedding", "")}
gpt-oss-safeguard-20b chatgpt-4o-latest sonar-deep-research command-a-03-2025 vanguard-7b reflection-70b flash-lite
gemini-2.5-flash-image-preview wizardlm2 starcoder2-instruct nova-lite-v1 wanderer-2 influx-7b deepcoder mixtral-8x7b
llama-3-text-to-sql-8b Darkling-7B sparkling-13b Orpheus-Writer-8B
"""


@pytest.mark.parametrize("name", OTHER_NAMES.split())
def test_models_for_other_purposes_are_recognised(name: str) -> None:
    model = parse_model(name)
    assert (model.has_other_purpose, model.can_chat, model.is_embedding_model) == (True, False, False)


@pytest.mark.parametrize("name", EMBEDDING_NAMES.split())
def test_embedding_models_are_recognised(name: str) -> None:
    model = parse_model(name)
    assert (model.is_embedding_model, model.can_chat) == (True, False)


@pytest.mark.parametrize("name", [*CHAT_NAMES.split(), *sorted(BUILTIN_MODELS.keys() - {DEFAULT_EMBEDDING_MODEL})])
def test_models_with_ordinary_names_can_chat(name: str) -> None:
    assert parse_model(name).can_chat


@pytest.mark.parametrize(
    ("fields", "can_chat"),
    [
        ({"type": "image"}, False),
        ({"type": "moderation"}, False),
        ({"type": "rerank"}, False),
        ({"type": "embeddings"}, False),
        ({"mode": "image_generation"}, False),
        ({"mode": "audio_transcription"}, False),
        ({"task": {"name": "Text-to-Image"}}, False),
        ({"task": {"name": "Automatic Speech Recognition"}}, False),
        ({"output_modalities": ["image"]}, False),
        ({"architecture": {"output_modalities": ["audio"]}}, False),
        ({"capabilities": {"completion_chat": False}}, False),
        ({"type": "chat"}, True),
        ({"type": "llm"}, True),
        ({"type": "model"}, True),
        ({"mode": "chat"}, True),
        ({"task": {"name": "Text Generation"}}, True),
        ({"pipeline_tag": "image-text-to-text"}, True),
        ({"pipeline_tag": "video-text-to-text"}, True),
        ({"pipeline_tag": "image-text-to-video"}, False),
        ({"type": "chat", "output_modalities": ["image"]}, False),
        ({"output_modalities": ["text", "image"]}, True),
        ({"capabilities": {"completion_chat": True}}, True),
        ({"type": 5, "task": None, "capabilities": "much", "output_modalities": "text"}, True),
    ],
)
def test_purpose_is_read_from_listing(fields: dict[str, Any], *, can_chat: bool) -> None:
    assert parse_model(**fields).can_chat is can_chat


@pytest.mark.parametrize(
    ("model_id", "fields", "can_chat"),
    [
        ("the-guard-llama", {"capabilities": {"completion_chat": True}}, True),
        ("realtime-chat-8b", {"type": "chat", "output_modalities": ["text"]}, True),
        ("x/pixel-ocr-chat", {"type": "chat", "output_modalities": ["text"]}, True),
        ("x/pixel-ocr-chat", {"mode": "chat"}, True),
        ("whisper-chat", {"task": "chat-completion"}, True),
        ("x/bge-chat", {"type": "chat"}, True),
        ("llama-guard-4-12b", {"mode": "chat"}, False),
        ("bge-reranker", {"type": "chat"}, False),
        ("omni-moderation-latest", {"type": "chat", "output_modalities": ["text"]}, False),
        ("Qwen2.5-VL", {"pipeline_tag": "video-text-to-text"}, True),
        ("meta-llama/llama-guard-4-12b", {"output_modalities": ["text"]}, False),
        ("meta-llama/llama-guard-4-12b", {"pipeline_tag": "text-generation"}, False),
        ("mistral-moderation-latest", {"type": "chat", "capabilities": {"completion_chat": False}}, False),
    ],
)
def test_listing_of_purposes_overrides_name(model_id: str, fields: dict[str, Any], *, can_chat: bool) -> None:
    assert parse_model(model_id, **fields).can_chat is can_chat


@pytest.mark.parametrize(
    ("model_id", "fields", "has_reasoning"),
    [
        ("qwen/qwen3-235b-a22b", {"supported_parameters": ["temperature", "tools"]}, False),
        ("qwen/qwen3-235b-a22b", {"supported_parameters": ["temperature", "reasoning"]}, True),
        ("qwen/qwen3-235b-a22b", {"supported_parameters": []}, True),
        ("qwen/qwen3-235b-a22b", {"supported_parameters": ["temperature", "enable_thinking"]}, True),
        ("qwen/qwen3-235b-a22b", {"supported_parameters": ["thinking_budget"]}, True),
        ("qwen/qwen3-235b-a22b", {"supported_parameters": ["reasoning.effort"]}, True),
        ("z-ai/glm-4.5", {"supports_reasoning": False}, False),
        ("z-ai/glm-4.5", {"capabilities": {"reasoning": False}}, False),
        ("deepseek/deepseek-r1", {"supports_reasoning": False, "supported_parameters": ["temperature"]}, True),
        ("claude-3-7-sonnet-nothinking", {"supports_reasoning": True}, True),
    ],
)
def test_listing_of_reasoning_overrides_family(model_id: str, fields: dict[str, Any], *, has_reasoning: bool) -> None:
    assert parse_model(model_id, **fields).has_reasoning is has_reasoning


def test_listing_of_outputs_overrides_name() -> None:
    assert parse_model("lab/flux", output_modalities=["text"]).can_chat


@pytest.mark.parametrize(
    "fields",
    [
        {"supports_reasoning": True},
        {"supported_parameters": ["temperature", "reasoning", "include_reasoning"]},
        {"supported_features": ["tools", "reasoning"]},
        {"capabilities": {"reasoning": True}},
        {"capabilities": ["completion", "thinking"]},
    ],
)
def test_reasoning_is_read_from_listing(fields: dict[str, Any]) -> None:
    assert parse_model(**fields).has_reasoning


@pytest.mark.parametrize(
    "fields",
    [{"supported_parameters": ["temperature"]}, {"capabilities": {"reasoning": False}}, {"supported_parameters": [5]}],
)
def test_missing_reasoning_is_read_from_listing(fields: dict[str, Any]) -> None:
    assert not parse_model(**fields).has_reasoning


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
        {"capabilities": {"vision": True, "completion_chat": True}},  # Mistral
        {"capabilities": ["completion", "multimodal"]},  # llama.cpp
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
        {"capabilities": {"vision": False}},
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
        *((name, True) for name in VISION_NAMES.split()),
        *((name, False) for name in BLIND_NAMES.split()),
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
        *((name, True) for name in REASONING_NAMES.split()),
        *((name, False) for name in PLAIN_NAMES.split()),
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
