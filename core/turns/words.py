"""What people are told when something is not as they wished."""

from core.conversation.ledger import span
from core.errors import Failure, ModelError

__all__ = ["dropped", "failure", "gone", "instead", "short", "too_long", "used_up"]

SAID: dict[Failure, str] = {
    Failure.AUTHENTICATION: "The model service does not accept this bot's key. "
    "Its operator has to mend that.",
    Failure.PAYMENT: "This model needs a higher plan than this bot has. /model picks another.",
    Failure.RATE: "The model is asked too often just now.",
    Failure.QUOTA: "Today's quota of this model is used up. /model picks another.",
    Failure.UNKNOWN_MODEL: "This model is not available any more. /model picks another.",
    Failure.OVERFLOW: "This conversation is too long for the model. /new begins a new one, "
    "/model picks one with a larger window.",
    Failure.REFUSED: "The model service did not take this request.",
    Failure.FILTERED: "The answer was withheld by a content filter.",
    Failure.UNAVAILABLE: "The model service cannot be reached just now.",
    Failure.STALLED: "The model did not go on.",
    Failure.TRUNCATED: "The answer broke off.",
    Failure.MALFORMED: "The model service sent something that cannot be understood.",
    Failure.EMPTY: "The model gave no answer.",
}

OWN: dict[Failure, str] = {
    Failure.AUTHENTICATION: "The model service does not accept your key any more. `/key` tells "
    "how to change it or take it back.",
    Failure.PAYMENT: "This model needs a higher plan than your key has. /model picks another.",
    Failure.QUOTA: "Today's quota of your key for this model is used up. /model picks another.",
}

STOPPED = "Stopped."
CUT = "Older messages no longer fit this model's window; a summary stands for them. /context shows."
LENGTH = "The answer reached its maximum length."
GO_ON = "Go on exactly where your last answer broke off, without repeating anything."
TOO_OLD = "I was away when this came, and it is a while ago. /retry answers it now."
NOT_YOURS = "That is somebody else's answer."
DOUBT = "The connection broke while I sent this: some of it may not be there."
LEFT_BEHIND = "I was restarted while I wrote this. What came of your question stands below."
GONE_ANSWER = "That answer is not kept any more. Please ask again."
FAST = "You are writing faster than I may answer. Please wait a minute."
INTERNAL = "Something went wrong on my side."
FULL = "Several of your messages still wait here. This one was not taken; please send it again."


INSTEAD: dict[Failure, str] = {
    Failure.QUOTA: "is out of today's quota",
    Failure.RATE: "is asked too often just now",
    Failure.PAYMENT: "needs a higher plan",
    Failure.UNKNOWN_MODEL: "is not available any more",
    Failure.STALLED: "did not answer in time",
    Failure.EMPTY: "gave no answer",
    Failure.OVERFLOW: "has too small a window for this",
}


def instead(error: ModelError, chosen: str, model: str) -> str:
    """One line: why another model answered."""
    why = INSTEAD.get(error.failure, "does not work just now")
    back = f" (back in {span(error.retry_after)})" if error.retry_after else ""
    return f"{chosen} {why}{back}: answered by {model}."


def too_long(model: str, needed: int, room: int) -> str:
    return (
        f"Your message is about {needed:,} tokens long; {model} has room for {room:,}. "
        "/model picks one with a larger window."
    )


def short(longest: int) -> str:
    """Under no answer: what a model thinks counts, and may leave nothing to answer with."""
    return f"Answers have {longest:,} tokens here, thinking included: /settings length changes it."


def gone(old: str, new: str) -> str:
    return f"{old} is not offered any more: {new} answers here from now on."


def dropped(messages: int) -> str:
    waited = "a message that waited was" if messages == 1 else f"{messages} waiting messages were"
    return f"Stopped; {waited} dropped."


def used_up(whose: str, what: str, seconds: float) -> str:
    return f"{whose} {what} of today are used up. They begin anew in {span(seconds)}."


def failure(error: ModelError, turn: int, *, own: bool = False) -> str:
    """For a person, with the number the operator finds in the log. `own`: asked with their key."""
    said = OWN.get(error.failure, SAID[error.failure]) if own else SAID[error.failure]
    wait = f"about {span(error.retry_after)}" if error.retry_after else ""
    if error.failure is Failure.RATE:
        said += f" Please try again in {wait or 'a moment'}."
    elif error.failure is Failure.QUOTA and wait:
        said += f" It is back in {wait}."
    return f"{said} [{turn}]"
