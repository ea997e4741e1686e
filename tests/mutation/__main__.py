"""Mutation test: would the tests notice a defect?

Changes the product in one place, runs the tests, and counts the changes that no test notices (survivors). Works on
copies of the project, one for each worker; the working tree stays as it is. A mutant runs the tests of its module
first, then those of the mirrored folder, then more. A test that fails counts only if it fails again and passes
without the mutant.
"""

import difflib
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.fork_server import RUN_SECONDS, ForkServer
from tests.mutation.mutants import Mutant, find_mutants, product_files

ROOT = Path(__file__).parents[2]
EQUIVALENT_MUTANTS = Path(__file__).with_name("equivalent.toml")
TEST_SECONDS = 90
MAX_FLAKY_TESTS = 3
NO_TESTS_COLLECTED = 5
FAILED_TEST = re.compile(r"^(?:FAILED|ERROR) (\S+?::.+?)(?: - .*)?$", re.MULTILINE)

MIRROR, OTHERS, SURVIVED, EQUIVALENT = "killed by its mirrored folder", "killed by others", "survived", "equivalent"


@dataclass(frozen=True, slots=True)
class Result:
    mutant: Mutant
    outcome: str
    detail: str
    """The test that failed, or the reason why the mutant is equivalent."""
    seconds: float

    def describe(self, original: Path) -> str:
        mutant = self.mutant
        line = mutant.line((original / mutant.path).read_bytes())
        text = f"{self.seconds:4.0f} s  {mutant.path}:{line} {self.outcome}: {self.detail}"
        return f"{text}\n{diff(original, mutant)}" if self.outcome == SURVIVED else text


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    seed = int(os.environ.get("MUTANTS_SEED") or random.randrange(100_000))
    count = int(os.environ.get("MUTANTS_COUNT") or 100)
    workers = int(os.environ.get("MUTANTS_WORKERS") or 2)
    prefix = os.environ.get("MUTANTS_PATH", "")
    is_wide = not os.environ.get("MUTANTS_MIRRORED_ONLY")
    with tempfile.TemporaryDirectory(prefix="parley-mutants-") as folder:
        original = Path(folder) / "original"
        copy_project(original)
        paths = [path for path in product_files(original) if path.startswith(prefix)]
        candidates = find_mutants(original, paths)
        sample = random.Random(seed).sample(candidates, min(count, len(candidates)))
        _print(f"MUTANTS_SEED={seed}: {len(sample)} of {len(candidates)} mutants")
        waiting: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
        for mutant in sample:
            waiting.put(mutant)
        results: list[Result] = []
        copies = [Path(shutil.copytree(original, Path(folder) / f"{number}")) for number in range(workers)]
        servers = [ForkServer(copy) for copy in copies]

        def work(server: ForkServer, copy: Path) -> None:
            while True:
                try:
                    mutant = waiting.get_nowait()
                except queue.Empty:
                    return
                results.append(_try_mutant(server, original, copy, mutant, is_wide=is_wide))
                _print(f"{len(results):4} {results[-1].describe(original)}")

        threads = [threading.Thread(target=work, args=each, daemon=True) for each in zip(servers, copies, strict=True)]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            for server in servers:
                server.close()
        _report(original, results)
    return int(len(results) < len(sample))


def _try_mutant(server: ForkServer, original: Path, copy: Path, mutant: Mutant, *, is_wide: bool) -> Result:
    started_at = time.monotonic()
    outcome, detail = EQUIVALENT, equivalence(original, mutant)
    if not detail:
        outcome, detail = _test_mutant(server, copy, mutant, is_wide=is_wide)
    return Result(mutant, outcome, detail, time.monotonic() - started_at)


