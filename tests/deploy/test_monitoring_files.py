"""The dashboard and the alert rules load, and ask only for metrics that exist."""

import re
from itertools import combinations
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from core.prometheus_metrics import Definition, PrometheusMetrics
from tests.deploy.monitoring_files import (
    ALERTS,
    alert_rules,
    all_queries,
    label_names,
    load_dashboard,
    panel_queries,
    panels,
    sample_names,
)
from tests.deploy.tools import run_tool

ALERT_TESTS = Path(__file__).with_name("alert_rules_test.yaml")
GUIDE = Path(__file__).parents[2] / "docs" / "operate" / "monitoring.md"
HISTOGRAM_SUFFIXES = ("_bucket", "_sum", "_count")
PROMETHEUS_LABELS = {"le", "instance", "job", "app_kubernetes_io_name"}
PROCESS_METRICS = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
UID = {"type": "object", "required": ["type", "uid"], "properties": {"uid": {"const": "${datasource}"}}}
TARGET = {
    "type": "object",
    "required": ["refId", "expr", "legendFormat", "datasource"],
    "properties": {"refId": {"type": "string", "pattern": "^[A-Z]$"}, "expr": {"type": "string"}, "datasource": UID},
}
POSITION = {
    "type": "object",
    "required": ["h", "w", "x", "y"],
    "additionalProperties": {"type": "integer", "minimum": 0},
    "properties": {"w": {"maximum": 24}, "x": {"maximum": 23}},
}
PANEL = {
    "type": "object",
    "required": ["id", "type", "title", "gridPos"],
    "properties": {"id": {"type": "integer"}, "type": {"enum": ["row", "timeseries"]}, "gridPos": POSITION},
    "if": {"properties": {"type": {"const": "timeseries"}}},
    "then": {
        "required": ["description", "datasource", "fieldConfig", "options", "targets"],
        "properties": {"targets": {"type": "array", "minItems": 1, "items": TARGET}, "datasource": UID},
    },
}
DASHBOARD_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["title", "uid", "schemaVersion", "panels", "templating", "time"],
    "properties": {
        "title": {"type": "string"},
        "uid": {"type": "string", "maxLength": 40},
        "schemaVersion": {"type": "integer", "minimum": 36},
        "panels": {"type": "array", "items": PANEL},
        "templating": {"type": "object", "required": ["list"]},
    },
}
"""What Grafana needs to import a dashboard, as far as this one uses its model."""


def known_samples() -> dict[str, Definition]:
    """Our metrics by the names of their samples."""
    definitions = PrometheusMetrics().definitions
    return {
        f"{definition.name}{suffix}": definition
        for definition in definitions
        for suffix in (HISTOGRAM_SUFFIXES if definition.type == "histogram" else ("",))
    }


def overlap(first: dict[str, int], second: dict[str, int]) -> bool:
    beside = first["x"] + first["w"] <= second["x"] or second["x"] + second["w"] <= first["x"]
    below = first["y"] + first["h"] <= second["y"] or second["y"] + second["h"] <= first["y"]
    return not (beside or below)


def test_dashboard_can_be_imported() -> None:
    dashboard = load_dashboard()
    jsonschema.validate(dashboard, DASHBOARD_SCHEMA)
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    positions = [panel["gridPos"] for panel in dashboard["panels"]]
    assert not [pair for pair in combinations(positions, 2) if overlap(*pair)]
    variables = {variable["name"] for variable in dashboard["templating"]["list"]} | {"__rate_interval"}
    for panel in panels():
        for query in panel_queries(panel):
            assert set(re.findall(r"\$\{?(\w+)", query)) <= variables


@pytest.mark.parametrize("query", sorted(set(all_queries())))
def test_query_uses_existing_metrics_and_labels(query: str) -> None:
    samples, names = known_samples(), sample_names(query)
    assert names <= samples.keys() | PROCESS_METRICS
    labels = {label for name in names for label in (samples[name].labels if name in samples else ())}
    assert label_names(query) <= labels | PROMETHEUS_LABELS


def test_dashboard_shows_every_metric() -> None:
    shown = {name for panel in panels() for query in panel_queries(panel) for name in sample_names(query)}
    samples = known_samples()
    missing = {definition.name for definition in samples.values()} - {
        samples[name].name for name in shown & samples.keys()
    }
    assert missing == set()


def test_guide_explains_every_alert() -> None:
    headings = re.findall(r"^### (\w+)$", GUIDE.read_text(), re.MULTILINE)
    assert headings == [rule["alert"] for rule in alert_rules()]


@pytest.mark.slow
def test_alert_rules_load() -> None:
    assert f"{len(alert_rules())} rules found" in run_tool("promtool", "check", "rules", ALERTS)


@pytest.mark.slow
def test_alerts_fire_when_they_should() -> None:
    run_tool("promtool", "test", "rules", ALERT_TESTS)


def test_every_alert_is_tested_firing_and_quiet() -> None:
    cases = [case for test in yaml.safe_load(ALERT_TESTS.read_text())["tests"] for case in test["alert_rule_test"]]
    alerts = {rule["alert"] for rule in alert_rules()}
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == alerts
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == alerts


@pytest.mark.slow
def test_prometheus_reads_the_scrape_jobs_of_the_guide(tmp_path: Path) -> None:
    jobs = re.findall(r"^    scrape_configs:\n(?:(?:    .*)?\n)+", GUIDE.read_text(), re.MULTILINE)
    assert len(jobs) == 2, "one for addresses, one for Kubernetes"
    for number, text in enumerate(jobs):
        settings = yaml.safe_load(text.replace("/etc/prometheus/parley-alerts.yaml", str(ALERTS)))
        (job,) = settings["scrape_configs"]
        assert job["job_name"] == "parley", "as the alerts expect"
        job.pop("kubernetes_sd_configs", None)  # Debian's Prometheus is built without them
        configuration = tmp_path / f"{number}.yaml"
        configuration.write_text(yaml.safe_dump(settings))
        run_tool("promtool", "check", "config", configuration)
