"""When the person saw what, and which values labels may have."""

from core.metrics import AnswerTimes, Outcome, PlatformMetrics
from core.prometheus_metrics import MAX_MODELS, OTHER_MODELS_LABEL, PrometheusMetrics
from tests.clock import FakeClock


class RecordedMetrics(PlatformMetrics):
    def __init__(self) -> None:
        self.events: list[tuple[str, float]] = []

    def first_text_shown(self, seconds: float) -> None:
        self.events.append(("first text", seconds))

    def text_shown(self, staleness: float) -> None:
        self.events.append(("text", staleness))

    def answered(self, outcome: Outcome, seconds: float) -> None:
        self.events.append((outcome, seconds))


async def test_times_of_an_answer_begin_with_its_question() -> None:
    clock, metrics = FakeClock(), RecordedMetrics()
    times = AnswerTimes(metrics, clock, received_at=-2.0)
    times.text_grew()
    await clock.advance(1)
    times.text_grew()
    unseen_since = times.take_unseen()
    times.text_grew()  # while the preview is sent
    await clock.advance(0.5)
    times.text_shown(unseen_since)
    await clock.advance(0.25)
    times.text_shown(times.take_unseen())
    times.text_shown(times.take_unseen())  # nothing new
    times.answered(Outcome.DONE)
    assert metrics.events == [("first text", 3.5), ("text", 1.5), ("text", 0.75), ("done", 3.75)]


def test_models_beyond_the_limit_share_a_label() -> None:
    metrics = PrometheusMetrics()
    for number in range(MAX_MODELS + 5):
        metrics.tokens_used(f"model-{number}", "chat", 1)
    metrics.tokens_used("model-0", "chat", 1)
    lines = [line for line in metrics.render().decode().splitlines() if line.startswith("parley_model_tokens_total{")]
    assert len(lines) == MAX_MODELS + 1
    assert f'parley_model_tokens_total{{kind="chat",model="{OTHER_MODELS_LABEL}"}} 5.0' in lines
    assert 'parley_model_tokens_total{kind="chat",model="model-0"} 2.0' in lines
