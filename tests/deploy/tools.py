"""The programs that the development dependencies install, and those of the system."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run_tool(name: str, *arguments: str | Path, **environment: str) -> str:
    """The standard output of a tool. Fails the test with the tool's complaints; skips it if the tool is missing."""
    path = shutil.which(name, path=Path(sys.executable).parent) or shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    # `tests.conftest` hides the certificate authorities of the machine, which installers need.
    inherited = {key: value for key, value in os.environ.items() if key != "SSL_CERT_DIR"} | {"UV_SYSTEM_CERTS": "1"}
    done = subprocess.run(
        [path, *arguments], check=False, capture_output=True, text=True, timeout=100, env=inherited | environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
