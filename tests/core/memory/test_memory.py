"""Memory with the real store and the stand-in's embeddings."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from bots.sandbox.model import ModelStandIn
from core.api.client import ModelApi
from core.conversation.accounts import Account
from core.conversation.ledger import Ledger
from core.conversation.models import Models
from core.errors import DocumentError, Failure, ModelError, Unreadable
from core.memory import memory as module
from core.memory.memory import LONGEST_NOTE, Memory, title
from core.store import memories
from core.store.database import Store
from core.store.memories import Recall
from core.store.spending import Spent
from tests.core.api.wire import plain, serving
from tests.core.memory.files import pdf

ANN, BOB = "telegram:1:2::3", "telegram:1:2::4"
EMBEDDER = "mixedbread-ai/mxbai-embed-large-v1"


class Side:
    def __init__(self, store: Store, model: ModelStandIn, api: ModelApi) -> None:
        self.model = model
        models = Models(api, store, {})
        self.models = models
        self.ledger = Ledger(store, models, quotas={}, reset_hour=0)
        self.account = Account("house", api)
        self.memory = Memory(store, self.ledger)
        self.progress: list[float] = []

    async def booked(self) -> Spent:
        return (await self.ledger.quotas("house", [EMBEDDER], "embeddings"))[EMBEDDER].spent

    async def part(self, done: float) -> None:
        self.progress.append(done)


@pytest.fixture
async def side(tmp_path: Path) -> AsyncIterator[Side]:
    store = Store(f"sqlite:///{tmp_path / 'parley.sqlite3'}")
    model = ModelStandIn()
    await asyncio.gather(store.open(), model.start())
    api = ModelApi(model.base_url, model.api_key)
    yield Side(store, model, api)
    await asyncio.gather(store.close(), model.close(), api.close())


async def test_a_note_is_recalled_by_who_gave_it(side: Side) -> None:
    entry = await side.memory.remember(side.account, ANN, "  The dentist's number\nis 555-0142. ")
    assert (entry.number, entry.name) == (1, "The dentist's number is 555-0142.")
    recalled = await side.memory.recall(
        side.account, ANN, "what is the number of the dentist?", 2000
    )
    assert "555-0142" in recalled.text
    assert (
        await side.memory.recall(side.account, BOB, "the number of the dentist?", 2000)
    ).text == ""
    assert (await side.memory.recall(side.account, ANN, "bake me some bread", 2000)).text == ""


async def test_what_embedding_costs_is_booked_exactly(side: Side) -> None:
    await side.memory.remember(side.account, ANN, "The dentist's number is 555-0142.")
    await side.memory.read(side.account, ANN, "a.pdf", pdf(["words " * 300] * 12), side.part)
    await side.memory.recall(side.account, ANN, "dentist", 2000)
    assert (await side.booked()).tokens == side.model.used[EMBEDDER] > 3000


async def test_the_embedding_models_quota_is_known_though_nobody_lists_it(side: Side) -> None:
    assert await side.models.refresh()
    assert side.models.get(EMBEDDER) is None
    assert side.ledger.limit(EMBEDDER) == 500_000
    assert side.ledger.limit("some/model") is None


async def test_nothing_is_asked_beyond_the_quota(side: Side) -> None:
    used_up = ModelError("no more", Failure.QUOTA, status=429, retry_after=3600)
    await side.ledger.refused("house", EMBEDDER, used_up, "embeddings")
    with pytest.raises(ModelError) as caught:
        await side.memory.remember(side.account, ANN, "The dentist's number is 555-0142.")
    assert caught.value.failure is Failure.QUOTA
    assert side.model.used[EMBEDDER] == 0


async def test_who_has_nothing_here_costs_nothing(side: Side) -> None:
    await side.memory.recall(side.account, ANN, "dentist", 2000)
    assert side.model.used[EMBEDDER] == 0


async def test_a_file_is_read_once(side: Side) -> None:
    content = pdf([f"Page about subject{n}. " * 30 for n in range(40)])
    first = await side.memory.read(side.account, ANN, "dir/a.pdf", content, side.part)
    assert (first.entry.name, first.entry.pieces, first.pages) == ("a.pdf", 40, 40)
    assert side.progress == sorted(side.progress)
    assert side.progress[-1] == pytest.approx(1.0)
    cost = await side.booked()
    again = await side.memory.read(side.account, ANN, "copy.pdf", content, side.part)
    assert again.entry == first.entry
    assert await side.booked() == cost


async def test_pieces_that_the_model_finds_too_long_are_cut_smaller(side: Side) -> None:
    text = "\n".join(f"fact{n} " + "is a fact among many others here, " * 12 for n in range(30))
    usual = await side.memory.read(side.account, ANN, "usual.txt", text.encode(), side.part)
    shorter(side, 150)
    kept = await side.memory.read(side.account, BOB, "dense.txt", text.encode(), side.part)
    assert kept.entry.pieces >= 2 * usual.entry.pieces
    recalled = await side.memory.recall(side.account, BOB, "fact17", 4000)
    assert "fact17" in recalled.text


async def test_a_question_longer_than_the_model_takes_is_shortened(side: Side) -> None:
    await side.memory.remember(side.account, ANN, "The dentist's number is 555-0142.")
    shorter(side, 150)
    question = "the dentist's number! " + "and many other words follow here, " * 3000
    recalled = await side.memory.recall(side.account, ANN, question, 2000)
    assert recalled.failed is None
    assert side.model.used[EMBEDDER] < 400


def shorter(side: Side, context: int) -> None:
    """The embedding model takes so many tokens from now on."""
    side.model.models[EMBEDDER] = replace(side.model.models[EMBEDDER], context=context)


async def test_nothing_half_read_is_kept(side: Side) -> None:
    side.model.quotas[EMBEDDER] = 3000
    with pytest.raises(ModelError) as caught:
        await side.memory.read(side.account, ANN, "a.pdf", pdf(["words " * 300] * 60), side.part)
    assert caught.value.failure is Failure.QUOTA
    assert await side.memory.entries(ANN) == []
    recalled = await side.memory.recall(side.account, ANN, "words", 2000)
    assert (recalled.text, recalled.failed) == ("", None)


async def test_recall_goes_on_without_an_embedding_model(side: Side) -> None:
    await side.memory.remember(side.account, ANN, "The dentist's number is 555-0142.")
    side.model.quotas[EMBEDDER] = 1
    recalled = await side.memory.recall(side.account, ANN, "the dentist's number", 2000)
    assert (recalled.text, recalled.failed) == ("", Failure.QUOTA)


async def test_recall_does_not_wait_long(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    await side.memory.remember(side.account, ANN, "The dentist's number is 555-0142.")
    async with serving(lambda _n: [5.0]) as silent:
        api = ModelApi(silent.url, "key")
        account = Account("house", api)
        recalled = await side.memory.recall(account, ANN, "the dentist's number", 2000)
        await api.close()
    assert recalled.failed is Failure.STALLED


async def test_bounds(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DocumentError) as caught:
        await side.memory.remember(side.account, ANN, "x" * (LONGEST_NOTE + 1))
    assert caught.value.reason is Unreadable.TOO_LARGE
    monkeypatch.setattr(memories, "MOST_ENTRIES", 1)
    await side.memory.remember(side.account, ANN, "one")
    booked = await side.booked()
    with pytest.raises(DocumentError) as caught:
        await side.memory.read(side.account, ANN, "a.txt", b"words", side.part)
    assert caught.value.reason is Unreadable.FULL
    assert await side.booked() == booked


async def test_off_recalls_nothing_and_forgetting_is_for_good(side: Side) -> None:
    await side.memory.remember(side.account, ANN, "The dentist's number is 555-0142.")
    await side.memory.switch(ANN, Recall.OFF)
    assert (await side.memory.recall(side.account, ANN, "the dentist's number", 2000)).text == ""
    await side.memory.switch(ANN, Recall.GIVEN)
    assert (await side.memory.recall(side.account, ANN, "the dentist's number", 2000)).text
    assert await side.memory.forget(BOB, 1) is None
    assert await side.memory.forget(ANN, 1)
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
def test_a_files_name_is_shown_without_what_could_act(name: str, shown: str) -> None:
    assert title(name) == shown


async def test_vectors_whose_length_changes_are_not_kept(side: Side) -> None:
    def vectors(number: int) -> list[bytes | float]:
        rows = [{"embedding": [1.0] * (number + 1)}] * module.BATCH
        return [plain(200, msgspec.json.encode({"data": rows}))]

    async with serving(vectors) as wire:
        api = ModelApi(wire.url, "secret-key")
        try:
            with pytest.raises(ModelError) as caught:
                await side.memory.read(
                    Account("house", api), ANN, "a.txt", b"word " * 40_000, side.part
                )
        finally:
            await api.close()
    assert caught.value.failure is Failure.MALFORMED
    assert await side.memory.entries(ANN) == []
