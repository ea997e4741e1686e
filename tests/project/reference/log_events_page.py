"""docs/reference/log-events.md: every event the source logs, found by reading the source.

The meanings are in docs/reference/log-events.toml, which must name every event and no other.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

from tests.project.reference.markdown import GENERATED, code, table

ROOT = Path(__file__).parents[3]
MEANINGS_FILE = ROOT / "docs" / "reference" / "log-events.toml"
LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error"}
EVENT_PATTERN = re.compile(r"[a-z]+\.[a-z_]+")
INTRODUCTION = """\
On a terminal, logs are readable lines; elsewhere, each line is a JSON object. `event` is one of the names below (in lines of libraries,
a sentence), `level` its severity, `timestamp` the time in UTC. Logs contain no secrets and no message texts."""


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    name: str
    level: str
    fields: frozenset[str]
    location: str


def render() -> str:
    meanings = _load_meanings()
    parts = ["# Log events", GENERATED, INTRODUCTION]
    by_name = groupby(sorted(find_logged_events(), key=lambda event: event.name), lambda event: event.name)
    events = [(name, list(found)) for name, found in by_name]
    for area, members in groupby(events, lambda event: event[0].partition(".")[0]):
        rows = [_row(name, found, meanings.get(name, "")) for name, found in members]
        parts += [f"## {area}", table(("Event", "Level", "Fields", "Meaning"), rows)]
    return "\n\n".join(parts) + "\n"


def _row(name: str, events: list[LoggedEvent], meaning: str) -> tuple[str, ...]:
    fields = sorted(frozenset().union(*(event.fields for event in events)))
    levels = sorted({event.level for event in events})
    return code(name), ", ".join(levels), ", ".join(map(code, fields)), meaning


def find_problems() -> list[str]:
    """Events whose names break the convention or whose meanings are missing, and meanings without an event."""
    events = find_logged_events()
    meanings = _load_meanings()
    problems = [
        f'{event.location}: "{event.name}" is not of the form area.event'
        for event in events
        if not EVENT_PATTERN.fullmatch(event.name)
    ]
    names = {event.name for event in events if EVENT_PATTERN.fullmatch(event.name)}
    problems += [f"{MEANINGS_FILE.name}: add the meaning of {name}" for name in sorted(names - meanings.keys())]
    problems += [f"{MEANINGS_FILE.name}: remove {name}, nothing logs it" for name in sorted(meanings.keys() - names)]
    return problems


@cache
def find_logged_events() -> list[LoggedEvent]:
    paths = sorted(path for package in ("core", "bots") for path in (ROOT / package).rglob("*.py"))
    return [event for path in paths for event in _events_in(path)]


def _events_in(path: Path) -> Iterator[LoggedEvent]:
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in LEVELS
            and ast.unparse(node.func.value) in ("log", "structlog.get_logger(__name__)")
        ):
            event = node.args[0] if node.args else None
            location = f"{path.relative_to(ROOT)}:{node.lineno}"
            name = event.value if isinstance(event, ast.Constant) else "(not a literal)"
            fields = frozenset(keyword.arg for keyword in node.keywords if keyword.arg and keyword.arg != "exc_info")
            yield LoggedEvent(str(name), LEVELS[node.func.attr], fields, location)


def _load_meanings() -> dict[str, str]:
    areas = tomllib.loads(MEANINGS_FILE.read_text())
    return {f"{area}.{event}": meaning for area, events in areas.items() for event, meaning in events.items()}
