"""When the older part of a conversation is summarised, by which model, and in what portions."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import Connection, insert

from bots.sandbox.model import ModelStandIn
from core.api.catalogue import Model
from core.api.client import ChatRequest, ModelApi
from core.conversation.api_keys import ApiKey
from core.conversation.composer import ComposedRequest
from core.conversation.context_window import FittedPrompt
from core.conversation.ledger import Ledger, key_id_of
from core.conversation.model_registry import ModelRegistry
from core.conversation.summariser import (
    MAX_CONCURRENT_TASKS,
    MAX_SUMMARY_CHARS,
    MIN_LOST_FRACTION,
    MIN_REMAINING_QUOTA_TOKENS,
    MIN_SUMMARISED_CONTEXT_TOKENS,
    SUMMARY_TOKENS,
    Summariser,
)
from core.conversation.token_estimator import TokenEstimator
from core.conversation.tokens import TokenWeights
from core.settings import Settings
from core.store.database import Store
from core.store.history import ConversationHistory, ConversationSummary, StoredMessage, load_history, save_summary
from core.store.schema import messages
from core.store.token_usage import get_daily_usage
from tests.core.faulty_store import FaultyStore
from tests.core.store.many_rows import insert_messages
from tests.core.store.turn_helpers import accept, claim
from tests.sqlite import sqlite_url
from tests.waiting import wait_until

SMALL = Model("a/small-3B", MIN_SUMMARISED_CONTEXT_TOKENS)
LARGE = Model("a/large-70B", 128_000)
WINDOW = 4000
"""Of the model that answers."""
ESTIMATOR = TokenEstimator(TokenWeights())
NO_SUMMARY = ConversationSummary()
ANN = "person:fake:5"
ENGLISH = "Several words of Ann's. "
CHINESE = "汉字没有空格每个字都算一个词元"
DIGITS = "3141592653589793"
WIDE_TABLE = ("|" + "\t" * 1999) * 5
LONG = ENGLISH * 100


class SummariserHarness:
    """A summariser with a stand-in of the service, and a conversation of Ann's."""

    def __init__(self, store: Store, service: ModelStandIn, api: ModelApi) -> None:
        self._turns = store
        self.store = FaultyStore(store)
        self.service = service
        self._api = api
        self._summariser: Summariser | None = None
        self.ledger: Ledger

    async def start(self, models: Sequence[Model] = (SMALL,), quotas: Mapping[str, int] | None = None) -> Summariser:
        """A summariser that may ask these models."""
        self.service.models = {model.id: model for model in models}
        settings = Settings(quotas=dict(quotas or {}), person_tokens=1_000_000)
        registry = ModelRegistry(self._api, self.store.as_store(), settings)
        await registry.fetch()
        self.ledger = Ledger(self.store.as_store(), registry, settings)
        self._summariser = Summariser(self.store.as_store(), registry, self.ledger)
        return self._summariser

    @property
    def api_key(self) -> ApiKey:
        return ApiKey(key_id_of(self.service.api_key), self._api, subjects=(ANN,))

    @property
    def prompts(self) -> list[str]:
        return [request.body["messages"][1]["content"] for request in self.service.requests]

    async def create_conversation(self, key: str = "ann") -> int:
        await accept(self._turns, key, conversation=key)
        (turn,) = await claim(self._turns)
        return turn.conversation_id

    async def summarise(
        self, *texts: str, summary: ConversationSummary = NO_SUMMARY, models: Sequence[Model] = (SMALL,)
    ) -> ConversationSummary:
        """The summary that is stored after a request left out these messages."""
        summariser = await self.start(models)
        conversation_id = await self.create_conversation()
        await self._turns.write(insert_left_out, conversation_id, texts)
        if summary.up_to_message:
            await self.store.write(save_summary, conversation_id, summary, "m", 0)
        writing = asyncio.create_task(self.store.wait_for_writes(save_summary))
        await asyncio.sleep(0)
        summariser.summarise_if_needed(conversation_id, composed_without(*texts, summary=summary), self.api_key)
        await writing
        return (await self.store.read(load_history, conversation_id, None, 10)).summary


