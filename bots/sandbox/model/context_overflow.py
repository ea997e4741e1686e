"""Error answers to a request that is longer than the model's context window.

The wording of IO Intelligence is not recorded; it runs vLLM, so the default is "vllm" inside
`detail`. The other wordings were seen from other engines and gateways; they are in `context_overflow.json`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class OverflowResponse:
    message_template: str = ""
    """With {limit}, {prompt}, {requested} and {total}, in tokens."""
    error_type: str = ""
    """The type inside OpenAI's `{"error": ...}`; "" for `{"detail": message}` or a page."""
    code: str | int | None = None
    status: int = 400
    truncates_silently: bool = False
    """No error: the prompt is cut to the window, and the answer ends at once."""

    def body(self, limit: int, prompt_tokens: int, requested_tokens: int) -> Any:
        message = self.message_template.format(
            limit=limit, prompt=prompt_tokens, requested=requested_tokens, total=prompt_tokens + requested_tokens
        )
        if not self.error_type:
            return message
        error = {"message": message, "type": self.error_type, "param": None, "code": self.code}
        return {"error": error}


OVERFLOW_RESPONSES = msgspec.json.decode(
    Path(__file__).with_suffix(".json").read_bytes(), type=dict[str, OverflowResponse]
)
