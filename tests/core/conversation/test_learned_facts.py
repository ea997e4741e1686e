"""What services taught: shared by processes, for one service, until it expires or the operator resets it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.api.service_facts import Fact, FactKind
from core.conversation.learned_facts import LearnedFacts
from core.store.database import Store
from core.store.learned_facts import save_facts
from core.timings import Timings
from tests.clock import FakeClock
from tests.core.faulty_store import FaultyStore
from tests.sqlite import sqlite_url

GEMMA, PHI = "google/gemma-2-9b-it", "microsoft/phi-4"
URL = "https://user:secret@example.org:8443/api/v1/"
DAY = 86_400


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(sqlite_url(tmp_path))
    await store.open()
    yield store
    await store.close()


async def test_other_processes_learn_from_one(store: Store) -> None:
    first, second = LearnedFacts(store, URL), LearnedFacts(store, URL)
    await first.learn_rejected_parts(GEMMA, ["system role"])
    await first.learn_context_limit(GEMMA, 4096, is_counted=False)
    assert second.context_limit(GEMMA) is None
    await second.list_facts()
    assert second.rejected_parts(GEMMA) == {"system role"}
    assert second.context_limit(GEMMA) == 4096
    assert (second.rejected_parts(PHI), second.context_limit(PHI)) == (frozenset(), None)


async def test_facts_are_read_once_in_an_interval(store: Store) -> None:
    clock = FakeClock()
    first, second = LearnedFacts(store, URL), LearnedFacts(store, URL, timings=Timings(clock=clock))
    await second.refresh()
    await first.learn_rejected_parts(GEMMA, ["system role"])
    await clock.advance(9.9)
    await second.refresh()
    assert second.rejected_parts(GEMMA) == frozenset()
    await clock.advance(0.1)
    await second.refresh()
    assert second.rejected_parts(GEMMA) == {"system role"}


async def test_facts_are_of_one_service(store: Store) -> None:
    await LearnedFacts(store, URL).learn_rejected_parts(GEMMA, ["system role"])
    other = LearnedFacts(store, "https://example.org/v1")
    await other.refresh()
    assert other.rejected_parts(GEMMA) == frozenset()


async def test_facts_expire(store: Store) -> None:
    facts = LearnedFacts(store, URL, timings=Timings(learned_fact_lifetime=0))
    await facts.learn_rejected_parts(GEMMA, ["stream_options"])
    assert facts.rejected_parts(GEMMA)
    await facts.list_facts()
    assert facts.rejected_parts(GEMMA) == frozenset()


async def test_operator_sees_and_resets_facts(store: Store) -> None:
    facts = LearnedFacts(store, URL)
    await facts.learn_rejected_parts(PHI, ["temperature=0.3"])
    await facts.learn_rejected_parts(GEMMA, ["system role"])
    listed = await facts.list_facts()
    assert [item.fact for item in listed] == [
        Fact(GEMMA, FactKind.REJECTED_PART, "system role"),
        Fact(PHI, FactKind.REJECTED_PART, "temperature=0.3"),
    ]
    assert listed[0].remaining_seconds == pytest.approx(DAY, abs=60)
    assert await facts.reset([PHI]) == 1
    assert facts.rejected_parts(PHI) == frozenset()
    assert facts.rejected_parts(GEMMA) == {"system role"}
    assert await facts.reset([GEMMA]) == 1
    assert await facts.list_facts() == []


async def test_smallest_limit_counts(store: Store) -> None:
    facts = LearnedFacts(store, URL)
    for limit in (8192, 4096, 16_000):
        await facts.learn_context_limit(PHI, limit, is_counted=False)
    assert facts.context_limit(PHI) == 4096


@pytest.mark.parametrize("limit", [0, 511, 10**12])
async def test_implausible_limit_is_not_learned(store: Store, limit: int) -> None:
    facts = LearnedFacts(store, URL)
    await facts.learn_context_limit(PHI, limit, is_counted=False)
    assert facts.context_limit(PHI) is None


@pytest.mark.parametrize(("second", "limit"), [(4010, 4010), (4000, 4000), (5000, None)])
async def test_one_count_is_no_limit(store: Store, second: int, limit: int | None) -> None:
    facts = LearnedFacts(store, URL)
    await facts.learn_context_limit(PHI, 4000, is_counted=True)
    assert facts.context_limit(PHI) is None
    await facts.learn_context_limit(PHI, second, is_counted=True)
    assert facts.context_limit(PHI) == limit


async def test_password_of_the_address_is_not_stored(store: Store, tmp_path: Path) -> None:
    await LearnedFacts(store, URL).learn_rejected_parts(PHI, ["stream_options"])
    await store.close()
    assert b"secret" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


async def test_fact_is_used_although_it_cannot_be_stored(store: Store) -> None:
    faulty = FaultyStore(store)
    facts = LearnedFacts(faulty.as_store(), URL)
    faulty.start_outage(save_facts)
    await facts.learn_rejected_parts(PHI, ["stream_options"])
    assert facts.rejected_parts(PHI) == {"stream_options"}
