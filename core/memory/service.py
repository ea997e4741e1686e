"""The memory of a conversation: notes, files and, optionally, past messages.

Texts are stored in chunks, each with a vector of the embedding model. `search` compares a question with
them, and finds chunks by their words where there are no vectors because the model failed or its quota was used up.
`core.memory.ranking` selects the matches, and `core.memory.recall` the part that the answering model
gets. Everything belongs to one conversation, identified by its key. Tokens of the embedding model are
booked on the account that is passed.
"""

import asyncio
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from core.api.embedding import EmbeddingResult
from core.api.model_data import DEFAULT_EMBEDDING_MODEL
from core.conversation.api_keys import ApiKey
from core.conversation.ledger import Charge, Ledger
from core.errors import DocumentError, DocumentFailure, ModelError, ModelFailure
from core.memory.chunks import CHUNK_TOKENS, estimate_tokens, split_document, split_in_half, truncate
from core.memory.file_document import Chunk, FileDocument, FileKind, Section
from core.memory.file_reader import FileReader, ProgressCallback
from core.memory.ranking import extract_terms, rank
from core.memory.recall import SearchResult, count_file_tokens
from core.memory.vector_search import VectorSearch
from core.store import memories
from core.store.database import Store
from core.store.memories import (
    DEFAULT_LIMITS,
    NOTE_KIND,
    MemoryEntry,
    MemoryLimits,
    NewChunk,
    RecallMode,
    ScoredChunk,
    SearchedMemory,
    Vectors,
)
from core.store.token_usage import UsageKind
from core.timings import Timings

log = structlog.get_logger(__name__)

MAX_NOTE_CHARS = 4_000
EMBEDDING_BATCH_SIZE = 32
MAX_UNINDEXED_TEXTS = EMBEDDING_BATCH_SIZE - 1
"""How many texts without a vector a search embeds together with the question."""
MAX_CANDIDATES_PER_KIND = 200
MAX_LEADING_CHUNKS = 12
"""The number of first chunks of an attached file that are used even if they do not fit the question."""
SMALL_FILE_TOKENS = 1500.0
"""A file up to this size is not embedded: the model reads all of it with the question that it came with. Later
questions embed it if there are any."""
WHOLE_FILE_SHARE = 0.8
"""How much of the room for search results one whole file may take; the rest is for the list of files and the like."""
READING_SHARE = 0.3
"""The share of the progress that reading a file takes; embedding takes the rest."""
MIN_QUERY_TOKENS = 50.0
"""The shortest form of a question to search for if the model refuses longer ones."""
QUOTA_FAILURES = (ModelFailure.QUOTA, ModelFailure.ALLOWANCE)
QUERY_PREFIX = "Represent this sentence for searching relevant passages: "
"""The prefix that mxbai models expect before a question."""
MAX_FILENAME_CHARS = 80


@dataclass(frozen=True, slots=True)
class StoredEntry:
    entry: MemoryEntry
    failure: ModelFailure | None = None
    """Why it has no vectors, so that only its words are found; None if it has."""
    page_count: int = 0
    """0 for a file without pages, or one that is already stored."""
    blank_page_count: int = 0
    """Pages without text."""