def copy_project(copy: Path) -> None:
    """Copy the files of the working tree, without what git ignores."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    (copy / ".tmp").mkdir()


def _test_mutant(server: ForkServer, copy: Path, mutant: Mutant, *, is_wide: bool) -> tuple[str, str]:
    for outcome, arguments in _stages(copy, mutant):
        if outcome == OTHERS and not is_wide:
            break
        ignored: list[str] = []
        while len(ignored) <= MAX_FLAKY_TESTS:
            with _Applied(copy, mutant):
                failed = _failed_test(server, [*arguments, *(f"--deselect={test}" for test in ignored)])
                is_certain = failed is not None and ("::" not in failed or _failed_test(server, [failed]) is not None)
            if failed is None:
                break
            if is_certain and ("::" not in failed or _failed_test(server, [failed]) is None):
                return outcome, failed
            ignored.append(failed)
    return SURVIVED, mutant.replacement


def _stages(copy: Path, mutant: Mutant) -> list[tuple[str, list[str]]]:
    path = Path(mutant.path)
    mirror = copy / "tests" / path.parent
    own = mirror / f"test_{path.stem}.py"
    # A folder with its subfolders; of core/ and bots/ themselves, only the files.
    folder = [mirror] if mirror.is_dir() and len(path.parts) > 2 else sorted(mirror.glob("test_*.py"))
    mirrored = [test.relative_to(copy).as_posix() for test in folder]
    wide = ["tests/core", "tests/bots", "tests/contract", f"--ignore={mirror.relative_to(copy).as_posix()}"]
    if len(path.parts) == 2:
        wide.pop()
    return [
        *([(MIRROR, [own.relative_to(copy).as_posix()])] if own.exists() else []),
        *([(MIRROR, [*mirrored, "--fast"]), (MIRROR, mirrored)] if mirrored else []),
        # No end-to-end tests: they take too long, and they would say that something is wrong, but not where.
        (OTHERS, [*wide, "--fast"]),
    ]


class _Applied:
    """The mutant is in the copy while this context is open."""

    modified_at = time.time()

    def __init__(self, copy: Path, mutant: Mutant) -> None:
        self._file = copy / mutant.path
        self._mutant = mutant

    def __enter__(self) -> None:
        self._original = self._file.read_bytes()
        self._write(self._mutant.apply(self._original))

    def __exit__(self, *_: object) -> None:
        self._write(self._original)

    def _write(self, source: bytes) -> None:
        # Python recognises an outdated .pyc file by size and time in seconds.
        _Applied.modified_at += 2
        self._file.write_bytes(source)
        os.utime(self._file, (self.modified_at, self.modified_at))


def _failed_test(server: ForkServer, arguments: Sequence[str]) -> str | None:
    """The ID of the first test that fails, or what else went wrong; None if all pass or take too long."""
    status, output = server.run_pytest(["-x", "-q", "-rfE", f"--timeout={TEST_SECONDS}", *arguments])
    if status is None:
        _print(f"undecided after {RUN_SECONDS:.0f} s: {' '.join(arguments)}")
        return None
    if status in (0, NO_TESTS_COLLECTED):
        return None
    failed = FAILED_TEST.search(output)
    if failed is None and "+ Timeout +" in output:
        return "a test hangs"
    return failed[1] if failed else output.strip().rpartition("\n")[2][:200] or f"status {status}"


def equivalence(original: Path, mutant: Mutant) -> str:
    """Why the mutant behaves like the original, if equivalent.toml says so."""
    source = (original / mutant.path).read_bytes()
    line = mutant.line(source) - 1
    before, after = (text.decode().splitlines()[line].strip() for text in (source, mutant.apply(source)))
    for entry in tomllib.loads(EQUIVALENT_MUTANTS.read_text())["mutant"]:
        if (entry["file"], entry["line"], entry["mutated"]) == (mutant.path, before, after):
            return str(entry["reason"])
    return ""


def diff(original: Path, mutant: Mutant) -> str:
    source = (original / mutant.path).read_bytes()
    before, after = (text.decode().splitlines() for text in (source, mutant.apply(source)))
    return "\n".join(difflib.unified_diff(before, after, mutant.path, mutant.path, lineterm="", n=2))


def _report(original: Path, results: Sequence[Result]) -> None:
    counts = Counter(result.outcome for result in results)
    relevant = len(results) - counts[EQUIVALENT]
    _print("")
    for outcome in (MIRROR, OTHERS, SURVIVED, EQUIVALENT):
        share = f" ({counts[outcome] / relevant:.0%})" if relevant and outcome != EQUIVALENT else ""
        _print(f"{outcome}: {counts[outcome]}{share}")
    for result in results:
        if result.outcome == SURVIVED:
            _print(f"\n{diff(original, result.mutant)}")


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
