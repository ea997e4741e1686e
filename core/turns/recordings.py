"""Transcribes the recordings of a message: what the person said becomes the question.

What somebody else said becomes a part of the quoted or forwarded message.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import structlog

from core.api.speech import recording_suffix
from core.clock import run_until
from core.conversation.api_keys import ApiKey
from core.conversation.quotes import MAX_QUOTED_MESSAGE_CHARS
from core.errors import DeliveryError, DocumentError, DocumentFailure, ModelError
from core.i18n.translation import gettext
from core.memory.file_document import remove_unstorable_chars
from core.port import Adapter, Attachment, Incoming, Quote, QuoteKind, SupportsFiles
from core.services import Services
from core.texts import speech as texts
from core.texts.memory import CONNECTION_FAILED, FETCH_FAILURE_TEXTS
from core.turns.claimed_turn import ClaimedTurn
from core.turns.companion_reads import CompanionReads
from core.turns.file_fetcher import fetch_file

log = structlog.get_logger(__name__)

MAX_RECORDINGS = 5
"""Per message."""
RECORDED_KINDS = (None, QuoteKind.REPLY, QuoteKind.FORWARD)


class RecordingError(Exception):
    """A recording has no transcript; the text tells the person why."""


class TranscriptionStopped(Exception):  # noqa: N818 (no error)
    """The person has stopped the turn."""


def recordings(incoming: Incoming, adapter: Adapter) -> tuple[Attachment, ...]:
    if not isinstance(adapter, SupportsFiles):
        return ()
    return tuple(file for file in incoming.attachments if file.is_audio and file.file_id)


async def transcribe_recordings(
    claimed: ClaimedTurn, services: Services, api_key: ApiKey, reads: CompanionReads
) -> tuple[Incoming, tuple[str, ...]]:
    """The message with the words of its recordings, and notes for under the answer.

    Raises `RecordingError` and `TranscriptionStopped`.
    """
    incoming = claimed.turn.incoming
    files = recordings(incoming, claimed.adapter)
    if not files:
        return incoming, ()
    recorder = Recordings(claimed, services, api_key, reads)
    if not recorder.is_supported:
        if not incoming.text.strip():
            raise RecordingError(gettext(texts.NOT_SUPPORTED))
        return incoming, () if files[0].is_quoted else (gettext(texts.RECORDING_IGNORED),)
    notes = [] if len(files) <= MAX_RECORDINGS else [texts.recording_limit_reached(MAX_RECORDINGS)]
    for kind, group in _by_speaker(files[:MAX_RECORDINGS]):
        transcript = await recorder.transcribe(group)
        notes.append(texts.transcript_note(transcript))
        incoming = _with_transcript(incoming, transcript, kind)
    return incoming, tuple(notes)


def _by_speaker(files: Sequence[Attachment]) -> list[tuple[QuoteKind | None, list[Attachment]]]:
    """The person's own recordings, those of the message they reply to, and those of messages that they forwarded."""
    groups = ((kind, [file for file in files if quote_kind(file) is kind]) for kind in RECORDED_KINDS)
    return [(kind, group) for kind, group in groups if group]


def quote_kind(file: Attachment) -> QuoteKind | None:
    """How a file belongs to a quoted message; None: the person's own message has it."""
    if file.is_forwarded:
        return QuoteKind.FORWARD
    return QuoteKind.REPLY if file.is_quoted else None


def _with_transcript(incoming: Incoming, transcript: str, kind: QuoteKind | None) -> Incoming:
    """What the person said comes before what they wrote."""
    if kind is None:
        return replace(incoming, text="\n\n".join(filter(None, (transcript, incoming.text.strip()))))
    quotes = list(incoming.quotes)
    position = next((index for index, quote in enumerate(quotes) if quote.kind is kind), None)
    if position is None:
        quotes.append(Quote(kind, transcript[:MAX_QUOTED_MESSAGE_CHARS]))
    else:
        text = f"{quotes[position].text}\n{transcript}".strip()
        quotes[position] = replace(quotes[position], text=text[:MAX_QUOTED_MESSAGE_CHARS], is_placeholder=False)
    return replace(incoming, quotes=tuple(quotes))


@dataclass(frozen=True, slots=True)
class Recordings:
    claimed: ClaimedTurn
    services: Services
    api_key: ApiKey
    reads: CompanionReads

    @property
    def is_supported(self) -> bool:
        return self.services.speech.model is not None

    async def transcribe(self, files: Sequence[Attachment]) -> str:
        """The words of all of them. Raises `RecordingError` and `TranscriptionStopped`."""
        async with self.claimed.previewing() as preview:
            preview.update("", gettext(texts.LISTENING))
            transcript = await run_until(self.claimed.stop_requested, self._transcribe_all(files))
        if transcript is None:
            raise TranscriptionStopped
        if not transcript:
            raise RecordingError(gettext(texts.NO_WORDS))
        return transcript

    async def _transcribe_all(self, files: Sequence[Attachment]) -> str:
        transcripts = []
        for file in files:
            outcome = await self.reads.share(self.claimed.turn, file.file_id, partial(self._attempt, file))
            if isinstance(outcome, RecordingError):
                raise outcome
            transcripts.append(outcome)
        return "\n".join(filter(None, transcripts))

    async def _attempt(self, file: Attachment) -> str | RecordingError:
        try:
            return await self._transcribe(file)
        except RecordingError as error:
            return error

    async def _transcribe(self, file: Attachment) -> str:
        turn_id = self.claimed.turn.id
        try:
            content = await fetch_file(self.claimed, file)
            if not recording_suffix(content):
                raise DocumentError("The format is unknown", DocumentFailure.UNKNOWN)
        except DocumentError as error:
            log.info("memory.file_unreadable", turn=turn_id, failure=error.failure)
            raise RecordingError(texts.recording_unreadable(error)) from error
        except DeliveryError as error:
            log.warning("memory.file_not_fetched", turn=turn_id, failure=error.failure, error=str(error))
            reason = gettext(FETCH_FAILURE_TEXTS.get(error.failure, CONNECTION_FAILED))
            raise RecordingError(f"{reason} [{turn_id}]") from error
        return await self.transcribe_content(content)

    async def transcribe_content(self, content: bytes) -> str:
        """The words of a recording. Raises `RecordingError`."""
        turn_id = self.claimed.turn.id
        try:
            return remove_unstorable_chars(await self.services.speech.transcribe(self.api_key, content))
        except ModelError as error:
            log.warning(
                "model.speech_failed",
                turn=turn_id,
                model=self.services.speech.model,
                failure=error.failure,
                status=error.status,
                error=str(error),
            )
            raise RecordingError(texts.not_transcribed(error, turn_id)) from error
