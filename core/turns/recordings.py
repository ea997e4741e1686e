"""Transcribes the recordings of a message: what the person said becomes the question."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from core.api.speech import recording_suffix
from core.clock import run_until
from core.conversation.api_keys import ApiKey
from core.errors import DeliveryError, DocumentError, DocumentFailure, ModelError
from core.i18n.translation import gettext
from core.memory.file_document import remove_unstorable_chars
from core.port import Adapter, Attachment, Incoming, SupportsFiles
from core.services import Services
from core.texts import answers
from core.texts import speech as texts
from core.texts.memory import CONNECTION_FAILED, FETCH_FAILURE_TEXTS
from core.turns.claimed_turn import ClaimedTurn
from core.turns.file_fetcher import fetch_file

log = structlog.get_logger(__name__)

MAX_RECORDINGS = 5
"""Of one message."""


class RecordingError(Exception):
    """A recording has no transcript; the text tells the person why."""


def recordings(incoming: Incoming, adapter: Adapter) -> tuple[Attachment, ...]:
    if not isinstance(adapter, SupportsFiles):
        return ()
    return tuple(file for file in incoming.attachments if file.is_audio and file.file_id)[:MAX_RECORDINGS]


@dataclass(frozen=True, slots=True)
class Recordings:
    claimed: ClaimedTurn
    services: Services
    api_key: ApiKey

    async def transcribe(self, files: Sequence[Attachment]) -> str:
        """The words of all of them. Raises `RecordingError`, also if the person stops the turn."""
        async with self.claimed.previewing() as preview:
            preview.update("", gettext(texts.LISTENING))
            transcript = await run_until(self.claimed.stop_requested, self._transcribe_all(files))
        if transcript is None:
            raise RecordingError(gettext(answers.STOPPED))
        if not transcript:
            raise RecordingError(gettext(texts.NO_WORDS))
        return transcript

    async def _transcribe_all(self, files: Sequence[Attachment]) -> str:
        transcripts = [await self._transcribe(file) for file in files]
        return "\n".join(filter(None, transcripts))

    async def _transcribe(self, file: Attachment) -> str:
        turn_id = self.claimed.turn.id
        try:
            content = await fetch_file(self.claimed, file)
            if not recording_suffix(content):
                raise DocumentError("The format is unknown", DocumentFailure.UNKNOWN)
            return remove_unstorable_chars(await self.services.speech.transcribe(self.api_key, content))
        except DocumentError as error:
            log.info("memory.file_unreadable", turn=turn_id, failure=error.failure)
            raise RecordingError(texts.recording_unreadable(error)) from error
        except DeliveryError as error:
            log.warning("memory.file_not_fetched", turn=turn_id, failure=error.failure, error=str(error))
            reason = gettext(FETCH_FAILURE_TEXTS.get(error.failure, CONNECTION_FAILED))
            raise RecordingError(f"{reason} [{turn_id}]") from error
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
