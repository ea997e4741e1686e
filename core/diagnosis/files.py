"""Checks who may read files with private content."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from core.diagnosis.finding import Finding, warning


def check_privacy(check: str, path: Path, content: str) -> list[Finding]:
    """A finding if every user of this machine may read the file, and its owner could prevent it.

    A file of another owner is left alone: Docker, for example, mounts secrets that everyone in the container may read.
    """
    if os.name == "nt" or not path.exists():
        return []
    status = path.stat()
    if status.st_uid != os.geteuid() or not status.st_mode & (stat.S_IROTH | stat.S_IWOTH):
        return []
    return [warning(check, f"Every user of this machine can read {content} in {path}.", f"chmod o= {path}")]


def check_all_private(check: str, paths: Iterable[Path], content: str) -> list[Finding]:
    return [finding for path in paths for finding in check_privacy(check, path, content)]
