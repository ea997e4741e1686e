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

from core.api.embedding import Embedded, Vectors
from core.api.table import EMBEDDING
from core.conversation.accounts import Account
from core.conversation.ledger import EMBEDDINGS, Ledger
from core.errors import DocumentError, Failure, ModelError, Unreadable
from core.memory.document import Document, Kind, Section
from core.memory.pieces import BUDGET, Piece, cost, cut, halves, head
from core.memory.ranking import rank
from core.memory.reader import Progress, Reader
from core.memory.recalled import Findings, Recalled
from core.store import memories
from core.store.database import Store
from core.store.memories import Entry, Item, Recall, Summary

__all__ = ["LONGEST_NOTE", "Kept", "Memory", "title"]

log = structlog.get_logger(__name__)

LONGEST_NOTE = 4_000  # characters
BATCH = 32  # texts embedded at once
NEAREST = 200  # of each kind looked at
OPENING = 12  # pieces of a file that was just sent, looked at anyway
PATIENCE = 8.0  # seconds that an answer waits for what is recalled
READING = 0.3  # of the work with a file; the rest is embedding
SMALLEST = 50.0  # tokens; a question that is too long even so is not searched for
ASKED = "Represent this sentence for searching relevant passages: "
"""How mxbai wants a question to be put before it, by its publisher's description."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that was read. `blank` of its `pages` have no text; 0 where it was known before."""

    entry: Entry
    pages: int = 0
    blank: int = 0


