"""Error answers to a request that is longer than the model's context window.

The wording of IO Intelligence is not recorded; it runs vLLM, so the default is `VLLM` inside
`detail`. The other wordings were seen from other engines and gateways.
"""

from dataclasses import dataclass
from typing import Any

from bots.sandbox.model.errors import TOO_LARGE_PAGE

__all__ = ["OVERFLOW_RESPONSES", "VLLM", "OverflowResponse"]


@dataclass(frozen=True, slots=True)
class OverflowResponse:
    message_template: str = ""
    """With {limit}, {prompt}, {requested} and {total}, in tokens."""
    error_type: str = ""
    """The type inside OpenAI's `{"error": ...}`; "" for `{"detail": message}`."""
    code: str | int | None = None
    status: int = 400
    is_html: bool = False
    truncates_silently: bool = False
    """No error: the prompt is cut to the window, and the answer ends at once."""

    def body(self, limit: int, prompt_tokens: int, requested_tokens: int) -> Any:
        message = self.message_template.format(
            limit=limit,
            prompt=prompt_tokens,
            requested=requested_tokens,
            total=prompt_tokens + requested_tokens,
        )
        if self.is_html:
            return message
        if not self.error_type:
            return {"detail": message}
        error = {"message": message, "type": self.error_type, "param": None, "code": self.code}
        return {"error": error}


VLLM = OverflowResponse(
    "This model's maximum context length is {limit} tokens. However, you requested {requested} output "
    "tokens and your prompt contains at least {prompt} input tokens, for a total of at least "
    "{total} tokens. Please reduce the length of the input prompt or the number of requested "
    "output tokens. (parameter=input_tokens, value={prompt})"
)

OVERFLOW_RESPONSES: dict[str, OverflowResponse] = {
    "vllm": VLLM,
    "vllm as error": OverflowResponse(VLLM.message_template, "BadRequestError", 400),
    "vllm old": OverflowResponse(
        "This model's maximum context length is {limit} tokens. However, you requested {total} "
        "tokens ({prompt} in the messages, {requested} in the completion). Please reduce the length "
        "of the messages or completion."
    ),
    "vllm new": OverflowResponse(
        "You passed {prompt} input tokens and requested {requested} output tokens. However, the "
        "model's context length is only {limit} tokens, resulting in a maximum input length of "
        "{limit} tokens. Please reduce the length of the input prompt."
    ),
    "vllm prompt": OverflowResponse(
        "The prompt is {prompt} tokens, which exceeds the model's maximum context length of "
        "{limit} tokens. Please reduce the length of the input prompt."
    ),
    "vllm engine": OverflowResponse(
        "The decoder prompt (length {prompt}) is longer than the maximum model length of {limit}."
    ),
    "openai": OverflowResponse(
        "This model's maximum context length is {limit} tokens. However, your messages resulted "
        "in {prompt} tokens. Please reduce the length of the messages.",
        "invalid_request_error",
        "context_length_exceeded",
    ),
    "openai without figures": OverflowResponse(
        "Your input exceeds the context window of this model",
        "invalid_request_error",
        "context_length_exceeded",
    ),
    "llama.cpp": OverflowResponse(
        "request ({prompt} tokens) exceeds the available context size ({limit} tokens), try increasing it",
        "exceed_context_size_error",
        400,
    ),
    "sglang": OverflowResponse(
        "The input ({prompt} tokens) is longer than the model's context length ({limit} tokens)."
    ),
    "litellm": OverflowResponse(
        "Requested token count exceeds the model's maximum context length of {limit} tokens",
        "ContextWindowExceededError",
    ),
    "input length": OverflowResponse("Input length ({prompt}) exceeds model's maximum context length ({limit})."),
    "groq": OverflowResponse("Please reduce the length of the messages or completion", "invalid_request_error"),
    "mistral": OverflowResponse(
        "Prompt contains {prompt} tokens and 0 draft tokens, too large for model with {limit} maximum context length"
    ),
    "minimax": OverflowResponse("invalid params, context window exceeds limit", "bad_request_error"),
    "kimi": OverflowResponse(
        "Invalid request: Your request exceeded model token limit: {limit} (requested: {prompt})",
        "invalid_request_error",
    ),
    "xai": OverflowResponse("This model's maximum prompt length is {limit} but the request contains {prompt} tokens."),
    "gemini": OverflowResponse(
        "The input token count ({prompt}) exceeds the maximum number of tokens allowed ({limit}).",
        "INVALID_ARGUMENT",
        400,
    ),
    "openrouter": OverflowResponse(
        "This endpoint's maximum context length is {limit} tokens. However, you requested about "
        "{prompt} tokens ({prompt} of text input). Please reduce the length of either one.",
        "invalid_request_error",
        400,
    ),
    "request too large": OverflowResponse("Request exceeds the maximum size", "request_too_large", status=413),
    "page": OverflowResponse(TOO_LARGE_PAGE, status=413, is_html=True),
    "silent": OverflowResponse(truncates_silently=True),
}
