"""The queries of the Grafana dashboard and of the alert rules."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = DEPLOY / "grafana-dashboard.json"
ALERTS = DEPLOY / "prometheus-alerts.yaml"
METRIC_PATTERN = re.compile(r"\b((?:parley|process)_\w+)")
GROUPING_PATTERN = re.compile(r"\bby \(([^)]*)\)")
MATCHER_PATTERN = re.compile(r"(\w+)(?:=~?|!=)\"")


@cache
def load_dashboard() -> dict[str, Any]:
    dashboard: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return dashboard


def panels() -> list[dict[str, Any]]:
    """Without the rows that divide them."""
    return [panel for panel in load_dashboard()["panels"] if panel["type"] != "row"]


def panel_queries(panel: dict[str, Any]) -> list[str]:
    return [target["expr"] for target in panel["targets"]]


@cache
def alert_rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def all_queries() -> Iterator[str]:
    for panel in panels():
        yield from panel_queries(panel)
    for rule in alert_rules():
        yield rule["expr"]


def sample_names(query: str) -> set[str]:
    """Of our own metrics and the process's: with `_bucket` and `_count`."""
    return set(METRIC_PATTERN.findall(query))


def label_names(query: str) -> set[str]:
    groupings = ",".join(GROUPING_PATTERN.findall(query))
    return {name.strip() for name in groupings.split(",") if name.strip()} | set(MATCHER_PATTERN.findall(query))
