"""Conventions that tools do not know, checked by reading the source of the tests and the names of migrations."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]

ALLOWED = {
    "tests/bots/hanging_bot.py:run": "a hang, not a synchronisation",
    "tests/bots/sandbox/discord/conftest.py:running_server": "discord.py has no argument for its URLs",
    "tests/contract/toy_platform.py:run": "the bot polls its platform",
    "tests/deploy/unlucky_bot.py:stall_while": "a hang, not a synchronisation",
    "tests/end_to_end/monitored_load.py:_ask_again_and_again": "when people write is part of the scenario",
    "tests/faults/population.py:ask_all": "when people write is part of the scenario",
    "tests/faults/test_kill.py:test_kill_loses_and_repeats_nothing": "when a process is killed is part of the scenario",
    "tests/faults/test_replicas.py:freeze": "how long a process is frozen is part of the scenario",
    "tests/faults/test_replicas.py:run_briefly": "how long a process runs is part of the scenario",
    "tests/waiting.py:wait_until": "the one place that polls",
}
"""Exceptions by `file:function`, with the reason."""


@dataclass(frozen=True, slots=True)
class Call:
    path: str
    function: str
    """The innermost function around the call."""
    node: ast.Call

    @property
    def location(self) -> str:
        return f"{self.path}:{self.function}"

    @property
    def name(self) -> str:
        return f".{ast.unparse(self.node.func)}"


@cache
def calls_in_tests() -> list[Call]:
    paths = sorted((ROOT / "tests").rglob("*.py"))
    return [
        Call(path.relative_to(ROOT).as_posix(), function, node)
        for path in paths
        for function, node in calls_by_function(ast.parse(path.read_text()))
    ]


def calls_by_function(node: ast.AST, function: str = "module") -> Iterator[tuple[str, ast.Call]]:
    """Every call in `node`, with the name of the innermost function around it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield function, child
        name = child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
        yield from calls_by_function(child, name)


def find_calls(*names: str) -> Iterator[tuple[str, ast.Call]]:
    """Calls in tests/ of functions with one of these names, as methods too, with their location."""
    for call in calls_in_tests():
        if call.path.startswith("tests/benchmarks/"):
            continue
        if call.location not in ALLOWED and call.name.endswith(tuple(f".{name}" for name in names)):
            yield f"{call.path}:{call.node.lineno} ({call.function})", call.node


def patches_constant(call: ast.Call) -> bool:
    names = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    return any(name.rpartition(".")[2].isupper() for name in names[:1])


def sleeps(call: ast.Call) -> bool:
    return not (call.args and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0)


def test_no_test_patches_a_constant() -> None:
    """Inject timings or sizes instead: as constructor arguments, or as fields of `Timings`."""
    offenders = [
        location for location, call in find_calls("setattr", "patch", "patch.object") if patches_constant(call)
    ]
    assert not offenders, "patched constants:\n" + "\n".join(offenders)


def test_no_test_sleeps() -> None:
    """Wait for an event, move a `FakeClock`, or use `tests.waiting.wait_until`."""
    offenders = [location for location, call in find_calls("sleep") if sleeps(call)]
    assert not offenders, "sleeps:\n" + "\n".join(offenders)


def test_allowed_exceptions_are_needed() -> None:
    assert ALLOWED.keys() <= {call.location for call in calls_in_tests()}


def test_each_migration_has_its_own_number() -> None:
    """Two changes that were made at the same time may both take the next one."""
    migrations = sorted((ROOT / "core/store/migrations/versions").glob("[0-9]*.py"))
    assert [path.name[:4] for path in migrations] == [f"{number:04}" for number in range(1, len(migrations) + 1)]