def insert_left_out(connection: Connection, conversation_id: int, texts: Sequence[str]) -> None:
    """Those of `composed_without`."""
    columns = {"conversation_id": conversation_id, "turn_id": 1, "role": "user", "created_at": 0}
    connection.execute(insert(messages), [{"id": id_, "text": text, **columns} for id_, text in enumerate(texts, 1)])


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[SummariserHarness]:
    store, service = Store(sqlite_url(tmp_path)), ModelStandIn(tokens_per_second=1_000_000)
    await store.open()
    await service.start()
    service.answer = lambda _: "Ann counts."
    api = ModelApi(service.base_url, service.api_key)
    harness = SummariserHarness(store, service, api)
    yield harness
    if harness._summariser is not None:
        await harness._summariser.close()
    await api.close()
    await service.close()
    await store.close()


def composed_without(*texts: str, summary: ConversationSummary = NO_SUMMARY) -> ComposedRequest:
    """A request that left these messages out; those up to `summary.up_to_message` are already summarised."""
    left_out = tuple(
        StoredMessage(number, "user" if number % 2 else "assistant", text) for number, text in enumerate(texts, 1)
    )
    history = ConversationHistory((*left_out, StoredMessage(len(texts) + 1, "user", "in the request")), summary)
    prompt = FittedPrompt((), len(texts), 100, 10)
    return ComposedRequest(ChatRequest("m", ()), prompt, history, ESTIMATOR, WINDOW, has_summary=bool(summary.text))


# Whether to summarise


async def test_first_summary_needs_one_message(harness: SummariserHarness) -> None:
    assert await harness.summarise("short") == ConversationSummary(1, "Ann counts.")
    (prompt,) = harness.prompts
    assert prompt == "Summary so far:\n(none)\n\nMessages:\nuser: short"
    body = harness.service.requests[0].body
    assert body["max_completion_tokens"] == SUMMARY_TOKENS


async def starts(
    summariser: Summariser, harness: SummariserHarness, composed: ComposedRequest, api_key: ApiKey | None = None
) -> bool:
    """Whether the summariser has something to do; waits until it is done."""
    conversation_id = await harness.create_conversation()
    before = asyncio.all_tasks()
    summariser.summarise_if_needed(conversation_id, composed, api_key or harness.api_key)
    started = asyncio.all_tasks() - before
    if started:
        await asyncio.wait(started)
    return bool(started)


@pytest.mark.parametrize("is_worthwhile", [False, True])
async def test_next_summary_needs_a_share_of_the_window(harness: SummariserHarness, is_worthwhile: bool) -> None:
    summary = ConversationSummary(1, "Ann counts.")
    few = "word " * 10
    while ESTIMATOR.estimate_text(few + "word ") <= MIN_LOST_FRACTION * WINDOW:
        few += "word "
    text = few + "word " if is_worthwhile else few
    composed = composed_without("summarised already " * 1000, text, summary=summary)
    assert await starts(await harness.start(), harness, composed) is is_worthwhile
    assert len(harness.prompts) == int(is_worthwhile)


async def test_nothing_left_out_needs_no_summary(harness: SummariserHarness) -> None:
    assert not await starts(await harness.start(), harness, composed_without())


async def test_conversation_is_summarised_once_at_a_time(harness: SummariserHarness) -> None:
    summariser = await harness.start()
    harness.service.tokens_per_second = 0.1
    ids = [await harness.create_conversation(f"{number}") for number in range(MAX_CONCURRENT_TASKS + 1)]
    for conversation_id in (ids[0], *ids):
        summariser.summarise_if_needed(conversation_id, composed_without("short"), harness.api_key)
    await wait_until(lambda: len(harness.prompts) == MAX_CONCURRENT_TASKS)
    async with asyncio.timeout(5):
        await summariser.close()
    assert len(harness.prompts) == MAX_CONCURRENT_TASKS, "the last one waits for another question"
    harness.service.tokens_per_second = 1_000_000
    writing = asyncio.create_task(harness.store.wait_for_writes(save_summary))
    await asyncio.sleep(0)
    summariser.summarise_if_needed(ids[0], composed_without("short"), harness.api_key)
    await writing


# The summary


