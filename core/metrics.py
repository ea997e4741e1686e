"""What the process counts and measures, for whoever operates it.

The code that knows of an event calls one method of `Metrics` or `PlatformMetrics`. These do nothing: without an address
to read them at, nothing is measured. `core.prometheus_metrics` has the ones that count. No method gets anything that
identifies a person, a chat or a message.
"""

from enum import StrEnum

from core.clock import Clock


class Outcome(StrEnum):
    """How a question ended."""

    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    USER_ERROR = "user_error"
    """It failed for a reason that only the person can remove, such as a question that is too long."""


class PlatformMetrics:
    """What happens on one platform."""

    def refused(self, seconds: float) -> None:
        """The platform refused a request for `seconds`, because there were too many."""

    def waited(self, priority: str, seconds: float) -> None:
        """A request of this priority waited this long for the platform's rate limits."""

    def first_text_shown(self, seconds: float) -> None:
        """The person sees the first words, `seconds` after the question arrived."""

    def text_shown(self, staleness: float) -> None:
        """New text is visible, `staleness` seconds after the model had written the first of it."""

    def answered(self, outcome: Outcome, seconds: float) -> None:
        """The answer is complete, or will never be, `seconds` after the question arrived."""


class Metrics:
    def platform(self, name: str) -> PlatformMetrics:  # noqa: ARG002 (overridden)
        return NO_PLATFORM_METRICS

    def first_token_received(self, model: str, seconds: float) -> None:
        """The model's first token arrived, `seconds` after the request."""

    def model_failed(self, model: str, failure: str) -> None:
        """A request to the model failed. `failure`: a `ModelFailure`."""

    def failed_over(self, reason: str) -> None:
        """Another model is asked. `reason`: the `ModelFailure` of the one before."""

    def tokens_used(self, model: str, kind: str, tokens: int) -> None:
        """A request cost `tokens`. `kind`: a `UsageKind`."""

    def transaction_ended(self, operation: str, seconds: float) -> None:
        """A transaction took `seconds`, with the wait for a connection. `operation`: read, write or maintenance."""

    def loop_checked(self, lag: float) -> None:
        """A timer of the event loop was late by `lag` seconds."""


NO_PLATFORM_METRICS = PlatformMetrics()
NO_METRICS = Metrics()


class AnswerTimes:
    """When the person sees what of one answer. Times are those of `Clock.monotonic`."""

    def __init__(self, metrics: PlatformMetrics, clock: Clock, received_at: float) -> None:
        self._metrics = metrics
        self._clock = clock
        self._received_at = received_at
        self._unseen_since: float | None = None
        self._has_shown_text = False

    def text_grew(self) -> None:
        """The model has written more."""
        if self._unseen_since is None:
            self._unseen_since = self._clock.monotonic()

    def take_unseen(self) -> float | None:
        """All of the text is about to be shown. Returns since when there was more than the person saw."""
        since, self._unseen_since = self._unseen_since, None
        return since

    def text_shown(self, unseen_since: float | None) -> None:
        """The person sees the text. `unseen_since`: what `take_unseen` has returned for it."""
        now = self._clock.monotonic()
        if not self._has_shown_text:
            self._has_shown_text = True
            self._metrics.first_text_shown(now - self._received_at)
        if unseen_since is not None:
            self._metrics.text_shown(now - unseen_since)

    def answered(self, outcome: Outcome) -> None:
        """The answer is complete, or will never be."""
        self._metrics.answered(outcome, self._clock.monotonic() - self._received_at)
