"""Texts around answers: buttons, progress, notes under an answer, and why there is none.

Notes are plain text; what the dispatcher replies is Markdown.
"""

from collections.abc import Iterable

from core.conversation.context_window import PromptTooLongError
from core.conversation.ledger import QuotaWarning
from core.errors import ModelError, ModelFailure
from core.texts.formatting import count, format_duration

STOP_BUTTON = "Stop"
RETRY_BUTTON = "Retry"
CONTINUE_BUTTON = "Continue"
REASONING_BUTTON = "Reasoning"
SEND_AGAIN_BUTTON = "Send again"

THINKING = "Thinking…"

STOPPED = "Stopped."
PLATFORM_WAIT = "This answer comes late because I may write only so many messages here in a minute."
ALREADY_STOPPING = "I'm already stopping."
HISTORY_TRIMMED = "Older messages no longer fit this model's context window. /context shows what the model still sees."
ONLY_REASONING = "The model ended inside its reasoning, without an answer. This is what it wrote."
ANSWER_HAS_GAP = "A piece of this answer arrived damaged and is missing."
MAX_LENGTH_REACHED = "The answer reached its maximum length."
LONG_ANSWER = "The answer is long. This file has all of it."
DELIVERY_UNCERTAIN = "The connection dropped while I sent this. Parts of it may be missing."
PREVIEW_ORPHANED = "I was restarted while I wrote this. See the messages below for the answer."
INTERNAL_ERROR = "Something went wrong on my side. Try again later."

ACCESS_DENIED = "Only people approved by this bot's operator can use it."
TOO_FAST = "You're sending messages too fast."
QUEUE_FULL = "Too many of your messages are waiting. Wait for the next answer, then send this one again."
QUESTION_OUTDATED = "I was offline when you sent this. Send /retry to have it answered now."
EMPTY_MESSAGE = "That message is empty. Write a question and a model answers it."
NO_QUESTION_YET = "There is no question to retry yet."
ONLY_LAST_CONTINUES = "Only the last answer can be continued. Press Retry to ask this question again."

ANSWER_EXPIRED = "This answer is too old for its buttons: what they need was deleted. Send your question again."
NOT_YOUR_ANSWER = "This answer belongs to someone else."
ANSWER_NOT_STORED = "This answer is no longer stored. Ask again."
REASONING_NOT_STORED = "The model's reasoning for this answer is not stored, or was deleted after some days."
OUTDATED_BUTTON = "This button is from an older version and no longer works."

OPERATOR_ONLY = "Only the bot's operator can fix that."

FAILURE_TEXTS: dict[ModelFailure, str] = {
    ModelFailure.AUTHENTICATION: f"The model service rejected this bot's API key. {OPERATOR_ONLY}",
    ModelFailure.CREDIT: f"This bot's account with the model service has no credit left. {OPERATOR_ONLY}",
    ModelFailure.PAYMENT: "This model needs a higher plan than this bot has. Choose another with /model.",
    ModelFailure.REGION: f"The model service does not serve the country where this bot runs. {OPERATOR_ONLY}",
    ModelFailure.BLOCKED: f"A firewall keeps this bot from the model service. {OPERATOR_ONLY}",
    ModelFailure.WRONG_ADDRESS: f"This bot has a wrong address of its model service. {OPERATOR_ONLY}",
    ModelFailure.NO_STREAMING: "The model service does not stream this model's answers. Choose another with /model.",
    ModelFailure.RATE_LIMITED: "The model is busy.",
    ModelFailure.QUOTA: "Today's quota for this model is used up. Choose another with /model.",
    ModelFailure.ALLOWANCE: "You've reached today's limit. See /usage.",
    ModelFailure.UNKNOWN_MODEL: "This model is no longer available. Choose another with /model.",
    ModelFailure.OVERFLOW: "This conversation is too long for the model. Start a new one with /new, or choose a model "
    "with a larger context window with /model.",
    ModelFailure.REFUSED: "The model service rejected this request. Rephrase it, or choose another model with /model.",
    ModelFailure.FILTERED: "A content filter withheld the answer. Rephrase your question.",
    ModelFailure.UNREACHABLE: "The model service cannot be reached.",
    ModelFailure.SERVER_ERROR: "The model service reported an internal error.",
    ModelFailure.UNAVAILABLE: "The model service is unavailable.",
    ModelFailure.STALLED: "The model stopped responding.",
    ModelFailure.TRUNCATED: "The answer was cut off.",
    ModelFailure.MALFORMED: "The model service sent an invalid response.",
    ModelFailure.EMPTY: "The model returned no answer.",
}

FAILURE_REMEDIES: dict[ModelFailure, str] = {
    ModelFailure.RATE_LIMITED: "Try again in a moment.",
    ModelFailure.UNREACHABLE: "Try again in a few minutes.",
    ModelFailure.SERVER_ERROR: "Try again, or choose another model with /model.",
    ModelFailure.UNAVAILABLE: "Try again in a few minutes.",
    ModelFailure.STALLED: "Try again, or choose another with /model.",
    ModelFailure.MALFORMED: "Try again.",
    ModelFailure.EMPTY: "Try again, or choose another with /model.",
}
"""What to do if the service does not say how long to wait."""