class MemoryService:
    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        *,
        model: str = DEFAULT_EMBEDDING_MODEL,
        limits: MemoryLimits = DEFAULT_LIMITS,
        timings: Timings = Timings(),
        reader: FileReader | None = None,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._model = model
        self._limits = limits
        self._timings = timings
        self._vector_search = VectorSearch(store)
        self._reader = reader or FileReader(timings=timings)

    async def add_note(
        self,
        account: ApiKey,
        conversation_key: str,
        text: str,
        *,
        person: str | None = None,
        turn_id: int | None = None,
    ) -> StoredEntry:
        """Store a note of `person`, who sent it by this turn.

        Raises `DocumentError` if it is too long or the memory is full, and `LostLeaseError` if the turn is deleted.
        """
        text = text.strip()
        if len(text) > MAX_NOTE_CHARS:
            raise DocumentError("The note is too long", DocumentFailure.TOO_LARGE)
        note = FileDocument(FileKind.TEXT, (Section(text, "note"),))
        name = " ".join(text.split())
        chunks = list(split_document(note))
        return await self._store_chunks(
            account, conversation_key, person, NOTE_KIND, name, text.encode(), chunks, turn_id=turn_id
        )

    async def add_file(
        self,
        account: ApiKey,
        conversation_key: str,
        name: str,
        content: bytes,
        on_progress: ProgressCallback,
        *,
        person: str = "",
        turn_id: int | None = None,
    ) -> StoredEntry:
        """Read and store a file that `person` sent by this turn.

        Raises `DocumentError`, and `LostLeaseError` if the turn is deleted.
        """
        name = safe_filename(name)
        existing = await self._store.read(memories.find_by_digest, conversation_key, self._digest(content))
        if existing is not None:
            if existing.name != name:  # citations name the file as the person calls it now
                await self._store.write(memories.rename_entry, existing.id, name)
            return StoredEntry(replace(existing, name=name))

        async def on_read(fraction: float) -> None:
            await on_progress(READING_SHARE * fraction)

        async def on_embed(fraction: float) -> None:
            await on_progress(READING_SHARE + (1 - READING_SHARE) * fraction)

        file = await self._reader.read(name, content, on_read, person=person, max_chunks=self._limits.max_chunks)
        stored = await self._store_chunks(
            account, conversation_key, person or None, file.kind, name, content, file.chunks, on_embed, turn_id=turn_id
        )
        return replace(stored, page_count=file.page_count, blank_page_count=file.blank_page_count)

    async def _store_chunks(
        self,
        account: ApiKey,
        conversation_key: str,
        person: str | None,
        kind: str,
        name: str,
        content: bytes,
        chunks: list[Chunk],
        on_progress: ProgressCallback | None = None,
        *,
        turn_id: int | None = None,
    ) -> StoredEntry:
        import numpy as np

        full_error = DocumentError("The conversation's memory is full", DocumentFailure.FULL)
        if not await self._store.read(memories.has_room, conversation_key, len(chunks), self._limits):
            raise full_error
        failure, vectors = None, np.empty((len(chunks), 0), np.float32)
        is_small_file = kind != NOTE_KIND and sum(chunk.tokens for chunk in chunks) <= SMALL_FILE_TOKENS
        try:
            if not is_small_file:
                chunks, vectors = await self._embed_within_quota(account, chunks, on_progress)
        except ModelError as error:
            log.warning("memory.stored_without_vectors", failure=error.failure, chunks=len(chunks), model=self._model)
            failure = error.failure
        entry = await self._store.write(
            memories.add_entry,
            conversation_key,
            kind=kind,
            name=name,
            digest=self._digest(content),
            model=self._model,
            chunks=[NewChunk(chunk.label, chunk.text) for chunk in chunks],
            vectors=vectors,
            person_key=person,
            turn_id=turn_id,
            limits=self._limits,
        )
        if entry is None:
            raise full_error
        return StoredEntry(entry, failure)

    def _digest(self, content: bytes) -> str:
        """Identifies the content and the model: vectors of different models cannot be compared."""
        return hashlib.blake2b(content, key=self._model.encode()[:64], digest_size=16).hexdigest()

    async def _embed_within_quota(
        self, account: ApiKey, chunks: list[Chunk], on_progress: ProgressCallback | None
    ) -> tuple[list[Chunk], Vectors]:
        """Embed chunks, or spend no token if the quota does not suffice for all. Raises `ModelError`."""
        expected_tokens = round(sum(chunk.tokens for chunk in chunks))
        await self._require_quota(account, expected_tokens)
        async with self._ledger.charge(account.subjects, expected_tokens, embedding_model=self._model) as charge:
            return await self._embed_chunks(account, chunks, on_progress, charge)

    async def _require_quota(self, account: ApiKey, tokens: int) -> None:
        """Raise `ModelError` if today's quota does not suffice for this many tokens."""
        quotas = await self._ledger.get_quotas(account.key_id, [self._model], UsageKind.EMBEDDINGS)
        remaining = quotas[self._model].remaining
        if remaining is not None and tokens > remaining - quotas[self._model].usage.reserved:
            raise ModelError("Today's quota does not suffice", ModelFailure.QUOTA)

    async def _embed_chunks(
        self, account: ApiKey, chunks: list[Chunk], on_progress: ProgressCallback | None, charge: Charge
    ) -> tuple[list[Chunk], Vectors]:
        """Embed chunks; halve those that are too long for the model. Returns the final chunks and their vectors."""
        import numpy as np

        embedded: list[Chunk] = []
        vectors: list[Vectors] = []
        remaining = chunks
        while remaining:
            batch = remaining[:EMBEDDING_BATCH_SIZE]
            try:
                texts, tokens = [chunk.embedding_text for chunk in batch], sum(chunk.tokens for chunk in batch)
                result = await self._embed(account, texts, round(tokens), charge)
            except ModelError as error:
                if error.failure is not ModelFailure.OVERFLOW:
                    raise
                halves = await asyncio.to_thread(_split_in_halves, remaining)
                if len(halves) == len(remaining):
                    raise
                log.info("memory.chunks_halved", chunks=len(remaining), model=self._model)
                remaining = halves
                continue
            if vectors and result.vectors.shape[1] != vectors[0].shape[1]:
                raise ModelError("The vectors have different lengths", ModelFailure.MALFORMED)
            vectors.append(result.vectors)
            embedded += batch
            remaining = remaining[EMBEDDING_BATCH_SIZE:]
            if on_progress is not None:
                await on_progress(len(embedded) / (len(embedded) + len(remaining)))
        return embedded, np.concatenate(vectors)

    async def _embed(
        self,
        account: ApiKey,
        texts: Sequence[str],
        expected_tokens: int,
        charge: Charge,
        *,
        within_quota: bool = False,
    ) -> EmbeddingResult:
        """Send one request; the ledger reserves its tokens before and books them after, also for `charge`."""
        async with self._ledger.reserve(
            account.key_id, self._model, expected_tokens, kind=UsageKind.EMBEDDINGS, within_quota=within_quota
        ) as booking:
            charge.reservations.append(booking)
            result = await account.api.embed(texts, self._model)
            booking.reported_tokens = result.tokens
        return result

    async def search(
        self,
        account: ApiKey,
        memory: SearchedMemory,
        question: str,
        *,
        file_ids: Sequence[int] = (),
        max_tokens: float = 0.0,
    ) -> SearchResult:
        """Search for texts that fit a question; with `file_ids`, only in these files, which came with it.

        If the embedding model fails, words decide, and the failure is part of the result. Nothing is embedded if
        `max_tokens`, the room for what is found, suffices for these files as a whole.
        """
        statistics, conversation_key = memory.statistics, memory.conversation_key
        if statistics.recall_mode is RecallMode.OFF and not file_ids:
            return SearchResult()
        has_entries = statistics.note_count or statistics.file_count or statistics.message_count
        if not has_entries and not memory.messages:
            return SearchResult()
        leading_chunks = [
            chunk
            for file_id in file_ids
            for chunk in await self._store.read(memories.first_chunks, conversation_key, file_id, MAX_LEADING_CHUNKS)
        ]
        files = [
            entry for entry in await self._store.read(memories.list_entries, conversation_key) if not entry.is_note
        ]
        has_whole_files = 0 < sum(file.chunk_count for file in files if file.id in file_ids) == len(leading_chunks)
        failure: ModelFailure | None = None
        query: Vectors | None = None
        if not has_whole_files or count_file_tokens(leading_chunks) > WHOLE_FILE_SHARE * max_tokens:
            try:
                async with asyncio.timeout(self._timings.recall_timeout):
                    query = await self._embed_query(account, question, memory)
            except (ModelError, TimeoutError) as error:
                failure = error.failure if isinstance(error, ModelError) else ModelFailure.STALLED
                log.warning("memory.search_failed", failure=failure, model=self._model)
        candidates: list[ScoredChunk] = []
        if query is not None:
            candidates = await self._vector_search.search(
                conversation_key,
                query,
                self._model,
                limit_per_kind=MAX_CANDIDATES_PER_KIND,
                entry_ids=file_ids,
            )
        candidates += await self._store.read(
            memories.search_words,
            conversation_key,
            extract_terms(question),
            limit=MAX_CANDIDATES_PER_KIND,
            entry_ids=file_ids,
            only_without_vector=query is not None,
        )
        return SearchResult(
            tuple(await asyncio.to_thread(rank, question, candidates)),
            tuple(files),
            tuple(leading_chunks),
            has_whole_files=has_whole_files,
            failure=failure,
        )

    async def _embed_query(self, account: ApiKey, question: str, memory: SearchedMemory) -> Vectors:
        """The vector of a question. The request also embeds messages, notes and files that have no vector yet.

        Notes and files wait while the quota, or the person's share of it, does not suffice. Raises `ModelError`, also
        if the quota does not suffice for the question alone.
        """
        max_tokens, messages, chunks = CHUNK_TOKENS, memory.messages, memory.chunks
        prefix = QUERY_PREFIX if "mxbai" in self._model else ""
        while True:
            query = prefix + truncate(question, max_tokens - estimate_tokens(prefix))
            stored_texts = [message.text for message in messages] + [chunk.text for chunk in chunks]
            texts = [query, *(truncate(text, max_tokens) or "…" for text in stored_texts)]
            expected_tokens = round(sum(map(estimate_tokens, texts)))
            shared_model = self._model if chunks else None
            try:
                async with self._ledger.charge(
                    account.subjects, expected_tokens, embedding_model=shared_model
                ) as charge:
                    result = await self._embed(account, texts, expected_tokens, charge, within_quota=True)
            except ModelError as error:
                if chunks and error.failure in QUOTA_FAILURES:
                    chunks = ()
                    continue
                max_tokens /= 2
                if error.failure is not ModelFailure.OVERFLOW or max_tokens < MIN_QUERY_TOKENS:
                    raise
                continue
            vector: Vectors = result.vectors[0]
            if messages:
                vectors = result.vectors[1 : 1 + len(messages)]
                await self._store.write(
                    memories.index_messages, memory.conversation_key, self._model, messages, vectors, self._limits
                )
            if chunks:
                await self._store.write(memories.index_chunks, self._model, chunks, result.vectors[1 + len(messages) :])
            return vector


def _split_in_halves(chunks: Sequence[Chunk]) -> list[Chunk]:
    return [half for chunk in chunks for half in split_in_half(chunk)]


def safe_filename(name: str) -> str:
    """The last part of a path, without characters that create mentions, markup or links in a message."""
    safe = re.sub(r"[^\w .,+()-]", "_", name.replace("\\", "/").rpartition("/")[2]).strip()
    if len(safe) > MAX_FILENAME_CHARS:
        safe = f"{safe[:60]}…{safe[-15:]}"
    return safe or "file"
