"""Failover: decides which failures try another model, which models to try, and which models are paused.

Failover happens only while no text of the answer is visible. A wrong key, a lost connection, a refused request or a
filtered answer does not cause failover, because every other model would fail the same way.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from os.path import commonprefix

from core.api.catalogue import Model, size_in_billions
from core.api.model_data import BUILTIN_MODELS
from core.backoff import Backoff
from core.bounded_dict import BoundedDict
from core.errors import ModelError, ModelFailure
from core.timings import Timings

COMMON_FAILURES = frozenset(
    {
        ModelFailure.AUTHENTICATION,
        ModelFailure.REGION,
        ModelFailure.BLOCKED,
        ModelFailure.WRONG_ADDRESS,
        ModelFailure.UNREACHABLE,
        ModelFailure.REFUSED,
        ModelFailure.FILTERED,
    }
)
"""Failures in which every other model would fail, too."""
BREAKER_FAILURES = frozenset(
    {
        ModelFailure.UNREACHABLE,
        ModelFailure.SERVER_ERROR,
        ModelFailure.UNAVAILABLE,
        ModelFailure.STALLED,
        ModelFailure.TRUNCATED,
        ModelFailure.MALFORMED,
    }
)
"""Failures whose cause is the model or its service. An empty answer may be due to the question."""
MAX_FALLBACKS = 3
FAILURE_THRESHOLD = 3
"""Failures in a row that pause a model."""
MAX_CIRCUITS = 1000


def can_fail_over(error: ModelError) -> bool:
    return error.failure not in COMMON_FAILURES


def fallback_models(chosen: str, models: Sequence[Model], preferred: Sequence[str]) -> list[str]:
    """The models that answer instead of `chosen`, best first.

    These are the `preferred` ones if there are any. Otherwise they are the models most similar to `chosen`: the same
    reasoning ability, at least the same window, a similar size, the same family, a similar name.
    """
    available = {model.id: model for model in models if model.can_chat}
    if preferred:
        return [id_ for id_ in preferred if id_ in available and id_ != chosen][:MAX_FALLBACKS]
    reference = available.get(chosen) or BUILTIN_MODELS.get(chosen, Model(chosen))

    def distance(model: Model) -> tuple[bool, bool, float, bool, int, str]:
        return (
            model.has_reasoning != reference.has_reasoning,
            model.context_window < reference.context_window,
            abs(math.log(size_in_billions(model) / size_in_billions(reference))),
            model.family != reference.family,
            -len(commonprefix((model.name.casefold(), reference.name.casefold()))),  # noqa: RUF071 (no paths)
            model.id,
        )

    others = (model for model in available.values() if model.id != chosen)
    return [model.id for model in sorted(others, key=distance)[:MAX_FALLBACKS]]


@dataclass(slots=True)
class _Circuit:
    backoff: Backoff
    error: ModelError
    """The last one."""
    failures: int = 0
    open_until: float = 0.0
    requested_until: float = 0.0
    """The end of the longest delay that the service asked for."""


class CircuitBreaker:
    """Pauses a model that keeps failing. After each pause, a single question tries it again.

    Each pause is twice as long as the previous one. If the service asks for a delay, the pause starts at once.
    """

    def __init__(self, *, timings: Timings = Timings()) -> None:
        self._clock = timings.clock
        self._timings = timings
        self._circuits: BoundedDict[tuple[str, str], _Circuit] = BoundedDict(MAX_CIRCUITS)

    def check(self, key_id: str, model: str) -> None:
        """Raise the `ModelError` for which the model is paused, with the remaining seconds as `retry_after`."""
        if seconds := self.remaining_seconds(key_id, model):
            cause = self._circuits[key_id, model].error
            raise ModelError(f"Paused: {cause}", cause.failure, status=cause.status, retry_after=seconds)

    def remaining_seconds(self, key_id: str, model: str) -> float:
        """Seconds until the model may be asked; 0: now. After a pause, only the first caller gets 0."""
        circuit = self._circuits.get((key_id, model))
        if circuit is None:
            return 0.0
        now = self._clock.monotonic()
        remaining = max(0.0, circuit.open_until - now)
        if not remaining and circuit.open_until:
            # Only this question tries the model; others wait for the result.
            circuit.open_until = now + self._timings.first_model_pause
        return remaining

    def pause_end(self, key_id: str, model: str) -> float:
        """When the last pause ends, by the monotonic clock; 0 if there was none."""
        circuit = self._circuits.get((key_id, model))
        return circuit.open_until if circuit else 0.0

    def open(self, key_id: str, model: str, error: ModelError, seconds: float) -> None:
        """Keep a pause that another process began."""
        circuit = self._circuits.get((key_id, model)) or self._new_circuit(error)
        self._circuits[key_id, model] = circuit
        circuit.failures = max(circuit.failures, FAILURE_THRESHOLD)
        circuit.open_until = max(circuit.open_until, self._clock.monotonic() + seconds)

    def close(self, key_id: str, model: str) -> None:
        """End the pause and forget the failures."""
        self._circuits.pop((key_id, model), None)

    def record_failure(self, key_id: str, model: str, error: ModelError) -> None:
        retry_after = error.retry_after or 0.0
        if error.failure not in BREAKER_FAILURES and not (error.failure is ModelFailure.RATE_LIMITED and retry_after):
            return
        circuit = self._circuits.get((key_id, model)) or self._new_circuit(error)
        self._circuits[key_id, model] = circuit
        circuit.error = error
        circuit.failures += 1
        now, pause = self._clock.monotonic(), retry_after
        if retry_after:
            circuit.requested_until = max(circuit.requested_until, now + retry_after)
        if error.failure in BREAKER_FAILURES and circuit.failures >= FAILURE_THRESHOLD:
            pause = max(circuit.backoff.next_delay(), retry_after)
        if pause:
            circuit.open_until = max(circuit.open_until, now + pause)
        else:
            # What the service asked for still holds, but not the wait for the question that tried the model.
            circuit.open_until = circuit.requested_until if circuit.requested_until > now else 0.0

    def _new_circuit(self, error: ModelError) -> _Circuit:
        # No jitter: after a pause, a single question tries the model.
        return _Circuit(Backoff(self._timings.first_model_pause, self._timings.max_model_pause, jitter=max), error)
