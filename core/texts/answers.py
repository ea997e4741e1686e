"""Texts around answers: buttons, progress, notes under an answer, and why there is none.

Notes are plain text; what the dispatcher replies is Markdown.
"""

from collections.abc import Iterable

from core.conversation.context_window import PromptTooLongError
from core.conversation.ledger import Allowance, QuotaWarning
from core.errors import ModelError, ModelFailure
from core.i18n.translation import gettext, gettext_noop, ngettext
from core.texts.formatting import format_duration, format_number, format_seconds, isolate, join_all, join_sentences

STOP_BUTTON = gettext_noop("Stop")
COPY_CODE_BUTTON = gettext_noop("Copy code")
RETRY_BUTTON = gettext_noop("Retry")
CONTINUE_BUTTON = gettext_noop("Continue")
REASONING_BUTTON = gettext_noop("Reasoning")
FILE_BUTTON = gettext_noop("As file")
FILES_BUTTON = gettext_noop("As files")
FILES_SENT = gettext_noop("From the answer above.")
SEND_AGAIN_BUTTON = gettext_noop("Send again")
EDIT_QUESTION_BUTTON = gettext_noop("Edit question")
MODEL_BUTTON = gettext_noop("Model")
OTHER_MODEL_BUTTON = gettext_noop("Other model")
BACK_BUTTON = gettext_noop("Back")

THINKING = gettext_noop("Thinking…")

STOPPED = gettext_noop("Stopped.")
PLATFORM_WAIT = gettext_noop(
    "This answer is late because I can send only a limited number of messages per minute here."
)
ALREADY_STOPPING = gettext_noop("I'm already stopping.")
HISTORY_TRIMMED = gettext_noop(
    "Older messages no longer fit this model's context window. /context shows what the model still sees."
)
ONLY_REASONING = gettext_noop("The model stopped while it was reasoning, without an answer. This is what it wrote.")
ANSWER_HAS_GAP = gettext_noop("Part of this answer arrived damaged and is missing.")
MAX_LENGTH_REACHED = gettext_noop("The answer reached its maximum length.")
LONG_ANSWER = gettext_noop("The answer is long. This file has all of it.")
LONG_ANSWER_ABOVE = gettext_noop("The answer is long. The file under its first message has all of it.")
NO_MORE_MESSAGES = gettext_noop(
    "The answer ends here because I can't send any more messages in this chat. Ask me in a direct message to get all "
    "of it."
)
ANSWER_CUT = gettext_noop("The answer is too long for one message. Ask me in our private chat to get all of it.")
GUEST_ANSWER_MOVED = gettext_noop("I couldn't complete my answer in the chat where you mentioned me. Here it is:")
DELIVERY_UNCERTAIN = gettext_noop("The connection dropped while I was sending this. Parts of it may be missing.")
PREVIEW_ORPHANED = gettext_noop("I was restarted while I was writing this. See the messages below for the answer.")
ANSWER_REFUSED = gettext_noop(
    "I wrote an answer, but it was refused here, perhaps by a filter in this chat. Press Retry for another "
    "answer, or ask in other words."
)
INTERNAL_ERROR = gettext_noop("Something went wrong on my side. Try again later.")

ACCESS_DENIED = gettext_noop("Only people approved by this bot's operator can use it.")
TOO_FAST = gettext_noop("You're sending messages too fast.")
QUEUE_FULL = gettext_noop("Too many of your messages are waiting. Wait for the next answer, then send this one again.")
QUESTION_WAITS = gettext_noop("Your question is waiting. I'll answer it after an earlier one.")
QUESTION_OUTDATED = gettext_noop("I was offline when you sent this. Send /retry to have it answered now.")
QUESTION_OUTDATED_HERE = gettext_noop("I was offline when you asked this. Press Retry to have it answered now.")
EMPTY_MESSAGE = gettext_noop("That message is empty. Write a question, and a model will answer it.")
COMMAND_IN_FOREIGN_CHAT = gettext_noop("This command doesn't work here. Send it to me in our private chat.")
NO_QUESTION_YET = gettext_noop("There is no question to retry yet.")
ONLY_LAST_CONTINUES = gettext_noop("Only the last answer can be continued. Press Retry to ask this question again.")

