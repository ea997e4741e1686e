"""IO Intelligence's published table of models.

It supplies values that `GET /models` omits, and replaces the list until the service answers.
"""

from collections.abc import Mapping

from core.api.catalogue import Model

__all__ = ["BUILTIN_MODELS", "DEFAULT_EMBEDDING_MODEL"]

DEFAULT_EMBEDDING_MODEL = "mixedbread-ai/mxbai-embed-large-v1"
DAILY_QUOTA_TOKENS = 500_000


def _model(
    model_id: str,
    context_window: int,
    *,
    has_reasoning: bool = False,
    is_embedding_model: bool = False,
    billion_parameters: float | None = None,
) -> Model:
    return Model(
        model_id,
        context_window,
        has_reasoning,
        is_embedding_model=is_embedding_model,
        daily_quota=DAILY_QUOTA_TOKENS,
        billion_parameters=billion_parameters,
    )


BUILTIN_MODELS: Mapping[str, Model] = {
    model.id: model
    for model in (
        _model("deepseek-ai/DeepSeek-R1", 128_000, has_reasoning=True, billion_parameters=671),
        _model("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", 128_000, has_reasoning=True),
        _model("meta-llama/Llama-3.3-70B-Instruct", 128_000),
        _model("deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", 128_000, has_reasoning=True),
        _model("Qwen/QwQ-32B-Preview", 32_000, has_reasoning=True),
        _model("databricks/dbrx-instruct", 32_000, billion_parameters=132),
        _model("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", 128_000, has_reasoning=True),
        _model("deepseek-ai/DeepSeek-R1-Distill-Qwen-14B", 128_000, has_reasoning=True),
        _model("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", 128_000, has_reasoning=True),
        _model("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", 128_000, has_reasoning=True),
        _model("microsoft/phi-4", 16_000, billion_parameters=14),
        _model("mistralai/Mistral-Large-Instruct-2411", 128_000, billion_parameters=123),
        _model("neuralmagic/Llama-3.1-Nemotron-70B-Instruct-HF-FP8-dynamic", 128_000),
        _model("google/gemma-2-9b-it", 8_000),
        _model("nvidia/AceMath-7B-Instruct", 4_000),
        _model("CohereForAI/aya-expanse-32b", 8_000),
        _model("Qwen/Qwen2.5-Coder-32B-Instruct", 32_000),
        _model("THUDM/glm-4-9b-chat", 128_000),
        _model("CohereForAI/c4ai-command-r-plus-08-2024", 128_000, billion_parameters=104),
        _model("tiiuae/Falcon3-10B-Instruct", 32_000),
        _model("NovaSky-AI/Sky-T1-32B-Preview", 32_000, has_reasoning=True),
        _model("bespokelabs/Bespoke-Stratos-32B", 32_000, has_reasoning=True),
        _model("netease-youdao/Confucius-o1-14B", 32_000, has_reasoning=True),
        _model("Qwen/Qwen2.5-1.5B-Instruct", 32_000),
        _model("mistralai/Ministral-8B-Instruct-2410", 32_000),
        _model("openbmb/MiniCPM3-4B", 32_000),
        _model("jinaai/ReaderLM-v2", 512_000, billion_parameters=1.5),
        _model("ibm-granite/granite-3.1-8b-instruct", 128_000),
        _model("microsoft/Phi-3.5-mini-instruct", 128_000, billion_parameters=3.8),
        _model("ozone-ai/0x-lite", 32_000),
        _model(DEFAULT_EMBEDDING_MODEL, 512, is_embedding_model=True),
    )
}
