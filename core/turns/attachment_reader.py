"""The files of one message: fetched, read and kept, the person seeing how far it is."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from core.conversation.api_keys import ApiKey
from core.delivery.preview import Preview
from core.errors import DeliveryError, DeliveryFailure, DocumentError, DocumentFailure, ModelError
from core.memory import memory_texts
from core.memory.file_document import MAX_FILE_BYTES
from core.memory.service import MemoryService, safe_filename
from core.port import Adapter, Attachment, Incoming, SupportsFiles
from core.store.memories import get_conversation_key
from core.turns.claimed_turn import ClaimedTurn

__all__ = ["AttachmentReader", "readable_attachments"]

log = structlog.get_logger(__name__)

MAX_FILES_PER_MESSAGE = 5  # of one message
FETCH_BACKOFFS = (1.0, 3.0)  # seconds between tries to fetch a file
MAX_FETCH_WAIT_SECONDS = 10.0  # seconds that a platform may ask to wait
ASK_ABOUT_FILE = "Ask me about it."


def readable_attachments(incoming: Incoming, adapter: Adapter) -> tuple[Attachment, ...]:
    """What came with a message and can be read, as far as its kind tells."""
    if not isinstance(adapter, SupportsFiles):
        return ()
    return tuple(file for file in incoming.attachments if file.is_document and file.file_id)


@dataclass(slots=True)
class AttachmentReader:
    """`files` are the kept ones afterwards; `said` what is to be told where no model answers."""

    claimed: ClaimedTurn
    memory: MemoryService
    account: ApiKey
    stored_files: tuple[int, ...] = ()
    report: str = ""
    has_failed: bool = False
    """Whether one of the files could not be read."""

    async def run(self, attachments: Sequence[Attachment]) -> None:
        """Read until done or stopped. Raises `LostLeaseError` and `StoreError` only."""
        claimed = self.claimed
        preview = Preview(
            claimed.adapter,
            claimed.rate_limiter,
            claimed.outbox,
            claimed.turn.id,
            on_gone=claimed.stop_requested.set,
        )
        preview_task = asyncio.create_task(preview.run())
        read_task = asyncio.create_task(self._read_all(attachments, preview))
        stop_waiter = asyncio.create_task(claimed.stop_requested.wait())
        try:
            await asyncio.wait({read_task, stop_waiter}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop_waiter.cancel()
            read_task.cancel()
            try:
                (read_outcome,) = await asyncio.gather(read_task, return_exceptions=True)
            finally:
                preview_outcome = await preview.finish(preview_task)
        for outcome in (read_outcome, preview_outcome):
            if isinstance(outcome, Exception):
                raise outcome

    async def _read_all(self, attachments: Sequence[Attachment], preview: Preview) -> None:
        scope = await self.claimed.store.read(get_conversation_key, self.claimed.turn.conversation_id)
        reports = [await self._read_one(one, scope, preview) for one in attachments[:MAX_FILES_PER_MESSAGE]]
        if len(attachments) > MAX_FILES_PER_MESSAGE:
            self.has_failed = True
            reports.append(f"I read {MAX_FILES_PER_MESSAGE} files of one message at most.")
        if self.stored_files and not self.has_failed:
            reports[-1] += f" {ASK_ABOUT_FILE}"
        self.report = "\n".join(reports)

    async def _read_one(self, attachment: Attachment, scope: str, preview: Preview) -> str:
        name = safe_filename(attachment.name)

        async def progress(part: float) -> None:
            preview.update("", f"Reading {name}: {int(part * 20) * 5} %")

        try:
            await progress(0)
            content = await self._fetch(attachment)
            stored = await self.memory.add_file(
                self.account, scope, attachment.name, content, progress, person=self.claimed.person
            )
        except DocumentError as error:
            log.info("not read", turn=self.claimed.turn.id, reason=error.failure)
            report = memory_texts.document_failed(name, error)
        except ModelError as error:
            log.warning("not embedded", turn=self.claimed.turn.id, failure=error.failure)
            report = f"I could not read {name}. {memory_texts.embedding_failed(error)}"
        except DeliveryError as error:
            log.warning("not fetched", turn=self.claimed.turn.id, fault=error.failure)
            report = f"I could not get {name}: {str(error).rstrip('.')}."
        else:
            self.stored_files += (stored.entry.id,)
            return memory_texts.file_stored(name, stored)
        self.has_failed = True
        return report

    async def _fetch(self, attachment: Attachment) -> bytes:
        adapter = self.claimed.adapter
        assert isinstance(adapter, SupportsFiles)  # noqa: S101 (`readable` looked)
        if attachment.size > MAX_FILE_BYTES:
            raise DocumentError("The file is too large", DocumentFailure.TOO_LARGE)
        for backoff in FETCH_BACKOFFS:
            try:
                return await adapter.fetch(attachment, MAX_FILE_BYTES)
            except DeliveryError as error:
                wait = max(backoff, error.retry_after or 0.0)
                is_temporary = error.failure in (
                    DeliveryFailure.TRANSIENT,
                    DeliveryFailure.RATE_LIMITED,
                    DeliveryFailure.UNKNOWN,
                )
                if not is_temporary or wait > MAX_FETCH_WAIT_SECONDS:
                    raise
            await asyncio.sleep(wait)
        return await adapter.fetch(attachment, MAX_FILE_BYTES)
