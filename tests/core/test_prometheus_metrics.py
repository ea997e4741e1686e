"""Every event appears in the text that Prometheus reads."""

import pytest

from core.metrics import Outcome
from core.prometheus_metrics import PrometheusMetrics


def rendered(metrics: PrometheusMetrics, name: str) -> list[str]:
    """The lines of a metric except those of its buckets, and of when it was created."""
    lines = metrics.render().decode().splitlines()
    return [line for line in lines if line.startswith(name) and "_bucket{" not in line and "_created" not in line]


def test_events_of_a_platform() -> None:
    metrics = PrometheusMetrics()
    platform = metrics.platform("telegram")
    platform.refused(2.5)
    platform.refused(1)
    platform.waited("preview", 0.25)
    platform.first_text_shown(1.5)
    platform.text_shown(0.5)
    platform.answered(Outcome.DONE, 4)
    labels = 'platform="telegram"'
    assert rendered(metrics, "parley_platform_refusals_total") == [f"parley_platform_refusals_total{{{labels}}} 2.0"]
    assert rendered(metrics, "parley_platform_demanded_wait_seconds_total") == [
        f"parley_platform_demanded_wait_seconds_total{{{labels}}} 3.5"
    ]
    assert rendered(metrics, "parley_platform_wait_seconds") == [
        f'parley_platform_wait_seconds_count{{{labels},priority="preview"}} 1.0',
        f'parley_platform_wait_seconds_sum{{{labels},priority="preview"}} 0.25',
    ]
    assert f"parley_first_text_seconds_sum{{{labels}}} 1.5" in rendered(metrics, "parley_first_text_seconds")
    assert f"parley_visible_text_staleness_seconds_sum{{{labels}}} 0.5" in rendered(
        metrics, "parley_visible_text_staleness_seconds"
    )
    answers = rendered(metrics, "parley_answer_seconds")
    assert f'parley_answer_seconds_sum{{outcome="done",{labels}}} 4.0' in answers
    assert f'parley_answer_seconds_count{{outcome="done",{labels}}} 1.0' in answers
    for outcome in set(Outcome) - {Outcome.DONE}:
        assert f'parley_answer_seconds_count{{outcome="{outcome}",{labels}}} 0.0' in answers, "no rate without a zero"


def test_platform_has_one_object() -> None:
    metrics = PrometheusMetrics()
    assert metrics.platform("discord") is metrics.platform("discord")
    assert metrics.platform("discord") is not metrics.platform("telegram")


def test_events_of_models() -> None:
    metrics = PrometheusMetrics()
    metrics.first_token_received("phi-4", 0.5)
    metrics.model_failed("phi-4", "quota")
    metrics.failed_over("quota")
    assert 'parley_model_first_token_seconds_sum{model="phi-4"} 0.5' in rendered(
        metrics, "parley_model_first_token_seconds"
    )
    assert rendered(metrics, "parley_model_failures_total") == [
        'parley_model_failures_total{failure="quota",model="phi-4"} 1.0'
    ]
    assert rendered(metrics, "parley_failovers_total") == ['parley_failovers_total{reason="quota"} 1.0']


@pytest.mark.parametrize("seconds", [0.001, 2])
def test_times_of_the_process(seconds: float) -> None:
    metrics = PrometheusMetrics()
    metrics.transaction_ended("read", seconds)
    metrics.loop_checked(seconds)
    assert f'parley_database_transaction_seconds_sum{{operation="read"}} {seconds:.3g}' in "\n".join(
        rendered(metrics, "parley_database_transaction_seconds")
    )
    assert rendered(metrics, "parley_event_loop_lag_seconds_count") == ["parley_event_loop_lag_seconds_count 1.0"]


def test_definitions_are_what_is_rendered() -> None:
    metrics = PrometheusMetrics()
    definitions = {definition.name: definition for definition in metrics.definitions}
    assert definitions["parley_answer_seconds"].type == "histogram"
    assert definitions["parley_answer_seconds"].labels == ("platform", "outcome")
    assert definitions["parley_failovers_total"].type == "counter"
    assert definitions["parley_queue_turns"].type == "gauge"
    helped = [line.split()[2] for line in metrics.render().decode().splitlines() if line.startswith("# HELP parley_")]
    assert len(helped) >= len(definitions)
    assert set(definitions) <= set(helped)
