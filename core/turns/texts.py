"""What people are told when something is not as they wished."""

from core.conversation.ledger import format_duration
from core.errors import ModelError, ModelFailure

__all__ = [
    "allowance_used_up",
    "answer_limit_low",
    "messages_dropped",
    "model_failure",
    "model_retired",
    "model_substituted",
    "prompt_too_long",
]

FAILURE_TEXTS: dict[ModelFailure, str] = {
    ModelFailure.AUTHENTICATION: "The model service does not accept this bot's key. Its operator has to mend that.",
    ModelFailure.PAYMENT: "This model needs a higher plan than this bot has. /model picks another.",
    ModelFailure.RATE_LIMITED: "The model is asked too often just now.",
    ModelFailure.QUOTA: "Today's quota of this model is used up. /model picks another.",
    ModelFailure.UNKNOWN_MODEL: "This model is not available any more. /model picks another.",
    ModelFailure.OVERFLOW: "This conversation is too long for the model. /new begins a new one, "
    "/model picks one with a larger window.",
    ModelFailure.REFUSED: "The model service did not take this request.",
    ModelFailure.FILTERED: "The answer was withheld by a content filter.",
    ModelFailure.UNAVAILABLE: "The model service cannot be reached just now.",
    ModelFailure.STALLED: "The model did not go on.",
    ModelFailure.TRUNCATED: "The answer broke off.",
    ModelFailure.MALFORMED: "The model service sent something that cannot be understood.",
    ModelFailure.EMPTY: "The model gave no answer.",
}

PERSONAL_KEY_FAILURE_TEXTS: dict[ModelFailure, str] = {
    ModelFailure.AUTHENTICATION: "The model service does not accept your key any more. "
    "`/key` tells how to change it or take it back.",
    ModelFailure.PAYMENT: "This model needs a higher plan than your key has. /model picks another.",
    ModelFailure.QUOTA: "Today's quota of your key for this model is used up. /model picks another.",
}

STOPPED = "Stopped."
HISTORY_TRIMMED = "Older messages no longer fit this model's window; a summary stands for them. /context shows."
MAX_LENGTH_REACHED = "The answer reached its maximum length."
CONTINUE_PROMPT = "Go on exactly where your last answer broke off, without repeating anything."
QUESTION_OUTDATED = "I was away when this came, and it is a while ago. /retry answers it now."
NOT_YOUR_ANSWER = "That is somebody else's answer."
DELIVERY_UNCERTAIN = "The connection broke while I sent this: some of it may not be there."
PREVIEW_ORPHANED = "I was restarted while I wrote this. What came of your question stands below."
ANSWER_NOT_STORED = "That answer is not kept any more. Please ask again."
TOO_FAST = "You are writing faster than I may answer. Please wait a minute."
INTERNAL_ERROR = "Something went wrong on my side."
QUEUE_FULL = "Several of your messages still wait here. This one was not taken; please send it again."


SUBSTITUTION_REASONS: dict[ModelFailure, str] = {
    ModelFailure.QUOTA: "is out of today's quota",
    ModelFailure.RATE_LIMITED: "is asked too often just now",
    ModelFailure.PAYMENT: "needs a higher plan",
    ModelFailure.UNKNOWN_MODEL: "is not available any more",
    ModelFailure.STALLED: "did not answer in time",
    ModelFailure.EMPTY: "gave no answer",
    ModelFailure.OVERFLOW: "has too small a window for this",
}


def model_substituted(error: ModelError, chosen: str, model: str) -> str:
    """One line: why another model answered."""
    reason = SUBSTITUTION_REASONS.get(error.failure, "does not work just now")
    available_again = f" (back in {format_duration(error.retry_after)})" if error.retry_after else ""
    return f"{chosen} {reason}{available_again}: answered by {model}."


def prompt_too_long(model: str, needed: int, available: int) -> str:
    return (
        f"Your message is about {needed:,} tokens long; {model} has room for {available:,}. "
        "/model picks one with a larger window."
    )


def answer_limit_low(max_tokens: int) -> str:
    """Under no answer: what a model thinks counts, and may leave nothing to answer with."""
    return f"Answers have {max_tokens:,} tokens here, thinking included: /settings length changes it."


def model_retired(old: str, new: str) -> str:
    return f"{old} is not offered any more: {new} answers here from now on."


def messages_dropped(messages: int) -> str:
    subject = "a message that waited was" if messages == 1 else f"{messages} waiting messages were"
    return f"Stopped; {subject} dropped."


def allowance_used_up(whose: str, what: str, seconds: float) -> str:
    return f"{whose} {what} of today are used up. They begin anew in {format_duration(seconds)}."


def model_failure(error: ModelError, turn: int, *, is_personal_key: bool = False) -> str:
    """For a person, with the number the operator finds in the log. `own`: asked with their key."""
    text = (
        PERSONAL_KEY_FAILURE_TEXTS.get(error.failure, FAILURE_TEXTS[error.failure])
        if is_personal_key
        else FAILURE_TEXTS[error.failure]
    )
    wait = f"about {format_duration(error.retry_after)}" if error.retry_after else ""
    if error.failure is ModelFailure.RATE_LIMITED:
        text += f" Please try again in {wait or 'a moment'}."
    elif error.failure is ModelFailure.QUOTA and wait:
        text += f" It is back in {wait}."
    return f"{text} [{turn}]"
