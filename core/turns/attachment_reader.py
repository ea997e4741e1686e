"""Fetches and stores the files of one message, and shows the person the progress."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from core.api.speech import is_recording
from core.clock import run_until
from core.conversation.api_keys import ApiKey
from core.delivery.preview import Preview
from core.errors import DeliveryError, DocumentError
from core.i18n.translation import gettext
from core.memory.images import is_image
from core.memory.service import MemoryService, safe_filename
from core.port import Adapter, Attachment, Incoming, Quote, SupportsFiles
from core.store.image_references import ImageReference
from core.store.memories import get_conversation_key
from core.texts import answers, images, memory, speech
from core.texts.formatting import join_sentences
from core.turns.claimed_turn import ClaimedTurn
from core.turns.companion_reads import CompanionReads
from core.turns.file_fetcher import fetch_file
from core.turns.question_images import QuestionImages, image_reference
from core.turns.recordings import RecordingError, Recordings, quote_kind

log = structlog.get_logger(__name__)

MAX_FILES_PER_MESSAGE = 5


@dataclass(frozen=True, slots=True)
class ReadFiles:
    """The outcome of reading a message's files."""

    entry_ids: tuple[int, ...] = ()
    """The memory entries of the files that were stored."""
    images: tuple[ImageReference, ...] = ()
    """The files that are pictures."""
    reports: tuple[str, ...] = ()
    """What was read, for the person when no model answers."""
    failures: tuple[str, ...] = ()
    """Why other files were not read, for the person."""
    words: tuple[str, ...] = ()
    """What the person says, in the files that are recordings."""
    quotes: tuple[Quote, ...] = ()
    """What others say in them."""
    notes: tuple[str, ...] = ()
    """About the recordings, for under the answer."""

    @property
    def has_question(self) -> bool:
        """Whether a model can be asked about the files without further words."""
        return bool(self.images or self.words or self.quotes)


def readable_attachments(incoming: Incoming, adapter: Adapter) -> tuple[Attachment, ...]:
    """The attachments that may contain text and can be downloaded."""
    if not incoming.attachments or not isinstance(adapter, SupportsFiles):
        return ()
    return tuple(file for file in incoming.attachments if file.is_document and file.file_id)


@dataclass(frozen=True, slots=True)
class AttachmentReader:
    claimed: ClaimedTurn
    memory: MemoryService
    api_key: ApiKey
    images: QuestionImages
    recordings: Recordings
    reads: CompanionReads
    prepares_images: bool
    """Whether a model is going to see pictures among the files."""

    async def read(self, attachments: Sequence[Attachment]) -> ReadFiles:
        """Read until done, or until the person stops the turn. Raises `LostLeaseError` and `StoreError`."""
        async with self.claimed.previewing() as preview:
            files = await run_until(self.claimed.stop_requested, self._read_all(attachments, preview))
            return files or ReadFiles()

    async def _read_all(self, attachments: Sequence[Attachment], preview: Preview) -> ReadFiles:
        turn = self.claimed.turn
        conversation_key = await self.claimed.store.read(get_conversation_key, turn.conversation_id)
        outcomes = [
            await self.reads.share(
                turn, attachment.file_id, partial(self._read_one, attachment, conversation_key, preview)
            )
            for attachment in attachments[:MAX_FILES_PER_MESSAGE]
        ]
        reports = [report for outcome in outcomes for report in outcome.reports]
        failures = [failure for outcome in outcomes for failure in outcome.failures]
        entry_ids = tuple(entry_id for outcome in outcomes for entry_id in outcome.entry_ids)
        if len(attachments) > MAX_FILES_PER_MESSAGE:
            failures.append(answers.file_limit_reached(MAX_FILES_PER_MESSAGE))
        if entry_ids and not failures:
            reports[-1] = join_sentences(reports[-1], gettext(memory.ASK_ABOUT_FILE))
        return ReadFiles(
            entry_ids,
            tuple(image for outcome in outcomes for image in outcome.images),
            tuple(reports),
            tuple(failures),
            tuple(words for outcome in outcomes for words in outcome.words),
            tuple(quote for outcome in outcomes for quote in outcome.quotes),
            tuple(dict.fromkeys(note for outcome in outcomes for note in outcome.notes)),
        )

    async def _read_one(self, attachment: Attachment, conversation_key: str, preview: Preview) -> ReadFiles:
        name, turn_id = safe_filename(attachment.name), self.claimed.turn.id

        async def show_progress(fraction: float) -> None:
            preview.update("", answers.reading_progress(name, int(fraction * 20) * 5))

        try:
            await show_progress(0)
            content = await fetch_file(self.claimed, attachment)
            if is_image(content):
                return await self._take_image(attachment, name, content)
            if is_recording(attachment.name, content):
                return await self._take_recording(attachment, content, preview)
            file = await self.memory.add_file(
                self.api_key,
                conversation_key,
                attachment.name,
                content,
                show_progress,
                person=self.claimed.person_key,
                turn_id=turn_id,
            )
        except DocumentError as error:
            log.info("memory.file_unreadable", turn=turn_id, failure=error.failure)
            failure = memory.document_failed(name, error)
        except DeliveryError as error:
            log.warning("memory.file_not_fetched", turn=turn_id, failure=error.failure, error=str(error))
            failure = memory.file_not_fetched(name, error.failure, turn_id)
        else:
            return ReadFiles((file.entry.id,), reports=(memory.file_stored(name, file),))
        return ReadFiles(failures=(failure,))

    async def _take_recording(self, attachment: Attachment, content: bytes, preview: Preview) -> ReadFiles:
        """Like a voice message (`core.turns.recordings`)."""
        if not self.recordings.is_supported:
            if not self.claimed.turn.incoming.text.strip():
                return ReadFiles(failures=(gettext(speech.NOT_SUPPORTED),))
            return ReadFiles(notes=() if attachment.is_quoted else (gettext(speech.RECORDING_IGNORED),))
        preview.update("", gettext(speech.LISTENING))
        try:
            words = await self.recordings.transcribe_content(content)
        except RecordingError as error:
            return ReadFiles(failures=(str(error),))
        kind = quote_kind(attachment)
        if not words:
            return ReadFiles(failures=(gettext(speech.NO_WORDS),))
        notes = (speech.transcript_note(words),)
        return (
            ReadFiles(words=(words,), notes=notes)
            if kind is None
            else ReadFiles(quotes=(Quote(kind, words),), notes=notes)
        )

    async def _take_image(self, attachment: Attachment, name: str, content: bytes) -> ReadFiles:
        reference = image_reference(attachment)
        try:
            if self.prepares_images:
                await self.images.prepare(reference, content)
        except DocumentError as error:
            log.info("memory.file_unreadable", turn=self.claimed.turn.id, failure=error.failure)
            return ReadFiles(failures=(images.image_failed(name, error),))
        return ReadFiles(images=(reference,))