class Memory:
    """Scopes are keys of conversations: nothing given in one is known in another. Embedding is
    asked with, and counted for, the account given.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        *,
        reader: Reader | None = None,
        model: str = EMBEDDING,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._reader = reader or Reader()
        self._model = model

    # -- giving

    async def remember(self, account: Account, scope: str, text: str) -> Entry:
        """Keep a note. Raises `ModelError`, and `DocumentError` for one too long or too many."""
        text = text.strip()
        if len(text) > LONGEST_NOTE:
            raise DocumentError("The note is too long", Unreadable.TOO_LARGE)
        note = Document(Kind.TEXT, (Section(text, "note"),))
        return await self._keep(account, scope, "note", " ".join(text.split()), text.encode(), note)

    async def read(
        self,
        account: Account,
        scope: str,
        name: str,
        content: bytes,
        progress: Progress,
        *,
        person: str = "",
    ) -> Kept:
        """Read a file of `person` and keep it. Raises `DocumentError` and `ModelError`."""
        name = title(name)
        known = await self._store.read(memories.same, scope, self._digest(content))
        if known is not None:
            return Kept(known)

        async def reading(part: float) -> None:
            await progress(READING * part)

        async def embedding(part: float) -> None:
            await progress(READING + (1 - READING) * part)

        document = await self._reader.read(name, content, reading, person=person)
        entry = await self._keep(account, scope, document.kind, name, content, document, embedding)
        return Kept(entry, document.pages, document.blank)

    async def _keep(
        self,
        account: Account,
        scope: str,
        kind: str,
        name: str,
        content: bytes,
        document: Document,
        progress: Progress | None = None,
    ) -> Entry:
        pieces = await asyncio.to_thread(cut, document)
        if len(pieces) > memories.MOST_PIECES:
            raise DocumentError("It has too much text", Unreadable.TOO_LARGE)
        full = DocumentError("There is no room for more", Unreadable.FULL)
        if not await self._store.read(memories.room, scope, len(pieces)):
            raise full
        pieces, vectors = await self._embed_pieces(account, pieces, progress)
        entry = await self._store.write(
            memories.add, scope, kind=kind, name=name, digest=self._digest(content),
            model=self._model, items=[Item(piece.label, piece.text) for piece in pieces],
            vectors=vectors,
        )  # fmt: skip
        if entry is None:
            raise full
        return entry

    def _digest(self, content: bytes) -> str:
        # With the model: vectors of another one are of no use.
        return hashlib.blake2b(content, key=self._model.encode()[:64], digest_size=16).hexdigest()

    async def _embed_pieces(
        self, account: Account, pieces: list[Piece], progress: Progress | None
    ) -> tuple[list[Piece], Vectors]:
        """The pieces and their vectors; cut smaller where the model finds them too long."""
        done: list[Piece] = []
        vectors: list[Vectors] = []
        left = pieces
        while left:
            batch, rest = left[:BATCH], left[BATCH:]
            try:
                made = await self._embed(account, [piece.embedded for piece in batch])
            except ModelError as error:
                smaller = [half for piece in left for half in halves(piece)]
                if error.failure is not Failure.OVERFLOW or len(smaller) == len(left):
                    raise
                log.info("pieces too long", pieces=len(left), model=self._model)
                left = smaller
                continue
            if vectors and made.vectors.shape[1] != vectors[0].shape[1]:
                raise ModelError("The vectors cannot be compared", Failure.MALFORMED)
            vectors.append(made.vectors)
            done += batch
            left = rest
            if progress is not None:
                await progress(len(done) / (len(done) + len(left)))
        return done, np.concatenate(vectors)

    async def _embed(self, account: Account, texts: Sequence[str]) -> Embedded:
        """One request, booked in the ledger before and after."""
        ledger, model = self._ledger, self._model
        asked = round(sum(map(cost, texts)))
        async with ledger.booking(account.name, model, asked, kind=EMBEDDINGS) as booking:
            try:
                made = await account.api.embed(texts, model)
            except ModelError as error:
                await ledger.refused(account.name, model, error, EMBEDDINGS)
                raise
            booking.told = made.tokens
        return made

    # -- recalling

    async def recall(
        self, account: Account, scope: str, prompt: str, room: float, *, within: Sequence[int] = ()
    ) -> Recalled:
        """What fits `prompt` and into `room` tokens; see `find`."""
        return (await self.find(account, scope, prompt, within=within)).fitting(room)

    async def find(
        self, account: Account, scope: str, prompt: str, *, within: Sequence[int] = ()
    ) -> Findings:
        """What fits `prompt`. `within`: the files it is asked about.

        Never fails on account of the embedding model: the answer is given without.
        """
        known = await self._store.read(memories.summary, scope)
        unheld = await self._store.read(memories.unheld, scope, BATCH - 1)
        if known.recall is Recall.OFF and not within:
            return Findings()
        if not (known.notes or known.files or known.messages or unheld):
            return Findings()
        try:
            async with asyncio.timeout(PATIENCE):
                query = await self._query(account, scope, prompt, unheld)
        except ModelError as error:
            log.warning("nothing recalled", failure=error.failure, model=self._model)
            return Findings(failed=error.failure)
        except TimeoutError:
            return Findings(failed=Failure.STALLED)
        found = await self._store.read(
            memories.search, scope, query, self._model, most=NEAREST, within=within
        )
        opening = [
            piece
            for file in within
            for piece in await self._store.read(memories.opening, scope, file, OPENING)
        ]
        files = [e for e in await self._store.read(memories.entries, scope) if not e.note]
        whole = 0 < sum(file.pieces for file in files if file.id in within) == len(opening)
        return Findings(tuple(rank(prompt, found)), tuple(files), tuple(opening), whole=whole)

    async def _query(
        self, account: Account, scope: str, prompt: str, unheld: list[tuple[int, str]]
    ) -> Vectors:
        """The vector of a question; messages that have none yet get theirs on the way."""
        budget = BUDGET
        asked = ASKED if "mxbai" in self._model else ""
        while True:
            question = asked + head(prompt, budget - cost(asked))
            said = [(id_, head(text, budget)) for id_, text in unheld]
            try:
                made = await self._embed(account, [question, *(text or "…" for _, text in said)])
            except ModelError as error:
                budget /= 2
                if error.failure is not Failure.OVERFLOW or budget < SMALLEST:
                    raise
                continue
            if said:
                await self._store.write(
                    memories.hold_messages, scope, self._model, said, made.vectors[1:]
                )
            query: Vectors = made.vectors[0]
            return query

    # -- seeing and removing

    async def summary(self, scope: str) -> Summary:
        return await self._store.read(memories.summary, scope)

    async def entries(self, scope: str) -> list[Entry]:
        return await self._store.read(memories.entries, scope)

    async def forget(self, scope: str, number: int) -> Entry | None:
        return await self._store.write(memories.forget, scope, number)

    async def clear(self, scope: str) -> None:
        await self._store.write(memories.clear, scope)

    async def switch(self, scope: str, recall: Recall) -> None:
        await self._store.write(memories.switch, scope, recall)


def title(name: str) -> str:
    """A file's name as it is shown: nothing in it can act."""
    plain = re.sub(r"[^\w .,+()-]", "_", name.replace("\\", "/").rpartition("/")[2]).strip()
    if len(plain) > 80:
        plain = f"{plain[:60]}…{plain[-15:]}"
    return plain or "file"
