"""What a conversation remembers: notes, files and, where asked for, past messages.

Texts are kept with vectors of the embedding model. A question is compared with them, and what is
near goes to the model that answers, numbered so that it can be cited.
"""

import asyncio
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import structlog

from core.api.embedding import EmbeddingResult, Vectors
from core.api.model_data import DEFAULT_EMBEDDING_MODEL
from core.conversation.api_keys import ApiKey
from core.conversation.ledger import Ledger
from core.errors import DocumentError, DocumentFailure, ModelError, ModelFailure
from core.memory.chunks import (
    CHUNK_TOKENS,
    Chunk,
    estimate_tokens,
    split_document,
    split_in_half,
    truncate,
)
from core.memory.file_document import FileDocument, FileKind, Section
from core.memory.file_reader import FileReader, ProgressCallback
from core.memory.ranking import rank
from core.memory.recall import RecalledContext, SearchResult
from core.store import memories
from core.store.database import Store
from core.store.memories import MemoryEntry, MemoryLimits, MemoryStatistics, NewChunk, RecallMode, UnindexedMessage
from core.store.token_usage import UsageKind

__all__ = ["MAX_NOTE_CHARS", "MemoryService", "StoredFile", "safe_filename"]

log = structlog.get_logger(__name__)

MAX_NOTE_CHARS = 4_000  # characters
EMBEDDING_BATCH_SIZE = 32  # texts embedded at once
MAX_CANDIDATES_PER_KIND = 200  # of each kind looked at
MAX_LEADING_CHUNKS = 12  # pieces of a file that was just sent, looked at anyway
RECALL_TIMEOUT_SECONDS = 8.0  # seconds that an answer waits for what is recalled
READING_SHARE = 0.3  # of the work with a file; the rest is embedding
MIN_QUERY_TOKENS = 50.0  # tokens; a question that is too long even so is not searched for
QUERY_PREFIX = "Represent this sentence for searching relevant passages: "
"""How mxbai wants a question to be put before it, by its publisher's description."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that was read. `blank` of its `pages` have no text; 0 where it was known before."""

    entry: MemoryEntry
    page_count: int = 0
    blank_page_count: int = 0


