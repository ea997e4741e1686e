"""Reads `deploy/parley.service`: its options, and the system calls that its filter allows."""

import errno
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.tools import run_tool

UNIT = Path(__file__).parents[2] / "deploy" / "parley.service"


@dataclass(frozen=True, slots=True)
class SystemCallFilter:
    allowed: list[str]
    error_number: int | None
    """What other system calls fail with; None: they kill the process."""


def read_unit() -> dict[str, list[str]]:
    """The values of each option, in the order of the file."""
    options: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        name, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            options.setdefault(name, []).append(value)
    return options


def read_system_call_filter() -> SystemCallFilter:
    """The unit's filter as systemd applies it. Skips the test if systemd-analyze is not installed."""
    unit = read_unit()
    first, *others = unit["SystemCallFilter"]
    assert not first.startswith("~"), "the filter is a list of allowed calls"
    allowed = _expand(first)
    for value in others:
        if value.startswith("~"):
            allowed -= _expand(value[1:])
        else:
            allowed |= _expand(value)
    error_name = unit.get("SystemCallErrorNumber", [""])[-1]
    return SystemCallFilter(sorted(allowed), getattr(errno, error_name) if error_name else None)


def _expand(names: str) -> set[str]:
    """The system calls in a list of names and groups."""
    calls: set[str] = set()
    for name in names.split():
        calls |= _group(name) if name.startswith("@") else {name}
    return calls


def _group(name: str) -> set[str]:
    lines = run_tool("systemd-analyze", "syscall-filter", "--no-pager", name).splitlines()
    return _expand(" ".join(line for line in map(str.strip, lines[1:]) if line and not line.startswith("#")))
