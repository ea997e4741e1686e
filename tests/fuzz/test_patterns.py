"""Every regular expression of the core and the adapters takes linear time on any text.

A child process searches texts of 20,000 characters with every pattern. What takes longer than a linear
pattern should is measured again with half the text: a quadratic pattern then needs a quarter of the time. A limit of
processor time ends patterns that are worse.
"""

import ast
import collections
import importlib
import math
import pkgutil
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import regex

import bots
import core

ROOT = Path(__file__).parents[2]
CHARS = 20_000
SUSPICIOUS_SECONDS = 0.03
"""Of processor time, for one text."""
MAX_GROWTH = 3.0
"""Of the time, when the text doubles."""
MAX_CPU_SECONDS = 10
"""For all texts of one pattern."""
ALWAYS_TRIED = " a1.\n"
ANCHORED_CALLS = {"match", "fullmatch"}
SCANNING_CALLS = {"search", "split", "findall", "finditer", "sub", "subn"}


@dataclass(frozen=True)
class UsedPattern:
    name: str
    pattern: "re.Pattern[str] | regex.Pattern[str]"
    is_anchored: bool
    """Whether it is only used to match the beginning of a text, or all of it."""


def source_files() -> Iterator[Path]:
    for package in ("core", "bots"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if "sandbox" not in path.parts:
                yield path


def patterns_in_calls(path: Path) -> Iterator[UsedPattern]:
    """The patterns that are written in calls, such as `re.sub("...", ...)`. Variable parts become a letter."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(
                func=ast.Attribute(ast.Name("re" | "regex"), attribute), args=[ast.Constant(str(source)), *_]
            ):
                parts = [source]
            case ast.Call(func=ast.Attribute(ast.Name("re" | "regex"), attribute), args=[ast.JoinedStr(values), *_]):
                parts = [str(value.value) if isinstance(value, ast.Constant) else "b" for value in values]
            case _:
                continue
        if attribute in ANCHORED_CALLS | SCANNING_CALLS:
            source = "".join(parts)
            pattern = regex.compile(source) if "\\X" in source else re.compile(source)
            yield UsedPattern(f"{path.relative_to(ROOT)}:{node.lineno}", pattern, attribute in ANCHORED_CALLS)


def patterns_in_modules() -> Iterator[UsedPattern]:
    """The compiled patterns among the globals of every module, also inside tuples and dictionaries."""
    for package in (core, bots):
        for module_info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".sandbox" in module_info.name or ".migrations" in module_info.name:
                continue
            module = importlib.import_module(module_info.name)
            for name, value in vars(module).items():
                items = value.values() if isinstance(value, dict) else value
                for item in items if isinstance(value, tuple | dict) else (value,):
                    if isinstance(item, re.Pattern | regex.Pattern) and isinstance(item.pattern, str):
                        calls = set(re.findall(rf"\b{name}\.(\w+)", Path(str(module.__file__)).read_text()))
                        yield UsedPattern(f"{module_info.name}.{name}", item, bool(calls) and calls <= ANCHORED_CALLS)


def all_patterns() -> list[UsedPattern]:
    return [*patterns_in_modules(), *(used for path in source_files() for used in patterns_in_calls(path))]


def hostile_texts(pattern: str, chars: int) -> Iterator[str]:
    """Repetitions of what occurs in the pattern, alone and after its longest word; with and without its end."""
    words = sorted(re.findall(r"[A-Za-z]{2,}", pattern), key=len)
    literals = sorted(re.findall(r"[^\\\[\](){}.*+?|^$]{2,}", pattern), key=len)
    marks = sorted(set(re.findall(r"[^\w\s]", pattern)))
    all_marks = "".join(marks) or "-"
    for unit in [*ALWAYS_TRIED, *marks, all_marks, f"{all_marks} "]:
        yield unit * (chars // len(unit)) + all_marks
    for literal in literals[-1:]:
        yield literal * (chars // len(literal))
    for word in words[-1:]:
        for char in ALWAYS_TRIED:
            yield word + char * chars
            yield ((word + char) * (chars // len(word)))[:chars]


def search(used: UsedPattern, text: str) -> float:
    """The seconds of processor time that this takes."""
    started_at = time.process_time()
    if used.is_anchored:
        used.pattern.match(text)
    else:
        collections.deque(used.pattern.finditer(text), maxlen=0)
    used.pattern.fullmatch(text)
    return time.process_time() - started_at


def is_linear(used: UsedPattern) -> bool:
    source = used.pattern.pattern
    for text, half_text in zip(hostile_texts(source, CHARS), hostile_texts(source, CHARS // 2), strict=True):
        if search(used, text) < SUSPICIOUS_SECONDS:
            continue
        # Other processes slow this one down, now and then: the shortest of several times is the nearest to the truth.
        times = [(search(used, text), search(used, half_text)) for _ in range(5)]
        seconds, half_seconds = map(min, zip(*times, strict=True))
        if seconds > MAX_GROWTH * half_seconds:
            return False
    return True


def search_all() -> None:
    """Run in the child process: search every text with every pattern, naming each before it is tried."""
    for used in {(id(used.pattern), used.is_anchored): used for used in all_patterns()}.values():
        limit = math.ceil(time.process_time()) + MAX_CPU_SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        sys.stdout.write(f"{used.name} {used.pattern.pattern!a}\n")
        sys.stdout.flush()
        if not is_linear(used):
            sys.exit("quadratic")


if __name__ == "__main__":
    search_all()


def test_every_pattern_is_found() -> None:
    names = {used.name.partition(":")[0] for used in all_patterns()}
    for name in (
        "core.delivery.part_parser.ITEM_PATTERN",
        "core.api.context_overflow.LIMIT_PATTERNS",
        "core.api.adaptation.PART_PATTERNS",
        "bots/discord/translate.py",
    ):
        assert name in names


@pytest.mark.parametrize("source", ["a*b", "word.*end"])
def test_quadratic_pattern_is_recognised(source: str) -> None:
    assert not is_linear(UsedPattern("example", re.compile(source), is_anchored=False))


@pytest.mark.slow
def test_every_pattern_is_linear() -> None:
    command = [sys.executable, "-m", "tests.fuzz.test_patterns"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"Too slow, or failed: {run.stdout.splitlines()[-1:]} {run.stderr}"