CONTINUES_FROM_ANSWER = gettext_noop("Your next question continues from this answer.")
NO_ANSWER_OF_CONVERSATION = gettext_noop("This message is not an answer in your current conversation here.")
CHOOSE_RETRY_MODEL = gettext_noop("Which other model should answer this question?")
NO_OTHER_MODEL = gettext_noop("There is no other model.")
ANSWER_EXPIRED = gettext_noop(
    "This answer is too old for its buttons: what they need was deleted. Send your question again."
)
NOT_YOUR_ANSWER = gettext_noop("This answer belongs to somebody else.")
NOT_YOUR_PRESS = gettext_noop(
    "Only the person who asked can use this button, and only for a while. You can ask in a message of your own."
)
QUESTION_NOT_EDITABLE = gettext_noop("I can't show this question in a form. Ask it again with /ask.")
ANSWER_NOT_STORED = gettext_noop("This answer is no longer stored. Ask again.")
REASONING_NOT_STORED = gettext_noop(
    "The model's reasoning for this answer is not stored, or was deleted after some days."
)
OUTDATED_BUTTON = gettext_noop("This button no longer works. Send the command again, or see /help.")

FAILURE_TEXTS: dict[ModelFailure, str] = {
    ModelFailure.AUTHENTICATION: gettext_noop(
        "The model service rejected this bot's API key. Only the bot's operator can fix that."
    ),
    ModelFailure.CREDIT: gettext_noop(
        "This bot's account with the model service has no credit left. Only the bot's operator can fix that."
    ),
    ModelFailure.PAYMENT: gettext_noop("This model needs a higher plan than this bot has. Choose another with /model."),
    ModelFailure.REGION: gettext_noop(
        "The model service does not serve the country where this bot runs. Only the bot's operator can fix that."
    ),
    ModelFailure.BLOCKED: gettext_noop(
        "A firewall blocks this bot's access to the model service. Only the bot's operator can fix that."
    ),
    ModelFailure.WRONG_ADDRESS: gettext_noop(
        "This bot has a wrong address for its model service. Only the bot's operator can fix that."
    ),
    ModelFailure.NO_STREAMING: gettext_noop(
        "The model service does not stream this model's answers. Choose another with /model."
    ),
    ModelFailure.RATE_LIMITED: gettext_noop("The model is busy."),
    ModelFailure.QUOTA: gettext_noop("Today's quota for this model is used up. Choose another with /model."),
    ModelFailure.ALLOWANCE: gettext_noop("You've reached today's limit. See /usage."),
    ModelFailure.UNKNOWN_MODEL: gettext_noop("This model is no longer available. Choose another with /model."),
    ModelFailure.OVERFLOW: gettext_noop(
        "This conversation is too long for the model. Start a new one with /new, or choose a model with a larger "
        "context window with /model."
    ),
    ModelFailure.REFUSED: gettext_noop(
        "The model service rejected this request. Rephrase it, or choose another model with /model."
    ),
    ModelFailure.FILTERED: gettext_noop("A content filter withheld the answer. Rephrase your question."),
    ModelFailure.UNREACHABLE: gettext_noop("The model service cannot be reached."),
    ModelFailure.SERVER_ERROR: gettext_noop("The model service reported an internal error."),
    ModelFailure.UNAVAILABLE: gettext_noop("The model service is unavailable."),
    ModelFailure.STALLED: gettext_noop("The model stopped responding."),
    ModelFailure.TRUNCATED: gettext_noop("The answer was cut off."),
    ModelFailure.MALFORMED: gettext_noop("The model service sent an invalid response."),
    ModelFailure.EMPTY: gettext_noop("The model returned no answer."),
}