async def test_next_summary_continues_the_last(harness: SummariserHarness) -> None:
    summary = ConversationSummary(1, "Ann lives in Rome.")
    assert await harness.summarise("one", LONG, LONG, summary=summary) == ConversationSummary(3, "Ann counts.")
    (prompt,) = harness.prompts
    assert prompt.startswith(f"Summary so far:\nAnn lives in Rome.\n\nMessages:\nassistant: {LONG}\nuser: {LONG}")


async def test_messages_that_were_not_loaded_are_summarised(harness: SummariserHarness) -> None:
    summariser = await harness.start([LARGE])
    conversation_id = await harness.create_conversation()
    await harness.store.write(insert_messages, conversation_id, 20)
    stored = (await harness.store.read(load_history, conversation_id, None, 20)).messages
    summary = ConversationSummary(stored[1].id, "Ann lives in Rome.")
    await harness.store.write(save_summary, conversation_id, summary, "m", 0)
    prompt = FittedPrompt((), 10, 100, 10)
    loaded = ConversationHistory(stored[8:], summary)
    composed = ComposedRequest(ChatRequest("m", ()), prompt, loaded, ESTIMATOR, 400, has_summary=True)
    writing = asyncio.create_task(harness.store.wait_for_writes(save_summary))
    await asyncio.sleep(0)
    summariser.summarise_if_needed(conversation_id, composed, harness.api_key)
    await writing
    lines = harness.prompts[0].partition("\n\nMessages:\n")[2].split("\n")
    assert lines == [f"{message.role}: {message.text}" for message in stored[2:18]]


async def test_secrets_are_neither_sent_nor_stored(harness: SummariserHarness) -> None:
    harness.service.answer = lambda _: "The password is: hunter2xyz"
    stored = await harness.summarise("My password is: hunter2xyz")
    assert "hunter2xyz" not in harness.prompts[0]
    assert "hunter2xyz" not in stored.text


@pytest.mark.parametrize("words", [ENGLISH, CHINESE, DIGITS], ids=["English", "Chinese", "digits"])
async def test_portions_fit_the_window_of_the_summarising_model(harness: SummariserHarness, words: str) -> None:
    """Also where each character is a token."""
    harness.service.answer = lambda _: words * 100
    texts = [f"message {number} {words * (2000 // len(words))}" for number in range(1, 31)]
    stored = await harness.summarise(*texts)
    assert [request.detail for request in harness.service.rejected_requests] == []
    assert stored.up_to_message == 30
    portions = [prompt.partition("\n\nMessages:\n")[2].split("\n") for prompt in harness.prompts]
    assert len(portions) > 3
    assert [line.split()[2] for portion in portions for line in portion] == [f"{number}" for number in range(1, 31)]
    assert all(len(portion) > 1 for portion in portions[:-1]), "a request takes as many messages as fit"
    for prompt in harness.prompts[1:]:
        assert prompt.startswith(f"Summary so far:\n{stored.text}")


async def test_summary_is_bounded(harness: SummariserHarness) -> None:
    """A few tokens of white space are many characters."""
    harness.service.answer = lambda _: f"  {WIDE_TABLE}"
    stored = await harness.summarise("short")
    assert stored.text == WIDE_TABLE[:MAX_SUMMARY_CHARS]


async def test_message_longer_than_the_window_is_cut(harness: SummariserHarness) -> None:
    stored = await harness.summarise("first", CHINESE * 5000, "last")
    assert [request.detail for request in harness.service.rejected_requests] == []
    assert stored.up_to_message == 3
    assert harness.prompts[-1].endswith("user: last")


async def test_summary_costs_the_person_what_the_service_counted(harness: SummariserHarness) -> None:
    await harness.summarise(LONG)
    counted = sum(harness.service.requests[0].token_usage)

    async def is_charged() -> bool:
        used = await harness.store.read(get_daily_usage, [ANN], harness.ledger.today())
        quotas = await harness.ledger.get_quotas(harness.api_key.key_id, [SMALL.id])
        return (used[ANN].tokens, quotas[SMALL.id].usage.tokens) == (counted, counted)

    await wait_until(is_charged)


