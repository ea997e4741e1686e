"""IO Intelligence's published table of models.

It supplies values that `GET /models` omits, and replaces the list until the service answers.
"""

from collections.abc import Mapping
from dataclasses import replace

from core.api.catalogue import Model

DEFAULT_EMBEDDING_MODEL = "mixedbread-ai/mxbai-embed-large-v1"
DAILY_QUOTA_TOKENS = 500_000


BUILTIN_MODELS: Mapping[str, Model] = {
    model.id: replace(model, daily_quota=DAILY_QUOTA_TOKENS)
    for model in (
        Model("deepseek-ai/DeepSeek-R1", 128_000, has_reasoning=True, billion_parameters=671),
        Model("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", 128_000, has_reasoning=True),
        Model("meta-llama/Llama-3.3-70B-Instruct", 128_000),
        Model("deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", 128_000, has_reasoning=True),
        Model("Qwen/QwQ-32B-Preview", 32_000, has_reasoning=True),
        Model("databricks/dbrx-instruct", 32_000, billion_parameters=132),
        Model("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", 128_000, has_reasoning=True),
        Model("deepseek-ai/DeepSeek-R1-Distill-Qwen-14B", 128_000, has_reasoning=True),
        Model("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", 128_000, has_reasoning=True),
        Model("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", 128_000, has_reasoning=True),
        Model("microsoft/phi-4", 16_000, billion_parameters=14),
        Model("mistralai/Mistral-Large-Instruct-2411", 128_000, billion_parameters=123),
        Model("neuralmagic/Llama-3.1-Nemotron-70B-Instruct-HF-FP8-dynamic", 128_000),
        Model("google/gemma-2-9b-it", 8_000),
        Model("nvidia/AceMath-7B-Instruct", 4_000),
        Model("CohereForAI/aya-expanse-32b", 8_000),
        Model("Qwen/Qwen2.5-Coder-32B-Instruct", 32_000),
        Model("THUDM/glm-4-9b-chat", 128_000),
        Model("CohereForAI/c4ai-command-r-plus-08-2024", 128_000, billion_parameters=104),
        Model("tiiuae/Falcon3-10B-Instruct", 32_000),
        Model("NovaSky-AI/Sky-T1-32B-Preview", 32_000, has_reasoning=True),
        Model("bespokelabs/Bespoke-Stratos-32B", 32_000, has_reasoning=True),
        Model("netease-youdao/Confucius-o1-14B", 32_000, has_reasoning=True),
        Model("Qwen/Qwen2.5-1.5B-Instruct", 32_000),
        Model("mistralai/Ministral-8B-Instruct-2410", 32_000),
        Model("openbmb/MiniCPM3-4B", 32_000),
        Model("jinaai/ReaderLM-v2", 512_000, billion_parameters=1.5),
        Model("ibm-granite/granite-3.1-8b-instruct", 128_000),
        Model("microsoft/Phi-3.5-mini-instruct", 128_000, billion_parameters=3.8),
        Model("ozone-ai/0x-lite", 32_000),
        Model(DEFAULT_EMBEDDING_MODEL, 512, is_embedding_model=True),
    )
}

MODELS_WITHOUT_QUOTAS: Mapping[str, Model] = {
    model_id: replace(model, daily_quota=None) for model_id, model in BUILTIN_MODELS.items()
}
"""For services that offer some of these models without IO Intelligence's quotas."""
