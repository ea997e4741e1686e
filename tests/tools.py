"""Programs that tests use, if they are installed: of the development dependencies, or of the system."""

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

import pytest

REQUIRED_TOOLS_VARIABLE = "PARLEY_REQUIRE_TOOLS"
"""Names tools that must not be missing, separated by spaces. `.ci/run` sets it."""


def find_tool(*names: str) -> str:
    """The path of the first of these programs that is installed. Skips the test if there is none, or fails it."""
    programs = Path(sys.executable).parent
    paths = (shutil.which(name, path=programs) or shutil.which(name) for name in names)
    return next(filter(None, paths), None) or miss_tool(names[0])


def miss_tool(name: str, reason: str = "is not installed") -> NoReturn:
    """Skip the test, or fail it if the tool is required here."""
    if name in os.environ.get(REQUIRED_TOOLS_VARIABLE, "").split():
        pytest.fail(f"{name} {reason}, and {REQUIRED_TOOLS_VARIABLE} requires it")
    pytest.skip(f"{name} {reason}")