FAILURE_REMEDIES: dict[ModelFailure, str] = {
    ModelFailure.RATE_LIMITED: gettext_noop("Try again in a moment."),
    ModelFailure.UNREACHABLE: gettext_noop("Try again in a few minutes."),
    ModelFailure.SERVER_ERROR: gettext_noop("Try again, or choose another model with /model."),
    ModelFailure.UNAVAILABLE: gettext_noop("Try again in a few minutes."),
    ModelFailure.STALLED: gettext_noop("Try again, or choose another with /model."),
    ModelFailure.MALFORMED: gettext_noop("Try again."),
    ModelFailure.EMPTY: gettext_noop("Try again, or choose another with /model."),
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
    ModelFailure.AUTHENTICATION: gettext_noop(
        "The model service rejected your API key. Change or remove it with /key."
    ),
    ModelFailure.CREDIT: gettext_noop("Your API key's account has no credit left. Change or remove the key with /key."),
    ModelFailure.PAYMENT: gettext_noop(
        "This model needs a higher plan than your API key has. Choose another with /model."
    ),
    ModelFailure.QUOTA: gettext_noop(
        "Your API key's quota for this model is used up for today. Choose another with /model."
    ),
}

FALLBACK_REASONS: dict[ModelFailure, str] = {
    ModelFailure.QUOTA: gettext_noop("{model} has no quota left today"),
    ModelFailure.RATE_LIMITED: gettext_noop("{model} is busy"),
    ModelFailure.CREDIT: gettext_noop("{model} needs more credit than is left"),
    ModelFailure.PAYMENT: gettext_noop("{model} needs a higher plan"),
    ModelFailure.NO_STREAMING: gettext_noop("{model} does not stream its answers"),
    ModelFailure.UNKNOWN_MODEL: gettext_noop("{model} is no longer available"),
    ModelFailure.SERVER_ERROR: gettext_noop("{model} reported an internal error"),
    ModelFailure.STALLED: gettext_noop("{model} stopped responding"),
    ModelFailure.EMPTY: gettext_noop("{model} returned no answer"),
    ModelFailure.OVERFLOW: gettext_noop("{model} has too small a context window for this"),
}
MODEL_UNAVAILABLE = gettext_noop("{model} is unavailable")


def too_fast(seconds: float) -> str:
    wait = gettext("Try again in {duration}.").format(duration=format_duration(seconds))
    return join_sentences(gettext(TOO_FAST), wait)


def thinking_progress(seconds: int, tokens: int) -> str:
    """`tokens`: 0 for a model that reasons silently."""
    progress = f"{gettext(THINKING)} {format_seconds(seconds)}"
    return f"{progress} · {count_tokens(tokens)}" if tokens else progress


def answer_continues(chars: int) -> str:
    """In place of the messages of an answer that takes too many; in whole thousands, so that it changes rarely."""
    thousands = chars // 1000 * 1000
    return ngettext(
        "The answer continues: {count} character so far.", "The answer continues: {count} characters so far.", thousands
    ).format(count=format_number(thousands))


def reading_progress(name: str, percent: int) -> str:
    return gettext("Reading {name}: {percent}%").format(name=isolate(name), percent=percent)


def model_failed(error: ModelError, turn_id: int, *, is_personal_key: bool = False) -> str:
    """Why there is no answer, with the number by which the operator finds the turn in the log."""
    text = FAILURE_TEXTS[error.failure]
    if is_personal_key:
        text = PERSONAL_KEY_FAILURE_TEXTS.get(error.failure, text)
    return join_sentences(gettext(text), _what_to_do(error)) + f" [{turn_id}]"


def _what_to_do(error: ModelError) -> str:
    if error.retry_after is None or error.failure in LASTING_FAILURES:
        remedy = FAILURE_REMEDIES.get(error.failure)
        return gettext(remedy) if remedy else ""
    wait = format_duration(error.retry_after)
    if error.failure is ModelFailure.QUOTA:
        return gettext("It resets in about {duration}.").format(duration=wait)
    if error.failure is ModelFailure.RATE_LIMITED:
        return gettext("Try again in about {duration}.").format(duration=wait)
    return gettext("The model is busy: try again in about {duration}.").format(duration=wait)


