"""The validators that the development dependencies install."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def run_tool(name: str, *arguments: str | Path) -> str:
    """The standard output of a tool. Fails the test with the tool's complaints; skips it if the tool is missing."""
    path = shutil.which(name, path=Path(sys.executable).parent) or shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    done = subprocess.run([path, *arguments], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
