"""Who answers when the chosen model cannot: the order, what may fail over, who is left alone.

Only before anything was shown. Which failures mean "another model may do better" is a closed set;
a wrong key, a request that is not taken or a withheld answer would meet the next model as well.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.api.catalogue import Model, size_in_billions
from core.api.model_data import BUILTIN_MODELS
from core.errors import ModelError, ModelFailure

__all__ = ["CircuitBreaker", "can_fail_over", "fallback_models"]

FAILOVER_FAILURES = frozenset(
    {
        ModelFailure.QUOTA,
        ModelFailure.RATE_LIMITED,
        ModelFailure.UNKNOWN_MODEL,
        ModelFailure.PAYMENT,
        ModelFailure.UNAVAILABLE,
        ModelFailure.STALLED,
        ModelFailure.TRUNCATED,
        ModelFailure.MALFORMED,
        ModelFailure.EMPTY,
        ModelFailure.OVERFLOW,
    }
)
BREAKER_FAILURES = frozenset(
    {
        ModelFailure.UNAVAILABLE,
        ModelFailure.STALLED,
        ModelFailure.TRUNCATED,
        ModelFailure.MALFORMED,
        ModelFailure.EMPTY,
    }
)
"""Failures that speak against the model itself."""
MAX_FALLBACKS = 3
"""Models tried after the chosen one."""
FAILURE_THRESHOLD = 3
"""Failures in a row after which a model is left alone."""
OPEN_SECONDS = 30.0
MAX_OPEN_SECONDS = 600.0
"""Seconds for which it is, doubled each time."""
MAX_CIRCUITS = 1000
"""Models of accounts remembered."""


def can_fail_over(error: ModelError) -> bool:
    if error.failure is ModelFailure.UNAVAILABLE and error.status is None:
        return False  # the service is not there at all: no model of it is
    return error.failure in FAILOVER_FAILURES


def fallback_models(
    chosen: str, models: Sequence[Model], preferred: Sequence[str], limit: int = MAX_FALLBACKS
) -> list[str]:
    """Who is to answer instead of `chosen`, best first: the operator's `order`, else the models
    most like it: of its kind, near its size, with a window not smaller.
    """
    available = {model.id: model for model in models if not model.is_embedding_model}
    if preferred:
        return [id_ for id_ in preferred if id_ in available and id_ != chosen][:limit]
    reference = available.get(chosen) or BUILTIN_MODELS.get(chosen, Model(chosen))

    def distance(model: Model) -> tuple[bool, bool, float, str]:
        return (
            model.has_reasoning != reference.has_reasoning,
            model.context_window < reference.context_window,
            abs(math.log(size_in_billions(model) / size_in_billions(reference))),
            model.id,
        )

    others = (model for model in available.values() if model.id != chosen)
    return [model.id for model in sorted(others, key=distance)[:limit]]


@dataclass(slots=True)
class _Circuit:
    failures: int = 0
    times_opened: int = 0
    open_until: float = 0.0


class CircuitBreaker:
    """Leaves a model alone that fails again and again; one question in a while tries it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._circuits: dict[tuple[str, str], _Circuit] = {}

    def remaining_seconds(self, key_id: str, model: str) -> float:
        """Seconds for which `model` is not to be asked."""
        circuit = self._circuits.get((key_id, model))
        if circuit is None:
            return 0.0
        remaining = max(0.0, circuit.open_until - self._clock())
        if not remaining and circuit.open_until:
            # Whoever asks now tries it; the others wait for what comes of that.
            circuit.open_until = self._clock() + OPEN_SECONDS
        return remaining

    def record_success(self, key_id: str, model: str) -> None:
        self._circuits.pop((key_id, model), None)

    def record_failure(self, key_id: str, model: str, error: ModelError) -> None:
        """Take note of a failure. A service that names a long wait is believed at once."""
        retry_after = error.retry_after or 0.0
        if error.failure not in BREAKER_FAILURES and not (error.failure is ModelFailure.RATE_LIMITED and retry_after):
            return
        circuit = self._circuits.pop((key_id, model), _Circuit())
        self._circuits[key_id, model] = circuit
        while len(self._circuits) > MAX_CIRCUITS:  # those longest without a failure: accounts come and go
            del self._circuits[next(iter(self._circuits))]
        circuit.failures += 1
        open_seconds = 0.0
        if error.failure in BREAKER_FAILURES and circuit.failures >= FAILURE_THRESHOLD:
            open_seconds = min(MAX_OPEN_SECONDS, OPEN_SECONDS * float(1 << min(circuit.times_opened, 10)))
            circuit.times_opened += 1
        circuit.open_until = (
            max(circuit.open_until, self._clock() + max(open_seconds, retry_after))
            if open_seconds or retry_after
            else 0.0
        )
