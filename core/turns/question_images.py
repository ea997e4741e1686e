"""Loads the pictures of a turn's question, and of those before it, and prepares them for models."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from core.api.images import MessageImage
from core.errors import DeliveryError, DocumentError
from core.memory.service import MAX_FILENAME_CHARS, safe_filename
from core.port import Adapter, Attachment, Incoming, SupportsFiles
from core.services import Services
from core.store.image_references import ImageReference
from core.texts import images as texts
from core.turns.claimed_turn import ClaimedTurn
from core.turns.file_fetcher import fetch_file

log = structlog.get_logger(__name__)


def image_reference(attachment: Attachment) -> ImageReference:
    name = "".join(char if char.isprintable() and char not in "[]" else "_" for char in attachment.name)
    return ImageReference(attachment.kind, name[-MAX_FILENAME_CHARS:], attachment.file_id)


def image_references(incoming: Incoming, adapter: Adapter) -> tuple[ImageReference, ...]:
    """The attachments that are pictures by their kind. Files may turn out to be some."""
    if not isinstance(adapter, SupportsFiles):
        return ()
    pictures = (file for file in incoming.attachments if file.is_image and not file.is_document and file.file_id)
    return tuple(map(image_reference, pictures))


class ImageError(Exception):
    """A picture cannot be opened; the text tells the person why."""


@dataclass(frozen=True, slots=True)
class QuestionImages:
    claimed: ClaimedTurn
    services: Services

    async def load(self, reference: ImageReference) -> MessageImage:
        """Raises `ImageError`."""
        try:
            return await self._load(reference)
        except DocumentError as error:
            log.info("memory.file_unreadable", turn=self.claimed.turn.id, failure=error.failure)
            raise ImageError(
                texts.image_failed(safe_filename(reference.name) if reference.name else "", error)
            ) from error
        except DeliveryError as error:
            turn_id = self.claimed.turn.id
            log.warning("memory.file_not_fetched", turn=turn_id, failure=error.failure, error=str(error))
            raise ImageError(texts.image_not_fetched(error.failure, turn_id)) from error

    async def _load(self, reference: ImageReference) -> MessageImage:
        attachment = Attachment(reference.kind, reference.name, file_id=reference.file_id)
        return await self.services.images.load(
            self._key(reference), partial(fetch_file, self.claimed, attachment), person=self.claimed.person_key
        )

    async def prepare(self, reference: ImageReference, content: bytes) -> MessageImage:
        """Raises `DocumentError`."""
        return await self.services.images.read(self._key(reference), content, person=self.claimed.person_key)

    async def load_earlier(self, references: Sequence[ImageReference]) -> list[MessageImage | None]:
        """The pictures of an earlier question; None in place of one that cannot be loaded any more."""
        return [await self._load_or_none(reference) for reference in references]

    async def _load_or_none(self, reference: ImageReference) -> MessageImage | None:
        try:
            return await self._load(reference)
        except (DocumentError, DeliveryError) as error:
            log.info("memory.image_gone", turn=self.claimed.turn.id, failure=error.failure)
            return None

    def _key(self, reference: ImageReference) -> str:
        return f"{self.claimed.turn.incoming.place.account_key}:{reference.file_id}"