async def test_abandoned_summary_costs_what_was_written(harness: SummariserHarness) -> None:
    summariser = await harness.start()
    harness.service.answer = lambda _: "many words " * 300
    harness.service.tokens_per_second = 100
    conversation_id = await harness.create_conversation()
    summariser.summarise_if_needed(conversation_id, composed_without(LONG), harness.api_key)
    await wait_until(lambda: bool(harness.service.requests) and harness.service.requests[0].token_usage[1] > 40)
    await summariser.close()
    used = (await harness.store.read(get_daily_usage, [ANN], harness.ledger.today()))[ANN].tokens
    prompt_tokens = len(harness.prompts[0]) // 3
    assert prompt_tokens + 20 < used < prompt_tokens + 300


async def test_failure_is_logged_and_stores_nothing(harness: SummariserHarness) -> None:
    summariser = await harness.start()

    def refuse(_: Any) -> str:
        raise AssertionError("not asked")

    harness.service.api_key, harness.service.accounts = "changed", {}
    harness.service.answer = refuse
    with structlog.testing.capture_logs() as logs:
        assert await starts(summariser, harness, composed_without("short"))
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("memory.summary_failed", "info")]
    assert harness.store.writes[save_summary.__name__] == 0
    used = await harness.store.read(get_daily_usage, [ANN], harness.ledger.today())
    assert used[ANN].tokens == 0, "the service refused the request"


async def test_reasoning_is_no_summary(harness: SummariserHarness) -> None:
    harness.service.answer = lambda _: "<think>Ann counts <final>something</think>Ann counts."
    assert (await harness.summarise(LONG)).text == "Ann counts."
    harness.service.answer = lambda _: "<think>Ann seems to count"
    summariser = await harness.start()
    conversation_id = await harness.create_conversation("bob")
    with structlog.testing.capture_logs() as logs:
        summariser.summarise_if_needed(conversation_id, composed_without(LONG), harness.api_key)
        await wait_until(lambda: bool(logs))
    assert [entry["event"] for entry in logs] == ["memory.summary_failed"]


async def test_defect_is_logged_as_such(harness: SummariserHarness) -> None:
    summariser = await harness.start()
    defective_key = replace(harness.api_key, api=None)  # type: ignore[arg-type]
    with structlog.testing.capture_logs() as logs:
        assert await starts(summariser, harness, composed_without("short"), defective_key)
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("memory.summary_crashed", "error")]


# Which model summarises


@pytest.mark.parametrize(
    ("models", "chosen"),
    [
        ([LARGE, SMALL], SMALL.id),
        ([Model("a/thinker-1B", 128_000, has_reasoning=True), LARGE], LARGE.id),
        ([Model("a/narrow-1B", MIN_SUMMARISED_CONTEXT_TOKENS - 1), LARGE], LARGE.id),
    ],
    ids=["smallest", "no reasoning", "large window"],
)
async def test_smallest_sufficient_model_summarises(
    harness: SummariserHarness, models: Sequence[Model], chosen: str
) -> None:
    await harness.summarise("short", models=models)
    assert [request.body["model"] for request in harness.service.requests] == [chosen]


@pytest.mark.parametrize(("quota", "is_enough"), [(MIN_REMAINING_QUOTA_TOKENS, False), (20_001, True)])
async def test_little_quota_is_left_to_answers(harness: SummariserHarness, quota: int, is_enough: bool) -> None:
    summariser = await harness.start([SMALL], {SMALL.id: quota})
    await starts(summariser, harness, composed_without("short"))
    assert len(harness.prompts) == int(is_enough)
    assert harness.store.writes[save_summary.__name__] == int(is_enough)


async def test_model_without_quota_may_summarise(harness: SummariserHarness) -> None:
    summariser = await harness.start([SMALL], {SMALL.id: 0})
    await starts(summariser, harness, composed_without("short"))
    assert len(harness.prompts) == 1


async def test_quota_that_the_service_calls_used_up_is_left_alone(harness: SummariserHarness) -> None:
    summariser = await harness.start([SMALL, LARGE])
    harness.service.quotas[SMALL.id] = 0
    for conversation in ("ann", "bob"):
        conversation_id = await harness.create_conversation(conversation)
        summariser.summarise_if_needed(conversation_id, composed_without("short"), harness.api_key)
        await wait_until(lambda: not summariser._tasks)
    assert len(harness.service.rejected_requests) == 1
    assert [request.body["model"] for request in harness.service.requests] == [LARGE.id]
