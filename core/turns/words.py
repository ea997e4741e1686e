"""What people are told when something is not as they wished."""

from core.errors import Failure, ModelError

__all__ = ["failure"]

SAID: dict[Failure, str] = {
    Failure.AUTHENTICATION: "The model service does not accept this bot's key. "
    "Its operator has to mend that.",
    Failure.PAYMENT: "This model needs a higher plan than this bot has. /model picks another.",
    Failure.RATE: "The model is asked too often just now. Please try again in a moment.",
    Failure.QUOTA: "Today's quota of this model is used up. /model picks another.",
    Failure.UNKNOWN_MODEL: "This model is not available any more. /model picks another.",
    Failure.OVERFLOW: "This conversation is too long for the model. /new begins a new one, "
    "/model picks one with a larger window.",
    Failure.REFUSED: "The model service did not take this request.",
    Failure.FILTERED: "The answer was withheld by a content filter.",
    Failure.UNAVAILABLE: "The model service can not be reached just now.",
    Failure.STALLED: "The model did not go on.",
    Failure.TRUNCATED: "The answer broke off.",
    Failure.MALFORMED: "The model service sent something that can not be understood.",
    Failure.EMPTY: "The model gave no answer.",
}

STOPPED = "Stopped."
CUT = "Older messages no longer fit this model's window and are left out."
LENGTH = "The answer reached its maximum length. Say “go on” for the rest."
TOO_OLD = "I was away when this came, and it is a while ago. /retry answers it now."
DOUBT = "The connection broke while I sent this: some of it may not be there."
GONE_ANSWER = "That answer is not kept any more. Please ask again."
FAST = "You are writing faster than I may answer. Please wait a minute."
INTERNAL = "Something went wrong on my side."
FULL = "Several of your messages still wait here. This one was not taken; please send it again."


def failure(error: ModelError, turn: int) -> str:
    """For a person, with the number the operator finds in the log."""
    said = SAID[error.failure]
    if error.failure in (Failure.RATE, Failure.QUOTA) and error.retry_after:
        said += f" (in about {_span(error.retry_after)})"
    return f"{said} [{turn}]"


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{round(seconds)} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{round(seconds / 3600)} h"
