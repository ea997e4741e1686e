"""Texts about recordings. All are plain."""

from core.errors import DocumentError, DocumentFailure, ModelError, ModelFailure
from core.i18n.translation import gettext, gettext_noop, ngettext
from core.memory.file_document import MAX_FILE_BYTES
from core.texts.formatting import format_number, isolate

MAX_SHOWN_CHARS = 300
"""How much of a transcript stands under an answer."""

LISTENING = gettext_noop("Listening…")
NOT_SUPPORTED = gettext_noop(
    "I can't listen to recordings: this bot has no speech recognition. Write your question instead."
)
RECORDING_IGNORED = gettext_noop(
    "I can't listen to recordings: this bot has no speech recognition. I answered only what you wrote."
)
RECORDING_OUTDATED = gettext_noop("I was offline when you sent this recording. Send it again to have it answered.")
NO_WORDS = gettext_noop("I heard no words in this recording.")
UNKNOWN_FORMAT = gettext_noop("This is not a recording that I can listen to. Send OGG, MP3, M4A, WAV, FLAC or WebM.")
TOO_LARGE = gettext_noop("This recording is too large. I can listen to up to {megabytes} MB.")
TOO_LONG = gettext_noop("This recording is too long for speech recognition. Send a shorter one.")
SERVICE_BUSY = gettext_noop("Speech recognition is busy. Try again in a moment.")
SERVICE_FAILED = gettext_noop("Speech recognition failed. Try again later, or write your question.")
BUSY_FAILURES = (ModelFailure.RATE_LIMITED, ModelFailure.QUOTA)


def transcript_note(transcript: str) -> str:
    """Under the answer: what was understood."""
    words = " ".join(transcript.split())
    shown = words if len(words) <= MAX_SHOWN_CHARS else f"{words[:MAX_SHOWN_CHARS].rstrip()}…"
    return gettext("I heard: “{words}”").format(words=isolate(shown))


def recording_limit_reached(max_recordings: int) -> str:
    return ngettext(
        "I listened to only {count} recording, the first.",
        "I listened to only the first {count} recordings.",
        max_recordings,
    ).format(count=format_number(max_recordings))


def recording_unreadable(error: DocumentError) -> str:
    if error.failure is DocumentFailure.TOO_LARGE:
        return gettext(TOO_LARGE).format(megabytes=MAX_FILE_BYTES >> 20)
    return gettext(UNKNOWN_FORMAT)


def not_transcribed(error: ModelError, turn_id: int) -> str:
    """With the number by which the operator finds the turn in the log."""
    text = SERVICE_BUSY if error.failure in BUSY_FAILURES else SERVICE_FAILED
    return f"{gettext(TOO_LONG if error.failure is ModelFailure.OVERFLOW else text)} [{turn_id}]"
