"""The metrics in Prometheus' format. Imported only where they are read: the library is not needed otherwise.

Counters and histograms are updated by the events (`core.metrics`), gauges are set when somebody reads them
(`core.metrics_report`). The values of a label are few: the names of models are limited to `MAX_MODELS`.
"""

from dataclasses import dataclass
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from core.metrics import Metrics, Outcome, PlatformMetrics

MAX_MODELS = 100
"""Models with labels of their own; further ones are counted together as `OTHER_MODELS_LABEL`."""
OTHER_MODELS_LABEL = "other"
ANSWER_BUCKETS = (0.5, 1, 2, 3, 5, 8, 12, 20, 30, 60, 120, 300, 900)
FIRST_TEXT_BUCKETS = (0.1, 0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 20, 60, 300)
STALENESS_BUCKETS = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30)
WAIT_BUCKETS = (0.01, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300)
TRANSACTION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)
LAG_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)

M = TypeVar("M", Counter, Gauge, Histogram)


@dataclass(frozen=True, slots=True)
class Definition:
    """What the reference says about a metric."""

    name: str
    type: str
    labels: tuple[str, ...]
    meaning: str


class PrometheusPlatformMetrics(PlatformMetrics):
    """The metrics of one platform. Looks labels up once instead of with every event.

    What counts events begins at 0: Prometheus computes no rate from a first value.
    """

    def __init__(self, metrics: "PrometheusMetrics", platform: str) -> None:
        self._refusals = metrics.refusals.labels(platform)
        self._demanded_waits = metrics.demanded_wait_seconds.labels(platform)
        self._first_text = metrics.first_text_seconds.labels(platform)
        self._staleness = metrics.staleness_seconds.labels(platform)
        self._platform = platform
        self._waits = metrics.wait_seconds
        self._answers = {outcome: metrics.answer_seconds.labels(platform, outcome) for outcome in Outcome}

    def refused(self, seconds: float) -> None:
        self._refusals.inc()
        self._demanded_waits.inc(seconds)

    def waited(self, priority: str, seconds: float) -> None:
        self._waits.labels(self._platform, priority).observe(seconds)

    def first_text_shown(self, seconds: float) -> None:
        self._first_text.observe(seconds)

    def text_shown(self, staleness: float) -> None:
        self._staleness.observe(staleness)

    def answered(self, outcome: Outcome, seconds: float) -> None:
        self._answers[outcome].observe(seconds)


