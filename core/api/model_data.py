"""The vendor's published table: what `GET /models` leaves out. k = 1,000 tokens."""

__all__ = ["BUILTIN_MODELS", "DEFAULT_EMBEDDING_MODEL", "SIZES_IN_BILLIONS"]

DEFAULT_EMBEDDING_MODEL = "mixedbread-ai/mxbai-embed-large-v1"

# (model, context in tokens, whether it reasons)
BUILTIN_MODELS: tuple[tuple[str, int, bool], ...] = (
    ("deepseek-ai/DeepSeek-R1", 128_000, True),
    ("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", 128_000, True),
    ("meta-llama/Llama-3.3-70B-Instruct", 128_000, False),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", 128_000, True),
    ("Qwen/QwQ-32B-Preview", 32_000, True),
    ("databricks/dbrx-instruct", 32_000, False),
    ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", 128_000, True),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-14B", 128_000, True),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", 128_000, True),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", 128_000, True),
    ("microsoft/phi-4", 16_000, False),
    ("mistralai/Mistral-Large-Instruct-2411", 128_000, False),
    ("neuralmagic/Llama-3.1-Nemotron-70B-Instruct-HF-FP8-dynamic", 128_000, False),
    ("google/gemma-2-9b-it", 8_000, False),
    ("nvidia/AceMath-7B-Instruct", 4_000, False),
    ("CohereForAI/aya-expanse-32b", 8_000, False),
    ("Qwen/Qwen2.5-Coder-32B-Instruct", 32_000, False),
    ("THUDM/glm-4-9b-chat", 128_000, False),
    ("CohereForAI/c4ai-command-r-plus-08-2024", 128_000, False),
    ("tiiuae/Falcon3-10B-Instruct", 32_000, False),
    ("NovaSky-AI/Sky-T1-32B-Preview", 32_000, True),
    ("bespokelabs/Bespoke-Stratos-32B", 32_000, True),
    ("netease-youdao/Confucius-o1-14B", 32_000, True),
    ("Qwen/Qwen2.5-1.5B-Instruct", 32_000, False),
    ("mistralai/Ministral-8B-Instruct-2410", 32_000, False),
    ("openbmb/MiniCPM3-4B", 32_000, False),
    ("jinaai/ReaderLM-v2", 512_000, False),
    ("ibm-granite/granite-3.1-8b-instruct", 128_000, False),
    ("microsoft/Phi-3.5-mini-instruct", 128_000, False),
    ("ozone-ai/0x-lite", 32_000, False),
    (DEFAULT_EMBEDDING_MODEL, 512, False),
)

SIZES_IN_BILLIONS = {
    "deepseek-ai/DeepSeek-R1": 671.0,
    "databricks/dbrx-instruct": 132.0,
    "microsoft/phi-4": 14.0,
    "mistralai/Mistral-Large-Instruct-2411": 123.0,
    "CohereForAI/c4ai-command-r-plus-08-2024": 104.0,
    "jinaai/ReaderLM-v2": 1.5,
    "microsoft/Phi-3.5-mini-instruct": 3.8,
}
"""Billions of parameters, where a name does not tell."""
