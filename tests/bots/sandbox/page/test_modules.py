"""The page's pure modules, tested by Node's own test runner: files `*.test.mjs` in this folder."""

import re
import subprocess
from pathlib import Path

import pytest

from bots.sandbox.web import page
from tests.tools import find_tool, miss_tool

FOLDER = Path(__file__).parent
PAGE = Path(page.__file__).parents[1] / "page"
MAX_LINES = 300
OLDEST_NODE = (20, 19)
"""Before, it reads `.js` as a module only with a package.json."""


def node_program() -> str:
    program = find_tool("node")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST_NODE:
        miss_tool("node", f"{version.strip()} is too old")
    return program


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", sorted(FOLDER.glob("*.test.mjs")), ids=lambda path: path.name.removesuffix(".test.mjs")
)
def test_modules_of_the_page(path: Path) -> None:
    command = [node_program(), "--no-warnings", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]


def test_files_of_the_page_are_short() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in PAGE.rglob("*.*")}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_page_loads_every_stylesheet() -> None:
    links = re.findall(r'href="/page/styles/([^"]+)"', (PAGE / "index.html").read_text())
    assert sorted(links) == sorted(path.name for path in PAGE.glob("styles/*.css"))
