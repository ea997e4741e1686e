"""Which failures try another model, which models are tried, and which are paused."""

import pytest

from core.api.catalogue import Model
from core.conversation.failover import (
    FAILURE_THRESHOLD,
    MAX_CIRCUITS,
    MAX_FALLBACKS,
    CircuitBreaker,
    can_fail_over,
    fallback_models,
)
from core.errors import ModelError, ModelFailure
from core.timings import Timings
from tests.clock import FakeClock

PHI = "microsoft/phi-4"
UNAVAILABLE = ModelError("down", ModelFailure.UNAVAILABLE, status=503)

CHOSEN = Model("a/chosen-8B", 32_000)
SIMILAR = Model("a/similar-9B", 32_000)
LARGER = Model("a/larger-70B", 64_000)
SMALL_WINDOW = Model("a/short-8B", 8_000)
REASONING = Model("a/thinker-8B", 32_000, has_reasoning=True)
EMBEDDING = Model("a/embed-8B", 32_000, is_embedding_model=True)
MODELS = [REASONING, EMBEDDING, SMALL_WINDOW, LARGER, CHOSEN, SIMILAR]


# Whether another model is asked


@pytest.mark.parametrize("failure", ModelFailure)
def test_failure_that_every_model_shares_ends_the_question(failure: ModelFailure) -> None:
    is_shared = failure in (
        ModelFailure.AUTHENTICATION,
        ModelFailure.REGION,
        ModelFailure.BLOCKED,
        ModelFailure.WRONG_ADDRESS,
        ModelFailure.UNREACHABLE,
        ModelFailure.REFUSED,
        ModelFailure.FILTERED,
    )
    assert can_fail_over(ModelError("no", failure, status=500)) is not is_shared


# Which model is asked


def test_most_similar_models_substitute() -> None:
    assert fallback_models(CHOSEN.id, MODELS, ()) == [SIMILAR.id, LARGER.id, SMALL_WINDOW.id]


def test_reasoning_matters_more_than_window_and_size() -> None:
    others = [SMALL_WINDOW, LARGER, Model("a/wise-600B", 8_000, has_reasoning=True)]
    assert fallback_models(REASONING.id, [REASONING, *others], ())[0] == "a/wise-600B"


def test_size_is_compared_by_ratio() -> None:
    tenth, double = Model("a/tenth-7B", 32_000), Model("a/double-140B", 32_000)
    assert fallback_models("a/chosen-70B", [Model("a/chosen-70B", 32_000), tenth, double], ()) == [double.id, tenth.id]


def test_equal_models_are_ordered_by_name() -> None:
    twins = [Model("b/twin-8B", 32_000), Model("a/twin-8B", 32_000)]
    assert fallback_models(CHOSEN.id, [CHOSEN, *twins], ()) == ["a/twin-8B", "b/twin-8B"]


def test_same_family_and_similar_name_decide_between_equal_models() -> None:
    names = ["a-model", "claude-3", "gpt-3.5-turbo", "gpt-4o-mini", "z-model"]
    assert fallback_models("gpt-4o", [Model(name, 8192) for name in ["gpt-4o", *names]], ()) == [
        "gpt-4o-mini",
        "gpt-3.5-turbo",
        "a-model",
    ]


def test_only_models_that_chat_substitute() -> None:
    others = [Model("a/draws-8B", 32_000, has_other_purpose=True), Model("a/hears-8B", 32_000, is_speech_model=True)]
    assert fallback_models(CHOSEN.id, [CHOSEN, EMBEDDING, SIMILAR, *others], ()) == [SIMILAR.id]


def test_preferred_models_substitute_in_their_order() -> None:
    preferred = [LARGER.id, "not/offered", CHOSEN.id, EMBEDDING.id, REASONING.id]
    assert fallback_models(CHOSEN.id, MODELS, preferred) == [LARGER.id, REASONING.id]


def test_number_of_substitutes_is_limited() -> None:
    many = [Model(f"a/model-{number}B", 32_000) for number in range(1, 10)]
    assert len(fallback_models(CHOSEN.id, many, ())) == MAX_FALLBACKS
    assert len(fallback_models(CHOSEN.id, many, [model.id for model in many])) == MAX_FALLBACKS


def test_model_that_is_no_longer_offered_has_substitutes() -> None:
    offered = [REASONING, Model("a/other-14B", 128_000)]
    assert fallback_models("deepseek-ai/DeepSeek-R1", offered, ())[0] == REASONING.id, "published as reasoning"
    assert fallback_models("never/heard-of-14B", offered, ())[0] == "a/other-14B"


# Pauses


def fail(breaker: CircuitBreaker, times: int = 1, *, key: str = "key", error: ModelError = UNAVAILABLE) -> None:
    for _ in range(times):
        breaker.record_failure(key, PHI, error)


