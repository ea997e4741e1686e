"""Memory with the real store and the stand-in's embeddings."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection

from bots.sandbox.model import ModelStandIn
from core.api.client import ModelApi
from core.conversation.api_keys import ApiKey
from core.conversation.ledger import Ledger
from core.conversation.model_registry import ModelRegistry
from core.errors import DocumentError, DocumentFailure, ModelError, ModelFailure
from core.memory import service as module
from core.memory.service import MAX_NOTE_CHARS, MemoryService, safe_filename
from core.store.database import Store
from core.store.memories import MemoryLimits, RecallMode
from core.store.schema import conversations
from core.store.token_usage import TokenUsage, UsageKind
from tests.core.api.raw_server import raw_server, response
from tests.core.memory.sample_files import make_pdf

ANN, BOB = "telegram:1:2::3", "telegram:1:2::4"
EMBEDDER = "mixedbread-ai/mxbai-embed-large-v1"


class Setup:
    def __init__(self, store: Store, model: ModelStandIn, api: ModelApi) -> None:
        self.model = model
        models = ModelRegistry(api, store, {})
        self.models = models
        self.ledger = Ledger(store, models, quotas={}, reset_hour=0)
        self.account = ApiKey("house", api)
        self.store = store
        self.memory = MemoryService(store, self.ledger)
        self.progress: list[float] = []

    async def booked_tokens(self) -> TokenUsage:
        return (await self.ledger.get_quotas("house", [EMBEDDER], UsageKind.EMBEDDINGS))[EMBEDDER].usage

    async def part(self, done: float) -> None:
        self.progress.append(done)


def create_conversations(connection: Connection) -> None:
    connection.execute(conversations.insert(), [{"key": ANN}, {"key": BOB}])


@pytest.fixture
async def side(tmp_path: Path) -> AsyncIterator[Setup]:
    store = Store(f"sqlite:///{tmp_path / 'parley.sqlite3'}")
    model = ModelStandIn()
    await asyncio.gather(store.open(), model.start())
    await store.write(create_conversations)
    api = ModelApi(model.base_url, model.api_key)
    yield Setup(store, model, api)
    await asyncio.gather(store.close(), model.close(), api.close())


async def test_note_is_recalled_for_its_author(side: Setup) -> None:
    entry = await side.memory.add_note(side.account, ANN, "  The dentist's number\nis 555-0142. ")
    assert (entry.number, entry.name) == (1, "The dentist's number is 555-0142.")
    recalled = await side.memory.recall(side.account, ANN, "what is the number of the dentist?", 2000)
    assert "555-0142" in recalled.text
    assert (await side.memory.recall(side.account, BOB, "the number of the dentist?", 2000)).text == ""
    assert (await side.memory.recall(side.account, ANN, "bake me some bread", 2000)).text == ""


@pytest.mark.slow
async def test_embedding_usage_is_booked(side: Setup) -> None:
    await side.memory.add_note(side.account, ANN, "The dentist's number is 555-0142.")
    await side.memory.add_file(side.account, ANN, "a.pdf", make_pdf(["words " * 300] * 12), side.part)
    await side.memory.recall(side.account, ANN, "dentist", 2000)
    assert (await side.booked_tokens()).tokens == side.model.usage[EMBEDDER] > 3000


async def test_unlisted_embedding_model_has_quota(side: Setup) -> None:
    assert await side.models.refresh()
    assert side.models.get(EMBEDDER) is None
    assert side.ledger.daily_limit(EMBEDDER) == 500_000
    assert side.ledger.daily_limit("some/model") is None


async def test_exhausted_quota_sends_no_request(side: Setup) -> None:
    used_up = ModelError("no more", ModelFailure.QUOTA, status=429, retry_after=3600)
    await side.ledger.record_refusal("house", EMBEDDER, used_up, UsageKind.EMBEDDINGS)
    with pytest.raises(ModelError) as caught:
        await side.memory.add_note(side.account, ANN, "The dentist's number is 555-0142.")
    assert caught.value.failure is ModelFailure.QUOTA
    assert side.model.usage[EMBEDDER] == 0


async def test_empty_scope_sends_no_request(side: Setup) -> None:
    await side.memory.recall(side.account, ANN, "dentist", 2000)
    assert side.model.usage[EMBEDDER] == 0


@pytest.mark.slow
async def test_same_file_is_read_once(side: Setup) -> None:
    content = make_pdf([f"Page about subject{n}. " * 30 for n in range(40)])
    first = await side.memory.add_file(side.account, ANN, "dir/a.pdf", content, side.part)
    assert (first.entry.name, first.entry.chunk_count, first.page_count) == ("a.pdf", 40, 40)
    assert side.progress == sorted(side.progress)
    assert side.progress[-1] == pytest.approx(1.0)
    cost = await side.booked_tokens()
    again = await side.memory.add_file(side.account, ANN, "copy.pdf", content, side.part)
    assert again.entry == first.entry
    assert await side.booked_tokens() == cost


@pytest.mark.slow
async def test_oversized_pieces_are_halved(side: Setup) -> None:
    text = "\n".join(f"fact{n} " + "is a fact among many others here, " * 12 for n in range(30))
    usual = await side.memory.add_file(side.account, ANN, "usual.txt", text.encode(), side.part)
    limit_context(side, 150)
    kept = await side.memory.add_file(side.account, BOB, "dense.txt", text.encode(), side.part)
    assert kept.entry.chunk_count >= 2 * usual.entry.chunk_count
    recalled = await side.memory.recall(side.account, BOB, "fact17", 4000)
    assert "fact17" in recalled.text


async def test_oversized_query_is_shortened(side: Setup) -> None:
    await side.memory.add_note(side.account, ANN, "The dentist's number is 555-0142.")
    limit_context(side, 150)
    question = "the dentist's number! " + "and many other words follow here, " * 3000
    recalled = await side.memory.recall(side.account, ANN, question, 2000)
    assert recalled.failure is None
    assert side.model.usage[EMBEDDER] < 400


def limit_context(side: Setup, context: int) -> None:
    """The embedding model takes so many tokens from now on."""
    side.model.models[EMBEDDER] = replace(side.model.models[EMBEDDER], context_window=context)


@pytest.mark.slow
async def test_partially_read_file_is_not_stored(side: Setup) -> None:
    side.model.quotas[EMBEDDER] = 3000
    with pytest.raises(ModelError) as caught:
        await side.memory.add_file(side.account, ANN, "a.pdf", make_pdf(["words " * 300] * 60), side.part)
    assert caught.value.failure is ModelFailure.QUOTA
    assert await side.memory.list_entries(ANN) == []
    recalled = await side.memory.recall(side.account, ANN, "words", 2000)
    assert (recalled.text, recalled.failure) == ("", None)


async def test_recall_works_without_embedding_model(side: Setup) -> None:
    await side.memory.add_note(side.account, ANN, "The dentist's number is 555-0142.")
    side.model.quotas[EMBEDDER] = 1
    recalled = await side.memory.recall(side.account, ANN, "the dentist's number", 2000)
    assert (recalled.text, recalled.failure) == ("", ModelFailure.QUOTA)


async def test_recall_times_out(side: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECALL_TIMEOUT_SECONDS", 0.2)
    await side.memory.add_note(side.account, ANN, "The dentist's number is 555-0142.")
    async with raw_server(lambda _n: [5.0]) as silent:
        api = ModelApi(silent.url, "key")
        account = ApiKey("house", api)
        recalled = await side.memory.recall(account, ANN, "the dentist's number", 2000)
        await api.close()
    assert recalled.failure is ModelFailure.STALLED


@pytest.mark.slow
async def test_limits(side: Setup) -> None:
    with pytest.raises(DocumentError) as caught:
        await side.memory.add_note(side.account, ANN, "x" * (MAX_NOTE_CHARS + 1))
    assert caught.value.failure is DocumentFailure.TOO_LARGE
    side.memory = MemoryService(side.store, side.ledger, limits=MemoryLimits(max_entries=1))
    await side.memory.add_note(side.account, ANN, "one")
    booked = await side.booked_tokens()
    with pytest.raises(DocumentError) as caught:
        await side.memory.add_file(side.account, ANN, "a.txt", b"words", side.part)
    assert caught.value.failure is DocumentFailure.FULL
    assert await side.booked_tokens() == booked


async def test_disabled_memory_and_deletion(side: Setup) -> None:
    await side.memory.add_note(side.account, ANN, "The dentist's number is 555-0142.")
    await side.memory.set_recall_mode(ANN, RecallMode.OFF)
    assert (await side.memory.recall(side.account, ANN, "the dentist's number", 2000)).text == ""
    await side.memory.set_recall_mode(ANN, RecallMode.NOTES_AND_FILES)
    assert (await side.memory.recall(side.account, ANN, "the dentist's number", 2000)).text
    assert await side.memory.delete(BOB, 1) is None
    assert await side.memory.delete(ANN, 1)
    assert (await side.memory.recall(side.account, ANN, "the dentist's number", 2000)).text == ""


@pytest.mark.parametrize(
    ("name", "shown"),
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
def test_file_name_is_sanitised(name: str, shown: str) -> None:
    assert safe_filename(name) == shown


@pytest.mark.slow
async def test_vectors_of_changed_length_are_not_stored(side: Setup) -> None:
    def vectors(number: int) -> list[bytes | float]:
        rows = [{"embedding": [1.0] * (number + 1)}] * module.EMBEDDING_BATCH_SIZE
        return [response(200, msgspec.json.encode({"data": rows}))]

    async with raw_server(vectors) as wire:
        api = ModelApi(wire.url, "secret-key")
        try:
            with pytest.raises(ModelError) as caught:
                await side.memory.add_file(ApiKey("house", api), ANN, "a.txt", b"word " * 40_000, side.part)
        finally:
            await api.close()
    assert caught.value.failure is ModelFailure.MALFORMED
    assert await side.memory.list_entries(ANN) == []