class PrometheusMetrics(Metrics):
    """All metrics of the process, in a registry of their own."""

    def __init__(self) -> None:
        self.definitions: list[Definition] = []
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._platforms: dict[str, PlatformMetrics] = {}
        self._models: set[str] = set()

        self.first_token_seconds = self._histogram(
            "parley_model_first_token_seconds",
            "Time from a request to a model to its first token",
            ("model",),
            FIRST_TEXT_BUCKETS,
        )
        self.first_text_seconds = self._histogram(
            "parley_first_text_seconds",
            "Time from a question to the first words that the person sees",
            ("platform",),
            FIRST_TEXT_BUCKETS,
        )
        self.answer_seconds = self._histogram(
            "parley_answer_seconds",
            "Time from a question to its complete answer, by how it ended: done, stopped, failed or, if only the "
            "person can remove the reason, user_error",
            ("platform", "outcome"),
            ANSWER_BUCKETS,
        )
        self.staleness_seconds = self._histogram(
            "parley_visible_text_staleness_seconds",
            "How old the oldest part of a text was, since the model wrote it, when the person saw it",
            ("platform",),
            STALENESS_BUCKETS,
        )
        self.model_failures = self._counter(
            "parley_model_failures_total",
            "Questions that a model did not answer, by kind of failure, including while the model is paused for it",
            ("model", "failure"),
        )
        self.failovers = self._counter(
            "parley_failovers_total",
            "Questions passed on to another model, by the failure of the one before",
            ("reason",),
        )
        self.tokens = self._counter(
            "parley_model_tokens_total",
            "Tokens of prompts and answers: counted by the service where possible, else estimated",
            ("model", "kind"),
        )
        self.quota_remaining = self._gauge(
            "parley_model_quota_remaining_tokens",
            "Tokens that are left of today's quota of the bot's key, for models with a quota and those that the "
            "service refuses for today; of the whole database",
            ("model",),
        )
        self.refusals = self._counter(
            "parley_platform_refusals_total",
            "Requests that the platform refused because there were too many (429)",
            ("platform",),
        )
        self.demanded_wait_seconds = self._counter(
            "parley_platform_demanded_wait_seconds_total", "Seconds that the platform demanded to wait", ("platform",)
        )
        self.wait_seconds = self._histogram(
            "parley_platform_wait_seconds",
            "How long requests waited for the rate limits; priority: final, control, first_text or preview",
            ("platform", "priority"),
            WAIT_BUCKETS,
        )
        self.platform_connected = self._gauge(
            "parley_platform_connected",
            "1 while the platform is connected or the process stands by, else 0",
            ("platform",),
        )
        self.platform_activity_age = self._gauge(
            "parley_platform_activity_age_seconds",
            "Time since the platform answered a poll or a heartbeat; absent in a process that stands by",
            ("platform",),
        )
        self.queue_turns = self._gauge(
            "parley_queue_turns", "Events that are ready to start but that no process has taken, in the whole database"
        )
        self.queue_age = self._gauge(
            "parley_queue_age_seconds",
            "Age of the oldest event that could start and that no process works on; 0 if there is none",
        )
        self.outbox_turns = self._gauge(
            "parley_outbox_turns", "Answers that are stored and not yet completely delivered, in the whole database"
        )
        self.outbox_age = self._gauge(
            "parley_outbox_age_seconds",
            "Age of the oldest question whose answer is not completely delivered; 0 if there is none",
        )
        self.loop_lag = self._histogram(
            "parley_event_loop_lag_seconds", "How late a timer of the event loop was, once a second", (), LAG_BUCKETS
        )
        self.database_up = self._gauge("parley_database_up", "1 if the database answered for this report, else 0")
        self.database_size = self._gauge("parley_database_size_bytes", "Size of the database")
        self.transaction_seconds = self._histogram(
            "parley_database_transaction_seconds",
            "Duration of transactions, with the wait for a connection; operation: read, write or maintenance",
            ("operation",),
            TRANSACTION_BUCKETS,
        )

    def render(self) -> bytes:
        return generate_latest(self._registry)

    def platform(self, name: str) -> PlatformMetrics:
        if name not in self._platforms:
            self._platforms[name] = PrometheusPlatformMetrics(self, name)
        return self._platforms[name]

    def first_token_received(self, model: str, seconds: float) -> None:
        self.first_token_seconds.labels(self.model_label(model)).observe(seconds)

    def model_failed(self, model: str, failure: str) -> None:
        self.model_failures.labels(self.model_label(model), failure).inc()

    def failed_over(self, reason: str) -> None:
        self.failovers.labels(reason).inc()

    def tokens_used(self, model: str, kind: str, tokens: int) -> None:
        self.tokens.labels(self.model_label(model), kind).inc(tokens)

    def transaction_ended(self, operation: str, seconds: float) -> None:
        self.transaction_seconds.labels(operation).observe(seconds)

    def loop_checked(self, lag: float) -> None:
        self.loop_lag.observe(lag)

    def model_label(self, model: str) -> str:
        """`model`, or `OTHER_MODELS_LABEL` if there are too many: an operator's service may list thousands."""
        if model not in self._models:
            if len(self._models) >= MAX_MODELS:
                return OTHER_MODELS_LABEL
            self._models.add(model)
        return model

    def _counter(self, name: str, meaning: str, labels: tuple[str, ...] = ()) -> Counter:
        return self._defined("counter", Counter(name, meaning, labels, registry=self._registry), name, meaning, labels)

    def _gauge(self, name: str, meaning: str, labels: tuple[str, ...] = ()) -> Gauge:
        return self._defined("gauge", Gauge(name, meaning, labels, registry=self._registry), name, meaning, labels)

    def _histogram(self, name: str, meaning: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
        histogram = Histogram(name, meaning, labels, buckets=buckets, registry=self._registry)
        return self._defined("histogram", histogram, name, meaning, labels)

    def _defined(self, type_: str, metric: M, name: str, meaning: str, labels: tuple[str, ...]) -> M:
        self.definitions.append(Definition(name, type_, labels, meaning))
        return metric
