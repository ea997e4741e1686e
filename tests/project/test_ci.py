"""CI runs every test that it can: a tool that is missing there is no reason to skip."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.tools import REQUIRED_TOOLS_VARIABLE, find_tool, miss_tool

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".ci" / "run"
TOOL_PATTERN = re.compile(r"\b(?:run_tool|find_tool|miss_tool)\(\s*\"([\w-]+)\"")


def test_missing_tool_skips_a_test_unless_it_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRED_TOOLS_VARIABLE, "other-tool")
    with pytest.raises(pytest.skip.Exception, match="no-such-tool is not installed"):
        find_tool("no-such-tool")
    monkeypatch.setenv(REQUIRED_TOOLS_VARIABLE, "other-tool no-such-tool")
    with pytest.raises(pytest.fail.Exception, match=f"no-such-tool is too old, and {REQUIRED_TOOLS_VARIABLE}"):
        miss_tool("no-such-tool", "is too old")
    assert Path(find_tool("no-such-tool", "python3")).exists()


def test_ci_installs_and_requires_every_tool() -> None:
    sources = (path.read_text() for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__))
    used = {name for source in sources for name in TOOL_PATTERN.findall(source)}
    text = SCRIPT.read_text()
    (python_packages,) = re.findall(r'^required="(.*)"$', text, re.MULTILINE)
    system_packages = re.findall(r"^  ([\w-]+) [\w-]+$", text, re.MULTILINE)
    assert used == {*python_packages.split(), *system_packages}


@pytest.mark.slow
def test_ci_script_can_be_read() -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    subprocess.run([bash, "-n", SCRIPT], check=True, timeout=60)