LASTING_FAILURES = frozenset(
    {
        ModelFailure.AUTHENTICATION,
        ModelFailure.CREDIT,
        ModelFailure.PAYMENT,
        ModelFailure.REGION,
        ModelFailure.BLOCKED,
        ModelFailure.WRONG_ADDRESS,
        ModelFailure.NO_STREAMING,
        ModelFailure.UNKNOWN_MODEL,
        ModelFailure.OVERFLOW,
        ModelFailure.REFUSED,
        ModelFailure.FILTERED,
    }
)
"""Waiting does not help, even if the service says how long to wait."""

PERSONAL_KEY_FAILURE_TEXTS: dict[ModelFailure, str] = {
    ModelFailure.AUTHENTICATION: "The model service rejected your API key. Change or remove it with /key.",
    ModelFailure.CREDIT: "The account of your API key has no credit left. Change or remove the key with /key.",
    ModelFailure.PAYMENT: "This model needs a higher plan than your API key has. Choose another with /model.",
    ModelFailure.QUOTA: "Today's quota of your API key for this model is used up. Choose another with /model.",
}

SUBSTITUTION_REASONS: dict[ModelFailure, str] = {
    ModelFailure.QUOTA: "has no quota left today",
    ModelFailure.RATE_LIMITED: "is busy",
    ModelFailure.CREDIT: "needs more credit than is left",
    ModelFailure.PAYMENT: "needs a higher plan",
    ModelFailure.NO_STREAMING: "does not stream its answers",
    ModelFailure.UNKNOWN_MODEL: "is no longer available",
    ModelFailure.SERVER_ERROR: "reported an internal error",
    ModelFailure.STALLED: "stopped responding",
    ModelFailure.EMPTY: "returned no answer",
    ModelFailure.OVERFLOW: "has too small a context window for this",
}


def too_fast(seconds: float) -> str:
    return f"{TOO_FAST} Try again in {format_duration(seconds)}."


def thinking_progress(seconds: int, tokens: int) -> str:
    """`tokens`: 0 for a model that reasons silently."""
    return f"{THINKING} {seconds} s · {tokens:,} tokens" if tokens else f"{THINKING} {seconds} s"


def answer_continues(chars: int) -> str:
    """In place of the messages of an answer that takes too many; in whole thousands, so that it changes rarely."""
    return f"The answer goes on: {chars // 1000 * 1000:,} characters so far."


def reading_progress(name: str, percent: int) -> str:
    return f"Reading {name}: {percent} %"


def model_failed(error: ModelError, turn_id: int, *, is_personal_key: bool = False) -> str:
    """Why there is no answer, with the number by which the operator finds the turn in the log."""
    text = FAILURE_TEXTS[error.failure]
    if is_personal_key:
        text = PERSONAL_KEY_FAILURE_TEXTS.get(error.failure, text)
    return f"{text} {_what_to_do(error)}".strip() + f" [{turn_id}]"


def _what_to_do(error: ModelError) -> str:
    if error.retry_after is None or error.failure in LASTING_FAILURES:
        return FAILURE_REMEDIES.get(error.failure, "")
    wait = format_duration(error.retry_after)
    if error.failure is ModelFailure.QUOTA:
        return f"It resets in about {wait}."
    is_named = error.failure is ModelFailure.RATE_LIMITED
    return f"Try again in about {wait}." if is_named else f"The model is busy: try again in about {wait}."


def model_substituted(error: ModelError, chosen: str, answering: str) -> str:
    reason = SUBSTITUTION_REASONS.get(error.failure, "is unavailable")
    seconds = None if error.failure in LASTING_FAILURES else error.retry_after
    back = f" (back in {format_duration(seconds)})" if seconds else ""
    return f"{chosen} {reason}{back}. Answered by {answering}."


def model_retired(old: str, new: str) -> str:
    return f"{old} is no longer available. {new} answers here from now on."


def prompt_too_long_for_model(model: str, error: PromptTooLongError) -> str:
    return (
        f"Your message is about {error.needed:,} tokens long; {model} has room for {error.available:,}. Shorten it, or "
        "choose a model with a larger context window with /model."
    )


def answer_limit_low(max_tokens: int) -> str:
    """For a model that spends the whole limit on reasoning."""
    return f"Answers are limited to {max_tokens:,} tokens here, reasoning included. Change it with /settings length."


def settings_ignored(model: str, settings: Iterable[str]) -> str:
    """`settings` as in "temperature 0.3"."""
    return f"{model} does not accept {' and '.join(settings)}, so its default applies. See /settings."


def prompt_too_long(max_chars: int) -> str:
    return f"A message can have at most {max_chars:,} characters."


def unreadable_attachments(kinds: Iterable[str]) -> str:
    return f"I can't read this yet: {', '.join(kinds)}. Send text, a PDF or a text file."


def file_limit_reached(max_files: int) -> str:
    return f"I read at most {max_files} files per message."


def messages_dropped(number: int) -> str:
    return f"{STOPPED} {count(number, 'waiting message')} dropped."


def allowance_used_up(limit: str, seconds: float, *, is_chat: bool) -> str:
    """`limit` as in "100 questions"."""
    subject = "This chat has" if is_chat else "You've"
    return f"{subject} reached today's limit of {limit}. It resets in {format_duration(seconds)}."


def quota_warning(warning: QuotaWarning) -> str:
    """For the operator."""
    resets_in = format_duration(warning.seconds_until_reset)
    return f"{warning.model}: {round(warning.used_fraction * 100)} % of today's quota used. It resets in {resets_in}."
