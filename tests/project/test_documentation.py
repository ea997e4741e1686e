"""Markdown files name only existing files, headings, tests, settings, commands and log events. No network is used."""

import re
from pathlib import Path

import pytest

from bots.adapters import SETTINGS_SECTIONS
from core.commands.declarations import COMMANDS
from core.settings import setting_variables
from tests.project.reference.log_events_page import find_logged_events

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path for path in ROOT.rglob("*.md") if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)
LINK_PATTERN = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING_PATTERN = re.compile(r"^#+ (.+)$", re.MULTILINE)
CODE_PATTERN = re.compile(r"^```.*?^```|^ {4}.*?$|`[^`\n]*`", re.MULTILINE | re.DOTALL)


VARIABLE_PATTERN = re.compile(r"\b(?:PARLEY|TELEGRAM|DISCORD|IOINTELLIGENCE|DATABASE)_[A-Z_]+[A-Z]\b")
EVENT_PATTERN = re.compile(r"`([a-z]+\.[a-z_]+)`")
COMMAND_PATTERN = re.compile(r"`/([a-z]+)\b[^/`]*`")
TEST_PATTERN = re.compile(r"`(test_\w+)`")
PATH_PATTERN = re.compile(r"`((?:bots|core|deploy|docs|tests)/[a-z0-9_./]*)`")
OTHER_VARIABLES = {"PARLEY_REQUIRE_TOOLS", "PARLEY_SCREENSHOTS", "PARLEY_SPECS"}
OTHER_COMMANDS = {
    "file",
    "quit",
    "newbot",
    "setinline",
    "setinlinefeedback",
    "setprivacy",
}  # of the terminal and of @BotFather
HTTP_PATHS = {"healthz", "readyz", "metrics"}
FOLDERS = {"data"}
"""Of the container."""


def anchors(page: Path) -> set[str]:
    """The anchors GitHub gives to the headings of a page."""
    headings = HEADING_PATTERN.findall(page.read_text())
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK_PATTERN.findall(CODE_PATTERN.sub("", page.read_text())):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{link}: no such file"
        if anchor:
            assert anchor in anchors(path), f"{link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_names_exist(page: Path) -> None:
    text = page.read_text()
    assert set(VARIABLE_PATTERN.findall(text)) <= setting_variables(SETTINGS_SECTIONS) | OTHER_VARIABLES
    known_commands = {command.name for command in COMMANDS} | OTHER_COMMANDS
    assert set(COMMAND_PATTERN.findall(text)) <= known_commands | HTTP_PATHS | FOLDERS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_paths_and_tests_exist(page: Path) -> None:
    text = page.read_text()
    assert [path for path in PATH_PATTERN.findall(text) if not (ROOT / path).exists()] == []
    if tests := TEST_PATTERN.findall(text):
        sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
        assert [name for name in tests if f"def {name}(" not in sources] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_log_events_exist(page: Path) -> None:
    events = {event.name for event in find_logged_events()}
    areas = {name.partition(".")[0] for name in events}
    names = {name for name in EVENT_PATTERN.findall(page.read_text()) if not name.endswith((".py", ".md", ".toml"))}
    assert {name for name in names if name.partition(".")[0] in areas} <= events
