"""The programs that the development dependencies install, and those of the system."""

import os
import subprocess
from pathlib import Path

from tests.tools import find_tool

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 300
"""Installers may download and compile for minutes."""


def run_tool(name: str, *arguments: str | Path, **environment: str) -> str:
    """The standard output of a tool. Fails the test with the tool's complaints; see `find_tool` if it is missing."""
    path = find_tool(name)
    # `tests.conftest` hides the certificate authorities of the machine, which installers need.
    inherited = {key: value for key, value in os.environ.items() if key != "SSL_CERT_DIR"} | {"UV_SYSTEM_CERTS": "1"}
    done = subprocess.run(
        [path, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        env=inherited | environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
