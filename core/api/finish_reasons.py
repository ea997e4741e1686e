"""What the reasons mean with which services end an answer. Case does not matter, nor "-" or "_".

max_tokens, MAX_TOKENS, model_length      the answer reached a limit
SAFETY, sensitive, content_filtered       the service withheld the answer or its rest
error, abort                              None: the answer broke off
"""

from core.api.events import FinishReason

REASONS = {
    FinishReason.STOP: "stop stop_sequence end_turn",
    FinishReason.LENGTH: "length max_tokens max_length max_output_tokens max_new_tokens max_completion_tokens "
    "model_length token_limit context_length context_length_exceeded model_context_window_exceeded",
    FinishReason.FILTERED: "content_filter content_filtered content_policy content_policy_violation safety sensitive "
    "refusal recitation blocklist blocked prohibited_content spii image_safety guardrail_intervened moderation",
    None: "error abort aborted cancelled canceled interrupted failed timeout network_error server_error "
    "internal_error insufficient_system_resource",
}
MEANINGS = {word: reason for reason, words in REASONS.items() for word in words.split()}


def parse_finish_reason(value: object) -> FinishReason | None:
    """None if the answer is incomplete, because the service failed."""
    word = str(value).lower().replace("-", "_").removeprefix("finish_reason_")
    return MEANINGS.get(word, FinishReason.OTHER)