def fallback_note(error: ModelError, chosen: str, answering: str) -> str:
    reason = gettext(FALLBACK_REASONS.get(error.failure, MODEL_UNAVAILABLE)).format(model=isolate(chosen))
    if error.retry_after and error.failure not in LASTING_FAILURES:
        duration = format_duration(error.retry_after)
        reason = gettext("{reason} (back in {duration})").format(reason=reason, duration=duration)
    return gettext("{reason}. Answered by {model}.").format(reason=reason, model=isolate(answering))


def model_retired(old: str, new: str) -> str:
    return gettext("{old} is no longer available. {new} answers here from now on.").format(
        old=isolate(old), new=isolate(new)
    )


def answer_refused(turn_id: int) -> str:
    """In place of an answer that the platform rejects; its own words stand beside this number in the log."""
    return f"{gettext(ANSWER_REFUSED)} [{turn_id}]"


def prompt_too_long_for_model(model: str, error: PromptTooLongError) -> str:
    return gettext(
        "Your message is about {needed} tokens long; {model} has room for {available}. Shorten it, or choose a model "
        "with a larger context window with /model."
    ).format(needed=format_number(error.needed), model=isolate(model), available=format_number(error.available))


def answer_limit_low(max_tokens: int) -> str:
    """For a model that spends the whole limit on reasoning."""
    return gettext(
        "Answers are limited to {tokens} tokens here, reasoning included. Change it with /settings length."
    ).format(tokens=format_number(max_tokens))


def settings_ignored(model: str, settings: Iterable[str]) -> str:
    """`settings` as in "temperature 0.3"."""
    return gettext("{model} does not accept {settings}, so its default applies. See /settings.").format(
        model=isolate(model), settings=join_all(settings)
    )


def prompt_too_long(max_chars: int) -> str:
    return gettext("A message can have at most {count} characters.").format(count=format_number(max_chars))


def unreadable_attachments(kinds: Iterable[str]) -> str:
    return gettext("I can't read this yet: {kinds}. Send text, or a file with text such as a PDF.").format(
        kinds=join_all(map(gettext, kinds))
    )


def attachments_not_read(kinds: Iterable[str]) -> str:
    """Under the answer to the text that came with them."""
    return gettext("I can't read this yet: {kinds}. I answered only what you wrote.").format(
        kinds=join_all(map(gettext, kinds))
    )


def file_limit_reached(max_files: int) -> str:
    return ngettext(
        "I read at most {count} file per message.", "I read at most {count} files per message.", max_files
    ).format(count=max_files)


def messages_dropped(number: int) -> str:
    dropped = ngettext("{count} waiting message dropped.", "{count} waiting messages dropped.", number)
    return join_sentences(gettext(STOPPED), dropped.format(count=format_number(number)))


def count_tokens(number: int) -> str:
    return ngettext("{count} token", "{count} tokens", number).format(count=format_number(number))


def allowance_limit(allowance: Allowance) -> str:
    """`100 questions`."""
    if allowance.unit == "token":
        return count_tokens(allowance.limit)
    return ngettext("{count} question", "{count} questions", allowance.limit).format(
        count=format_number(allowance.limit)
    )


def allowance_used_up(limit: str, seconds: float, *, is_chat: bool) -> str:
    """`limit` as in "100 questions"."""
    text = (
        gettext("This chat has reached today's limit of {limit}. It resets in {duration}.")
        if is_chat
        else gettext("You've reached today's limit of {limit}. It resets in {duration}.")
    )
    return text.format(limit=limit, duration=format_duration(seconds))


def quota_warning(warning: QuotaWarning) -> str:
    """For the operator."""
    return gettext("{model}: {percent}% of today's quota used. It resets in {duration}.").format(
        model=isolate(warning.model),
        percent=round(warning.used_fraction * 100),
        duration=format_duration(warning.seconds_until_reset),
    )