async def test_each_pause_is_twice_as_long() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker(timings=Timings(clock=clock, first_model_pause=30, max_model_pause=100))
    fail(breaker, FAILURE_THRESHOLD - 1)
    assert breaker.remaining_seconds("key", PHI) == 0
    for pause in (30, 60, 100, 100):
        fail(breaker)
        assert breaker.remaining_seconds("key", PHI) == pytest.approx(pause)
        await clock.advance(pause)
        assert breaker.remaining_seconds("key", PHI) == 0, "one question tries the model"
        assert breaker.remaining_seconds("key", PHI) == 30, "the others wait for its result"
    breaker.close("key", PHI)
    assert breaker.remaining_seconds("key", PHI) == 0


def test_success_starts_the_count_again() -> None:
    breaker = CircuitBreaker(timings=Timings(clock=FakeClock()))
    fail(breaker, FAILURE_THRESHOLD - 1)
    breaker.close("key", PHI)
    fail(breaker, FAILURE_THRESHOLD - 1)
    assert breaker.remaining_seconds("key", PHI) == 0
    fail(breaker)
    assert breaker.remaining_seconds("key", PHI) > 0


def test_pause_concerns_one_model_and_one_key() -> None:
    breaker = CircuitBreaker(timings=Timings(clock=FakeClock()))
    fail(breaker, FAILURE_THRESHOLD)
    assert breaker.remaining_seconds("key", PHI) > 0
    assert breaker.remaining_seconds("another key", PHI) == 0
    assert breaker.remaining_seconds("key", "another/model") == 0
    breaker.close("another key", PHI)


@pytest.mark.parametrize("failure", ModelFailure)
def test_only_failures_of_the_model_pause_it(failure: ModelFailure) -> None:
    is_models_fault = failure in (
        ModelFailure.UNREACHABLE,
        ModelFailure.SERVER_ERROR,
        ModelFailure.UNAVAILABLE,
        ModelFailure.STALLED,
        ModelFailure.TRUNCATED,
        ModelFailure.MALFORMED,
    )
    breaker = CircuitBreaker(timings=Timings(clock=FakeClock()))
    fail(breaker, FAILURE_THRESHOLD, error=ModelError("no", failure))
    assert (breaker.remaining_seconds("key", PHI) > 0) is is_models_fault


def test_pause_names_its_cause() -> None:
    breaker = CircuitBreaker(timings=Timings(clock=FakeClock()))
    breaker.check("key", PHI)
    fail(breaker, FAILURE_THRESHOLD, error=ModelError("broken", ModelFailure.SERVER_ERROR, status=500))
    with pytest.raises(ModelError, match="Paused: broken") as caught:
        breaker.check("key", PHI)
    error = caught.value
    assert (error.failure, error.status) == (ModelFailure.SERVER_ERROR, 500)
    assert error.retry_after == pytest.approx(30)


async def test_requested_wait_is_obeyed_at_once() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker(timings=Timings(clock=clock))
    fail(breaker, error=ModelError("slow down", ModelFailure.RATE_LIMITED, retry_after=7))
    assert breaker.remaining_seconds("key", PHI) == pytest.approx(7)
    await clock.advance(7)
    assert breaker.remaining_seconds("key", PHI) == 0


def test_longer_of_pause_and_requested_wait_holds() -> None:
    breaker = CircuitBreaker(timings=Timings(clock=FakeClock(), first_model_pause=30))
    fail(breaker, FAILURE_THRESHOLD, error=ModelError("down", ModelFailure.UNAVAILABLE, retry_after=500))
    assert breaker.remaining_seconds("key", PHI) == pytest.approx(500)
    fail(breaker, error=ModelError("slow down", ModelFailure.RATE_LIMITED, retry_after=7))
    assert breaker.remaining_seconds("key", PHI) == pytest.approx(500), "a shorter wait does not end the pause"
    fail(breaker, FAILURE_THRESHOLD, key="other", error=ModelError("down", ModelFailure.UNAVAILABLE, retry_after=7))
    assert breaker.remaining_seconds("other", PHI) == pytest.approx(30)


async def test_failure_without_pause_does_not_end_requested_wait() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker(timings=Timings(clock=clock, first_model_pause=30))
    fail(breaker, error=ModelError("slow down", ModelFailure.RATE_LIMITED, retry_after=60))
    fail(breaker)  # of a question that was under way
    assert breaker.remaining_seconds("key", PHI) == pytest.approx(60)
    await clock.advance(60)
    assert breaker.remaining_seconds("key", PHI) == 0


def test_breaker_forgets_old_keys() -> None:
    breaker = CircuitBreaker()
    fail(breaker, FAILURE_THRESHOLD, key="key 0")
    for number in range(1, MAX_CIRCUITS):
        fail(breaker, FAILURE_THRESHOLD, key=f"key {number}")
    assert breaker.remaining_seconds("key 0", PHI)
    fail(breaker, key="key 0")
    fail(breaker, FAILURE_THRESHOLD, key="one more")
    assert breaker.remaining_seconds("key 0", PHI), "failed recently"
    assert not breaker.remaining_seconds("key 1", PHI)
    assert breaker.remaining_seconds("one more", PHI)
