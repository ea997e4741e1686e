"""What is learnt from the service's token counts, and what of it outlives the process."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.api.client import Message
from core.api.events import UsageReport
from core.conversation.token_estimator import MAX_ANCHORS, SAVE_EVERY_SAMPLES, TokenEstimators
from core.conversation.tokens import MIN_CALIBRATION_SAMPLES
from core.store.database import Store
from core.store.key_values import set_value
from tests.core.faulty_store import FaultyStore
from tests.sqlite import sqlite_url

PHI = "microsoft/phi-4"
CONVERSATION = 1
TEXT = "Wie groß ist die Straße? "
MESSAGES = [Message("system", "Be kind."), Message("user", TEXT)]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FaultyStore]:
    store = Store(sqlite_url(tmp_path))
    await store.open()
    yield FaultyStore(store)
    await store.close()


def token_count(text: str) -> int:
    """A tokeniser that needs three times as many tokens as usual."""
    return len(text)


async def record(
    estimators: TokenEstimators,
    messages: list[Message] = MESSAGES,
    *,
    model: str = PHI,
    conversation_id: int = CONVERSATION,
    usage: UsageReport | None = None,
    has_reasoning: bool = False,
) -> None:
    usage = usage or UsageReport(sum(token_count(message.content) for message in messages), 12)
    await estimators.record_usage(
        model, conversation_id, messages, usage, "Es kommt darauf an.", has_reasoning=has_reasoning
    )


async def learn(estimators: TokenEstimators, count: int) -> None:
    for number in range(count):
        await record(estimators, [Message("user", TEXT * (number + 1))])


async def test_learnt_weights_survive_restart(store: FaultyStore) -> None:
    estimators = TokenEstimators(store.as_store())
    unlearnt = (await estimators.for_conversation(PHI, CONVERSATION)).estimate_text(TEXT * 20)
    await learn(estimators, MIN_CALIBRATION_SAMPLES)
    learnt = (await estimators.for_conversation(PHI, CONVERSATION)).estimate_text(TEXT * 20)
    assert abs(learnt - token_count(TEXT * 20)) < abs(unlearnt - token_count(TEXT * 20)) / 5
    restarted = await TokenEstimators(store.as_store()).for_conversation(PHI, CONVERSATION)
    assert restarted.is_calibrated
    assert restarted.estimate_text(TEXT * 20) == pytest.approx(learnt), "before anything new is learnt"
    assert restarted.estimate_request([TEXT * 20]) == pytest.approx(token_count(TEXT * 20), rel=0.1)
    other = await TokenEstimators(store.as_store()).for_conversation("another/model", CONVERSATION)
    assert not other.is_calibrated
    assert other.estimate_text(TEXT * 20) == unlearnt


async def test_weights_are_stored_now_and_then(store: FaultyStore) -> None:
    estimators = TokenEstimators(store.as_store())
    await learn(estimators, SAVE_EVERY_SAMPLES - 1)
    assert store.writes[set_value.__name__] == 0
    await learn(estimators, 1)
    assert store.writes[set_value.__name__] == 1
    await learn(estimators, SAVE_EVERY_SAMPLES)
    assert store.writes[set_value.__name__] == 2


async def test_outage_while_weights_are_stored_fails_no_answer(store: FaultyStore) -> None:
    estimators = TokenEstimators(store.as_store())
    store.start_outage(set_value)
    await learn(estimators, SAVE_EVERY_SAMPLES)
    assert store.failures[set_value.__name__] == 1


async def test_unreadable_weights_are_learnt_anew(store: FaultyStore) -> None:
    await store.write(set_value, f"tokens:{PHI}", "[[1, 2], ")
    estimators = TokenEstimators(store.as_store())
    assert not (await estimators.for_conversation(PHI, CONVERSATION)).is_calibrated
    await learn(estimators, MIN_CALIBRATION_SAMPLES)
    assert (await estimators.for_conversation(PHI, CONVERSATION)).is_calibrated


async def test_counted_request_is_remembered_for_its_conversation_and_model(store: FaultyStore) -> None:
    estimators = TokenEstimators(store.as_store())
    await record(estimators)
    anchor = (await estimators.for_conversation(PHI, CONVERSATION)).anchor
    assert anchor is not None
    assert anchor.system_hash == hash("Be kind.")
    assert anchor.message_hashes == (hash(TEXT),)
    assert anchor.tokens == token_count("Be kind." + TEXT)
    assert (anchor.answer_hash, anchor.answer_tokens) == (hash("Es kommt darauf an."), 12)
    assert (await estimators.for_conversation("another/model", CONVERSATION)).anchor is None
    assert (await estimators.for_conversation(PHI, CONVERSATION + 1)).anchor is None


async def test_counted_request_may_have_no_instructions(store: FaultyStore) -> None:
    estimators = TokenEstimators(store.as_store())
    await record(estimators, MESSAGES[1:])
    anchor = (await estimators.for_conversation(PHI, CONVERSATION)).anchor
    assert anchor is not None
    assert (anchor.system_hash, anchor.message_hashes) == (hash(""), (hash(TEXT),))


async def test_count_that_includes_reasoning_says_nothing_of_the_answer(store: FaultyStore) -> None:
    estimators = TokenEstimators(store.as_store())
    await record(estimators, has_reasoning=True)
    anchor = (await estimators.for_conversation(PHI, CONVERSATION)).anchor
    assert anchor is not None
    assert anchor.answer_tokens == 0


async def test_missing_count_is_ignored(store: FaultyStore) -> None:
    estimators = TokenEstimators(store.as_store())
    for _ in range(MIN_CALIBRATION_SAMPLES):
        await record(estimators, usage=UsageReport(0, 12))
    estimator = await estimators.for_conversation(PHI, CONVERSATION)
    assert estimator.anchor is None
    assert not estimator.is_calibrated
    await record(estimators, usage=UsageReport(1, 12))
    assert (await estimators.for_conversation(PHI, CONVERSATION)).anchor is not None


async def test_conversations_that_were_active_longest_ago_are_forgotten(store: FaultyStore) -> None:
    estimators = TokenEstimators(store.as_store())
    for conversation_id in (*range(1, MAX_ANCHORS + 1), 1, MAX_ANCHORS + 1):
        await record(estimators, MESSAGES[1:], conversation_id=conversation_id)
    for conversation_id, is_remembered in ((1, True), (2, False), (3, True), (MAX_ANCHORS + 1, True)):
        anchor = (await estimators.for_conversation(PHI, conversation_id)).anchor
        assert (anchor is not None) is is_remembered
