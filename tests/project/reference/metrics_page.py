"""docs/reference/metrics.md: every metric that `/metrics` reports."""

from core.prometheus_metrics import PrometheusMetrics
from tests.project.reference.markdown import GENERATED, code, table

INTRODUCTION = """\
With `PARLEY_MONITORING_LISTEN`, the bot answers `/metrics` in Prometheus' text format. [Monitoring](../operate/monitoring.md) says what to
watch. Histograms have the suffixes `_bucket`, `_sum` and `_count`. Gauges of the whole database have the same value in every process:
use `max`, not `sum`. No label identifies a person or a chat. Besides these metrics there are those of the process (`process_*`)."""


def render() -> str:
    definitions = sorted(PrometheusMetrics().definitions, key=lambda definition: definition.name)
    rows = [
        (code(metric.name), metric.type, ", ".join(map(code, metric.labels)), metric.meaning) for metric in definitions
    ]
    return (
        "\n\n".join(("# Metrics", GENERATED, INTRODUCTION, table(("Metric", "Type", "Labels", "Meaning"), rows))) + "\n"
    )
