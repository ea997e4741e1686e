"""The memory with the real store and the stand-in's embeddings."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection, func, select

from bots.sandbox.model import ModelStandIn
from core.api.client import ModelApi
from core.conversation.api_keys import ApiKey
from core.conversation.ledger import Ledger
from core.conversation.model_registry import ModelRegistry
from core.errors import DocumentError, DocumentFailure, ModelError, ModelFailure
from core.i18n.translation import read_catalogue, speaking
from core.memory.chunks import estimate_tokens, split_document, split_in_half
from core.memory.file_document import FileDocument, FileKind, Section
from core.memory.ranking import rank
from core.memory.recall import RecalledContext, SearchResult
from core.memory.service import (
    EMBEDDING_BATCH_SIZE,
    MAX_NOTE_CHARS,
    MAX_UNINDEXED_TEXTS,
    MemoryService,
    safe_filename,
)
from core.settings import Settings
from core.store import memories
from core.store.database import Store
from core.store.memories import MemoryLimits, RecallMode
from core.store.schema import conversations, memory_chunks
from core.store.token_usage import TokenUsage, UsageKind, get_daily_usage
from core.texts.memory import recall_note
from core.timings import Timings
from tests.core.api.raw_server import raw_server, response
from tests.core.memory.office_files import make_xlsx
from tests.core.memory.sample_files import make_pdf
from tests.counting import calls_in_this_thread
from tests.sqlite import sqlite_url

CONVERSATIONS = ANN, BOB = "telegram:1:2::3", "telegram:1:2::4"
PERSON = "person:telegram:3"
EMBEDDER = "mixedbread-ai/mxbai-embed-large-v1"
MAX_TOKENS = 2000


NOTE = "The dentist's number is 555-0142."
QUESTION = "the dentist's number"


class Environment:
    def __init__(self, store: Store, model: ModelStandIn, api: ModelApi) -> None:
        self.model = model
        self.models = ModelRegistry(api, store, Settings())
        self.ledger = Ledger(store, self.models, Settings())
        self.account = ApiKey("house", api)
        self.store = store
        self.memory = MemoryService(store, self.ledger)
        self.progress: list[float] = []

    async def booked_tokens(self) -> TokenUsage:
        return (await self.ledger.get_quotas("house", [EMBEDDER], UsageKind.EMBEDDINGS))[EMBEDDER].usage

    async def search(
        self,
        conversation_key: str,
        question: str = QUESTION,
        *,
        service: MemoryService | None = None,
        account: ApiKey | None = None,
        file_ids: Sequence[int] = (),
        max_tokens: float = 0.0,
    ) -> SearchResult:
        conversation_id = CONVERSATIONS.index(conversation_key) + 1
        searched = await self.store.read(memories.get_searched, conversation_id, MAX_UNINDEXED_TEXTS)
        service = service or self.memory
        return await service.search(
            account or self.account, searched, question, file_ids=file_ids, max_tokens=max_tokens
        )

    async def recall(
        self, conversation_key: str, question: str = QUESTION, *, account: ApiKey | None = None
    ) -> RecalledContext:
        return (await self.search(conversation_key, question, account=account)).fit(MAX_TOKENS)

    async def on_progress(self, fraction: float) -> None:
        self.progress.append(fraction)

    def limit_context(self, tokens: int) -> None:
        """Reduce the context window of the embedding model."""
        self.model.models[EMBEDDER] = replace(self.model.models[EMBEDDER], context_window=tokens)


def count_without_vector(connection: Connection) -> int:
    query = select(func.count()).select_from(memory_chunks).where(func.length(memory_chunks.c.vector) == 0)
    return connection.scalar(query) or 0


def create_conversations(connection: Connection) -> None:
    connection.execute(conversations.insert(), [{"key": key} for key in CONVERSATIONS])


@pytest.fixture
async def env(tmp_path: Path) -> AsyncIterator[Environment]:
    store = Store(sqlite_url(tmp_path))
    model = ModelStandIn()
    await asyncio.gather(store.open(), model.start())
    await store.write(create_conversations)
    api = ModelApi(model.base_url, model.api_key)
    yield Environment(store, model, api)
    await asyncio.gather(store.close(), model.close(), api.close())


async def test_note_is_recalled_for_its_author(env: Environment) -> None:
    entry = (await env.memory.add_note(env.account, ANN, "  The dentist's number\nis 555-0142. ")).entry
    assert (entry.number, entry.name) == (1, "The dentist's number is 555-0142.")
    recalled = await env.recall(ANN, "what is the number of the dentist?")
    assert "555-0142" in recalled.text
    assert (await env.recall(BOB, "the number of the dentist?")).text == ""
    assert (await env.recall(ANN, "bake me some bread")).text == ""


@pytest.mark.slow
async def test_embedding_usage_is_booked(env: Environment) -> None:
    await env.memory.add_note(env.account, ANN, NOTE)
    await env.memory.add_file(env.account, ANN, "a.pdf", make_pdf(["words " * 300] * 12), env.on_progress)
    await env.recall(ANN, "dentist")
    assert (await env.booked_tokens()).tokens == env.model.usage[EMBEDDER] > 3000


async def test_model_may_have_a_long_name(env: Environment) -> None:
    """The key of a digest has at most 64 bytes."""
    for name in ("m" * 64, "m" * 65, "漢" * 100):
        memory = MemoryService(env.store, env.ledger, model=name)
        first = (await memory.add_note(env.account, ANN, f"My note for {name}")).entry
        again = (await memory.add_note(env.account, ANN, f"My note for {name}")).entry
        assert again.number == first.number, "it is stored once"


async def test_unlisted_embedding_model_has_quota(env: Environment) -> None:
    assert await env.models.refresh()
    assert env.models.get(EMBEDDER) is None
    assert env.ledger.daily_limit(EMBEDDER) == 500_000
    assert env.ledger.daily_limit("some/model") is None


async def test_exhausted_quota_sends_no_request(env: Environment) -> None:
    quota_error = ModelError("no more", ModelFailure.QUOTA, status=429, retry_after=3600)
    await env.ledger.record_refusal("house", EMBEDDER, quota_error, UsageKind.EMBEDDINGS)
    stored = await env.memory.add_note(env.account, ANN, NOTE)
    assert stored.failure is ModelFailure.QUOTA
    assert env.model.usage[EMBEDDER] == 0
    recalled = await env.recall(ANN, "what is the number of the DENTIST?")
    assert "555-0142" in recalled.text
    assert recalled.failure is ModelFailure.QUOTA
    assert (await env.recall(BOB, "the number of the dentist?")).text == ""
    assert (await env.recall(ANN, "bake me some bread")).text == ""


async def test_entries_without_vectors_are_found_beside_others(env: Environment) -> None:
    await env.memory.add_note(env.account, ANN, "My bicycle is green.")
    embedder = env.model.models.pop(EMBEDDER)
    assert (await env.memory.add_note(env.account, ANN, "Überweisung an die Bäckerei")).failure is not None
    env.model.models[EMBEDDER] = embedder
    recalled = await env.recall(ANN, "die überweisung")
    assert ("Überweisung" in recalled.text, recalled.failure) == (True, None)


@pytest.mark.slow
async def test_entries_get_their_vectors_when_quota_is_back(env: Environment) -> None:
    """Searches embed them, some at a time; meanwhile their words are found."""
    embedder = env.model.models.pop(EMBEDDER)
    text = "\n\n".join(
        f"Room {number} is painted {'green' if number == 60 else 'white'}. " * 20 for number in range(90)
    )
    stored = await env.memory.add_file(env.account, ANN, "rooms.txt", text.encode(), env.on_progress)
    assert stored.failure is not None
    env.model.models[EMBEDDER] = embedder
    missing = stored.entry.chunk_count
    assert missing > EMBEDDING_BATCH_SIZE
    while missing:
        recalled = await env.recall(ANN, "Which room is green?")
        assert ("painted green" in recalled.text, recalled.failure) == (True, None)
        remaining = await env.store.read(count_without_vector)
        assert remaining == max(0, missing - EMBEDDING_BATCH_SIZE + 1)
        missing = remaining
    tokens = env.model.usage[EMBEDDER]
    await env.recall(ANN, "Which room is green?")
    assert env.model.usage[EMBEDDER] - tokens < 100, "the question alone"


@pytest.mark.slow
async def test_search_works_while_entries_wait_for_quota(env: Environment) -> None:
    ledger = Ledger(env.store, env.models, Settings(quotas={EMBEDDER: 1500}))
    memory = MemoryService(env.store, ledger)
    text = "\n\n".join(f"Room {number} is painted white. " * 20 for number in range(20))
    assert (await memory.add_file(env.account, ANN, "a.txt", text.encode(), env.on_progress)).failure is not None
    await memory.add_note(env.account, ANN, NOTE)
    result = await env.search(ANN, "the number of the dentist?", service=memory)
    assert ("555-0142" in result.fit(MAX_TOKENS).text, result.failure) == (True, None)
    assert env.model.usage[EMBEDDER] < 200


@pytest.mark.slow
async def test_small_file_is_read_as_a_whole_without_embedding(env: Environment) -> None:
    stored = await env.memory.add_file(env.account, ANN, "a.txt", f"A line.\n{NOTE}".encode(), env.on_progress)
    assert stored.failure is None
    result = await env.search(ANN, "Whom do I call?", file_ids=[stored.entry.id], max_tokens=MAX_TOKENS)
    assert ("555-0142" in result.fit(MAX_TOKENS).text, result.failure) == (True, None)
    assert env.model.usage[EMBEDDER] == 0
    assert "555-0142" in (await env.recall(ANN)).text
    assert env.model.usage[EMBEDDER] > 0, "a later question searches for it"
    assert await env.store.read(count_without_vector) == 0


@pytest.mark.slow
async def test_small_file_is_searched_if_the_window_is_smaller(env: Environment) -> None:
    content = "\n\n".join(f"Paragraph {number} about something else. " * 3 for number in range(30)) + NOTE
    stored = await env.memory.add_file(env.account, ANN, "a.txt", content.encode(), env.on_progress)
    assert env.model.usage[EMBEDDER] == 0
    result = await env.search(ANN, QUESTION, file_ids=[stored.entry.id], max_tokens=500)
    assert "555-0142" in result.matches[0].text
    assert env.model.usage[EMBEDDER] > 0


@pytest.mark.slow
async def test_person_may_spend_a_share_of_the_quota_on_files(env: Environment) -> None:
    ledger = Ledger(env.store, env.models, Settings(quotas={EMBEDDER: 10_000}))
    memory, account = MemoryService(env.store, ledger), replace(env.account, subjects=(PERSON,))
    for number, failure in enumerate((None, ModelFailure.ALLOWANCE)):
        content = f"file{number} ".encode() + b"word " * 2000
        assert (await memory.add_file(account, ANN, f"{number}.txt", content, env.on_progress)).failure is failure
    other = replace(env.account, subjects=("person:telegram:9",))
    assert (await memory.add_note(other, BOB, NOTE)).failure is None
    assert len(await env.store.read(memories.list_entries, ANN)) == 2


@pytest.mark.slow
async def test_resent_file_is_cited_by_its_new_name(env: Environment) -> None:
    for name in ("draft.txt", "final.txt"):
        stored = await env.memory.add_file(env.account, ANN, name, b"the Kestrel K-77 stops", env.on_progress)
        assert stored.entry.name == name
    assert [entry.name for entry in await env.store.read(memories.list_entries, ANN)] == ["final.txt"]


@pytest.mark.slow
async def test_only_a_spreadsheet_has_sheets(env: Environment) -> None:
    """A heading may begin with the same word, and is not translated."""
    content = make_xlsx({"music": [["bird", "song"], ["heron", "none"]]})
    spreadsheet = await env.memory.add_file(env.account, ANN, "a.xlsx", content, env.on_progress)
    text = await env.memory.add_file(env.account, ANN, "b.md", b"# sheet music\n\nHerons.", env.on_progress)
    file_ids = [spreadsheet.entry.id, text.entry.id]
    context = (await env.search(ANN, file_ids=file_ids, max_tokens=MAX_TOKENS)).fit(MAX_TOKENS)
    with speaking(read_catalogue("de")):
        note = recall_note(context, "[1] [2]")
    assert note == "Quellen: [1] a.xlsx, Tabellenblatt music; [2] b.md, sheet music"


async def test_empty_memory_sends_no_request(env: Environment) -> None:
    await env.recall(ANN, "dentist")
    assert env.model.usage[EMBEDDER] == 0


@pytest.mark.slow
async def test_same_file_is_read_once(env: Environment) -> None:
    content = make_pdf([f"Page about subject{n}. " * 30 for n in range(40)])
    first = await env.memory.add_file(env.account, ANN, "dir/a.pdf", content, env.on_progress)
    assert (first.entry.name, first.entry.chunk_count, first.page_count) == ("a.pdf", 40, 40)
    assert env.progress == sorted(env.progress)
    assert env.progress[-1] == pytest.approx(1.0)
    used_tokens = await env.booked_tokens()
    again = await env.memory.add_file(env.account, ANN, "copy.pdf", content, env.on_progress)
    assert again.entry.id == first.entry.id
    assert await env.booked_tokens() == used_tokens


@pytest.mark.slow
async def test_whole_file_is_found_beside_other_files(env: Environment) -> None:
    contents = (make_pdf([f"Page about subject{n}. " * 30 for n in range(pages)]) for pages in (2, 5))
    small, _large = [await env.memory.add_file(env.account, ANN, "a.pdf", c, env.on_progress) for c in contents]
    result = await env.search(ANN, "subject1", file_ids=[small.entry.id])
    assert result.has_whole_files
    assert len(result.leading_chunks) == small.entry.chunk_count


@pytest.mark.slow
async def test_oversized_chunks_are_halved(env: Environment) -> None:
    text = "\n".join(f"fact{n} " + "is a fact among many others here, " * 12 for n in range(30))
    usual = await env.memory.add_file(env.account, ANN, "usual.txt", text.encode(), env.on_progress)
    env.limit_context(150)
    halved = await env.memory.add_file(env.account, BOB, "dense.txt", text.encode(), env.on_progress)
    assert halved.entry.chunk_count >= 2 * usual.entry.chunk_count
    recalled = await env.recall(BOB, "fact17")
    assert "fact17" in recalled.text


@pytest.mark.slow
@pytest.mark.parametrize("context_tokens", [512, 150])
async def test_tokens_of_a_file_are_estimated_elsewhere(env: Environment, context_tokens: int) -> None:
    """The event loop must not wait for the estimates of a file with a million characters, nor for its halves."""
    env.limit_context(context_tokens)
    text = "word after word, line after line.\n" * 1000
    with calls_in_this_thread(estimate_tokens, split_in_half) as calls:
        stored = await env.memory.add_file(env.account, ANN, "a.txt", text.encode(), env.on_progress)
    assert (stored.failure, calls) == (None, [])


async def test_matches_are_ranked_in_a_thread(env: Environment) -> None:
    await env.memory.add_note(env.account, ANN, NOTE)
    with calls_in_this_thread(rank) as calls:
        assert (await env.search(ANN)).matches
    assert calls == []


async def test_oversized_query_is_shortened(env: Environment) -> None:
    await env.memory.add_note(env.account, ANN, NOTE)
    env.limit_context(150)
    question = "the dentist's number! " + "and many other words follow here, " * 3000
    recalled = await env.recall(ANN, question)
    assert recalled.failure is None
    assert env.model.usage[EMBEDDER] < 400


@pytest.mark.slow
async def test_file_that_exceeds_the_quota_is_stored_without_vectors(env: Environment) -> None:
    env.model.quotas[EMBEDDER] = 3000
    pages = make_pdf(["words " * 300] * 60)
    assert (await env.memory.add_file(env.account, ANN, "a.pdf", pages, env.on_progress)).failure is ModelFailure.QUOTA
    assert len(await env.store.read(memories.list_entries, ANN)) == 1


@pytest.mark.slow
async def test_quota_is_estimated_before_a_file_is_embedded(env: Environment) -> None:
    memory = MemoryService(env.store, Ledger(env.store, env.models, Settings(quotas={EMBEDDER: 3000})))
    pages = make_pdf([f"page{number} " + "words " * 300 for number in range(60)])
    assert (await memory.add_file(env.account, ANN, "a.pdf", pages, env.on_progress)).failure is ModelFailure.QUOTA
    assert env.model.usage[EMBEDDER] == 0
    assert (await memory.add_note(env.account, ANN, NOTE)).failure is None
    recalled = (await env.search(ANN, "What is on page17?", service=memory)).fit(MAX_TOKENS)
    assert "page17" in recalled.text


@pytest.mark.parametrize(("missing_tokens", "failure"), [(0, None), (1, ModelFailure.QUOTA)])
async def test_last_tokens_of_the_quota_are_used(
    env: Environment, missing_tokens: int, failure: ModelFailure | None
) -> None:
    note = FileDocument(FileKind.TEXT, (Section(NOTE, "note"),))
    tokens = round(sum(estimate_tokens(chunk.embedding_text) for chunk in split_document(note)))
    ledger = Ledger(env.store, env.models, Settings(quotas={EMBEDDER: tokens - missing_tokens}))
    assert (await MemoryService(env.store, ledger).add_note(env.account, ANN, NOTE)).failure is failure


async def test_recall_works_without_embedding_model(env: Environment) -> None:
    await env.memory.add_note(env.account, ANN, NOTE)
    env.model.quotas[EMBEDDER] = 1
    recalled = await env.recall(ANN)
    assert ("555-0142" in recalled.text, recalled.failure) == (True, ModelFailure.QUOTA)


async def test_recall_times_out(env: Environment) -> None:
    await env.memory.add_note(env.account, ANN, NOTE)
    env.memory = MemoryService(env.store, env.ledger, timings=Timings(recall_timeout=0.2))
    async with raw_server(lambda _n: [5.0]) as silent_server:
        api = ModelApi(silent_server.url, "key")
        recalled = await env.recall(ANN, account=ApiKey("house", api))
        await api.close()
    assert recalled.failure is ModelFailure.STALLED


async def test_abandoned_search_counts_for_the_daily_limit(env: Environment) -> None:
    await env.memory.add_note(env.account, ANN, NOTE)
    before = (await env.booked_tokens()).tokens
    ledger = Ledger(env.store, env.models, Settings(person_tokens=5000))
    memory = MemoryService(env.store, ledger, timings=Timings(recall_timeout=0.2))
    async with raw_server(lambda _n: [5.0]) as silent_server:
        api = ModelApi(silent_server.url, "key")
        await env.search(ANN, service=memory, account=ApiKey("house", api, subjects=(PERSON,)))
        await api.close()
    booked = (await env.booked_tokens()).tokens - before
    counted = (await env.store.read(get_daily_usage, [PERSON], ledger.today()))[PERSON].tokens
    assert counted == booked > 0


async def test_length_of_note_is_limited(env: Environment) -> None:
    assert (await env.memory.add_note(env.account, ANN, f" {'x' * MAX_NOTE_CHARS} ")).entry.number == 1
    with pytest.raises(DocumentError) as caught:
        await env.memory.add_note(env.account, ANN, "x" * (MAX_NOTE_CHARS + 1))
    assert caught.value.failure is DocumentFailure.TOO_LARGE


@pytest.mark.slow
async def test_number_of_entries_is_limited(env: Environment) -> None:
    env.memory = MemoryService(env.store, env.ledger, limits=MemoryLimits(max_entries=1))
    await env.memory.add_note(env.account, ANN, "one")
    used_tokens = await env.booked_tokens()
    with pytest.raises(DocumentError) as caught:
        await env.memory.add_file(env.account, ANN, "a.txt", b"words", env.on_progress)
    assert caught.value.failure is DocumentFailure.FULL
    assert await env.booked_tokens() == used_tokens


async def test_disabled_memory_and_deletion(env: Environment) -> None:
    await env.memory.add_note(env.account, ANN, NOTE)
    await env.store.write(memories.set_recall_mode, ANN, RecallMode.OFF)
    assert (await env.recall(ANN)).text == ""
    await env.store.write(memories.set_recall_mode, ANN, RecallMode.NOTES_AND_FILES)
    assert (await env.recall(ANN)).text
    assert await env.store.write(memories.delete_entry, BOB, 1) is None
    assert await env.store.write(memories.delete_entry, ANN, 1)
    assert (await env.recall(ANN)).text == ""


@pytest.mark.parametrize(
    ("name", "safe_name"),
    [
        ("report_2.pdf", "report_2.pdf"),
        ("C:\\docs\\Ärzte 2024.pdf", "Ärzte 2024.pdf"),
        ("../../etc/passwd", "passwd"),
        ("report (1).pdf", "report (1).pdf"),
        ("@everyone [x](http:evil)`*.txt", "_everyone _x_(http_evil)__.txt"),
        ("", "file"),
        ("a" * 200 + ".pdf", "a" * 60 + "…" + "a" * 11 + ".pdf"),
    ],
)
def test_filename_is_sanitised(name: str, safe_name: str) -> None:
    assert safe_filename(name) == safe_name


@pytest.mark.slow
async def test_vectors_of_changed_length_are_not_stored(env: Environment) -> None:
    def vectors(number: int) -> list[bytes | float]:
        rows = [{"embedding": [1.0] * (number + 1)}] * EMBEDDING_BATCH_SIZE
        return [response(200, msgspec.json.encode({"data": rows}))]

    async with raw_server(vectors) as server:
        api = ModelApi(server.url, "secret-key")
        try:
            stored = await env.memory.add_file(ApiKey("house", api), ANN, "a.txt", b"word " * 40_000, env.on_progress)
        finally:
            await api.close()
    assert stored.failure is ModelFailure.MALFORMED


@pytest.mark.slow
async def test_parallel_files_stay_within_the_daily_limit(env: Environment) -> None:
    ledger = Ledger(env.store, env.models, Settings(person_tokens=5000))
    memory = MemoryService(env.store, ledger)
    account = replace(env.account, subjects=(PERSON,))
    files = [f"file {number} ".encode() + b"word " * 2000 for number in range(4)]
    results = await asyncio.gather(
        *(memory.add_file(account, ANN, f"{n}.txt", file, env.on_progress) for n, file in enumerate(files))
    )
    failures = [stored.failure for stored in results if stored.failure]
    assert set(failures) == {ModelFailure.ALLOWANCE}
    assert 0 < len(failures) < 4
    assert 0 < (await env.booked_tokens()).tokens <= 5000