class MemoryService:
    """Scopes are keys of conversations: nothing given in one is known in another. Embedding is
    asked with, and counted for, the account given.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        *,
        reader: FileReader | None = None,
        model: str = DEFAULT_EMBEDDING_MODEL,
        limits: MemoryLimits | None = None,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._reader = reader or FileReader()
        self._model = model
        self._limits = limits or MemoryLimits()

    # -- giving

    async def add_note(self, account: ApiKey, scope: str, text: str) -> MemoryEntry:
        """Keep a note. Raises `ModelError`, and `DocumentError` for one too long or too many."""
        text = text.strip()
        if len(text) > MAX_NOTE_CHARS:
            raise DocumentError("The note is too long", DocumentFailure.TOO_LARGE)
        note = FileDocument(FileKind.TEXT, (Section(text, "note"),))
        return await self._store_document(account, scope, "note", " ".join(text.split()), text.encode(), note)

    async def add_file(
        self,
        account: ApiKey,
        scope: str,
        name: str,
        content: bytes,
        progress: ProgressCallback,
        *,
        person: str = "",
    ) -> StoredFile:
        """Read a file of `person` and keep it. Raises `DocumentError` and `ModelError`."""
        name = safe_filename(name)
        stored = await self._store.read(memories.find_by_digest, scope, self._digest(content))
        if stored is not None:
            return StoredFile(stored)

        async def reading(part: float) -> None:
            await progress(READING_SHARE * part)

        async def embedding(part: float) -> None:
            await progress(READING_SHARE + (1 - READING_SHARE) * part)

        document = await self._reader.read(name, content, reading, person=person)
        entry = await self._store_document(account, scope, document.kind, name, content, document, embedding)
        return StoredFile(entry, document.page_count, document.blank_page_count)

    async def _store_document(
        self,
        account: ApiKey,
        scope: str,
        kind: str,
        name: str,
        content: bytes,
        document: FileDocument,
        progress: ProgressCallback | None = None,
    ) -> MemoryEntry:
        chunks = await asyncio.to_thread(split_document, document)
        if len(chunks) > self._limits.max_chunks:
            raise DocumentError("It has too much text", DocumentFailure.TOO_LARGE)
        full_error = DocumentError("There is no room for more", DocumentFailure.FULL)
        if not await self._store.read(memories.has_room, scope, len(chunks), self._limits):
            raise full_error
        chunks, vectors = await self._embed_chunks(account, chunks, progress)
        entry = await self._store.write(
            memories.add_entry,
            scope,
            kind=kind,
            name=name,
            digest=self._digest(content),
            model=self._model,
            chunks=[NewChunk(piece.label, piece.text) for piece in chunks],
            vectors=vectors,
            limits=self._limits,
        )
        if entry is None:
            raise full_error
        return entry

    def _digest(self, content: bytes) -> str:
        # With the model: vectors of another one are of no use.
        return hashlib.blake2b(content, key=self._model.encode()[:64], digest_size=16).hexdigest()

    async def _embed_chunks(
        self, account: ApiKey, chunks: list[Chunk], progress: ProgressCallback | None
    ) -> tuple[list[Chunk], Vectors]:
        """The pieces and their vectors; cut smaller where the model finds them too long."""
        done: list[Chunk] = []
        vectors: list[Vectors] = []
        remaining = chunks
        while remaining:
            batch, rest = remaining[:EMBEDDING_BATCH_SIZE], remaining[EMBEDDING_BATCH_SIZE:]
            try:
                result = await self._embed(account, [piece.embedding_text for piece in batch])
            except ModelError as error:
                halved = [half for piece in remaining for half in split_in_half(piece)]
                if error.failure is not ModelFailure.OVERFLOW or len(halved) == len(remaining):
                    raise
                log.info("pieces too long", pieces=len(remaining), model=self._model)
                remaining = halved
                continue
            if vectors and result.vectors.shape[1] != vectors[0].shape[1]:
                raise ModelError("The vectors cannot be compared", ModelFailure.MALFORMED)
            vectors.append(result.vectors)
            done += batch
            remaining = rest
            if progress is not None:
                await progress(len(done) / (len(done) + len(remaining)))
        return done, np.concatenate(vectors)

    async def _embed(self, account: ApiKey, texts: Sequence[str]) -> EmbeddingResult:
        """One request, booked in the ledger before and after."""
        ledger, model = self._ledger, self._model
        estimated_tokens = round(sum(map(estimate_tokens, texts)))
        async with ledger.reserve(account.key_id, model, estimated_tokens, kind=UsageKind.EMBEDDINGS) as booking:
            try:
                result = await account.api.embed(texts, model)
            except ModelError as error:
                await ledger.record_refusal(account.key_id, model, error, UsageKind.EMBEDDINGS)
                raise
            booking.reported_tokens = result.tokens
        return result

    # -- recalling

    async def recall(
        self,
        account: ApiKey,
        scope: str,
        prompt: str,
        max_tokens: float,
        *,
        file_ids: Sequence[int] = (),
    ) -> RecalledContext:
        """What fits `prompt` and into `room` tokens; see `find`."""
        return (await self.search(account, scope, prompt, file_ids=file_ids)).fit(max_tokens)

    async def search(self, account: ApiKey, scope: str, prompt: str, *, file_ids: Sequence[int] = ()) -> SearchResult:
        """What fits `prompt`. `within`: the files it is asked about.

        Never fails on account of the embedding model: the answer is given without.
        """
        status = await self._store.read(memories.get_statistics, scope)
        unembedded = await self._store.read(memories.list_unindexed_messages, scope, EMBEDDING_BATCH_SIZE - 1)
        if status.recall_mode is RecallMode.OFF and not file_ids:
            return SearchResult()
        if not (status.note_count or status.file_count or status.message_count or unembedded):
            return SearchResult()
        try:
            async with asyncio.timeout(RECALL_TIMEOUT_SECONDS):
                query = await self._embed_query(account, scope, prompt, unembedded)
        except ModelError as error:
            log.warning("nothing recalled", failure=error.failure, model=self._model)
            return SearchResult(failure=error.failure)
        except TimeoutError:
            return SearchResult(failure=ModelFailure.STALLED)
        candidates = await self._store.read(
            memories.search,
            scope,
            query,
            self._model,
            limit_per_kind=MAX_CANDIDATES_PER_KIND,
            entry_ids=file_ids,
        )
        leading_chunks = [
            piece
            for file in file_ids
            for piece in await self._store.read(memories.first_chunks, scope, file, MAX_LEADING_CHUNKS)
        ]
        files = [e for e in await self._store.read(memories.list_entries, scope) if not e.is_note]
        is_whole_file = 0 < sum(file.chunk_count for file in files if file.id in file_ids) == len(leading_chunks)
        return SearchResult(
            tuple(rank(prompt, candidates)),
            tuple(files),
            tuple(leading_chunks),
            is_whole_file=is_whole_file,
        )

    async def _embed_query(
        self, account: ApiKey, scope: str, prompt: str, unembedded: list[UnindexedMessage]
    ) -> Vectors:
        """The vector of a question; messages that have none yet get theirs on the way."""
        budget = CHUNK_TOKENS
        prefix = QUERY_PREFIX if "mxbai" in self._model else ""
        while True:
            question = prefix + truncate(prompt, budget - estimate_tokens(prefix))
            messages = [UnindexedMessage(one.id, truncate(one.text, budget)) for one in unembedded]
            try:
                result = await self._embed(account, [question, *(one.text or "…" for one in messages)])
            except ModelError as error:
                budget /= 2
                if error.failure is not ModelFailure.OVERFLOW or budget < MIN_QUERY_TOKENS:
                    raise
                continue
            if messages:
                await self._store.write(
                    memories.index_messages, scope, self._model, messages, result.vectors[1:], self._limits
                )
            query: Vectors = result.vectors[0]
            return query

    # -- seeing and removing

    async def status(self, scope: str) -> MemoryStatistics:
        return await self._store.read(memories.get_statistics, scope)

    async def list_entries(self, scope: str) -> list[MemoryEntry]:
        return await self._store.read(memories.list_entries, scope)

    async def delete(self, scope: str, number: int) -> MemoryEntry | None:
        return await self._store.write(memories.delete_entry, scope, number)

    async def clear(self, scope: str) -> None:
        await self._store.write(memories.delete_all, scope)

    async def set_recall_mode(self, scope: str, recall: RecallMode) -> None:
        await self._store.write(memories.set_recall_mode, scope, recall)


def safe_filename(name: str) -> str:
    """A file's name as it is shown: nothing in it can act."""
    safe = re.sub(r"[^\w .,+()-]", "_", name.replace("\\", "/").rpartition("/")[2]).strip()
    if len(safe) > 80:
        safe = f"{safe[:60]}…{safe[-15:]}"
    return safe or "file"
