"""For all tests: an environment without settings, and `pytest --fast`.

`--fast` (`make fast`) leaves out what starts processes, needs PostgreSQL or takes seconds: whole folders, tests
with "postgresql" in their ID and tests marked `slow`. A test that starts a process anyway fails
under `--fast`, and its message says to mark it.
"""

import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bots.adapters import SETTINGS_SECTIONS
from core.settings import setting_variables
from tests.ports import free_port

SLOW_FOLDERS = ("tests/browser/", "tests/contract/", "tests/end_to_end/", "tests/faults/", "tests/load/")
LONGEST_TESTS = ("tests/faults/", "tests/end_to_end/test_busy_group.py", "tests/end_to_end/test_model_services.py")
PROCESS_EVENTS = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system")

is_test_running = False


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="only quick tests: no child processes, no PostgreSQL")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: starts a process, needs PostgreSQL or takes seconds; not in `make fast`")
    if config.getoption("fast"):
        sys.addaudithook(refuse_processes)
    # The settings of this machine must not reach the tests, or the processes they start.
    for name in setting_variables(SETTINGS_SECTIONS):
        os.environ.pop(name, None)
    # Tests use no TLS, and reading the authorities that this machine trusts takes a third of a quick run's time:
    # let each HTTP client, also in child processes, look for them in a folder without any.
    os.environ.pop("SSL_CERT_FILE", None)
    os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("fast"):
        slow = [item for item in items if is_slow(item)]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
    elif hasattr(config, "workerinput"):
        items[:] = long_beside_short(items, config.workerinput["workercount"])


def long_beside_short(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """An order for pytest-xdist, which gives each worker one stretch of the tests to begin with.

    Long tests wait more than they compute. So two workers begin with short tests, which compute, the others with long
    ones.
    """
    long = sorted(filter(is_in_slow_folder, items), key=lambda item: not item.nodeid.startswith(LONGEST_TESTS))
    short = [item for item in items if not is_in_slow_folder(item)]
    long_workers = max(1, workers - 2)
    size, ordered, used = -(-len(items) // workers), list[pytest.Item](), 0
    for worker in range(workers):
        stretch = long[worker::long_workers][:size] if worker < long_workers else []
        used_before, used = used, used + size - len(stretch)
        ordered += stretch + short[used_before:used]
    return ordered + [item for item in items if item not in set(ordered)]  # fewer short ones than workers take


def pytest_collection_finish() -> None:
    # Modules live as long as the process: the garbage collector need not look at them again and again.
    gc.collect()
    gc.freeze()


def is_slow(item: pytest.Item) -> bool:
    return is_in_slow_folder(item) or "postgresql" in item.name or item.get_closest_marker("slow") is not None


def is_in_slow_folder(item: pytest.Item) -> bool:
    return any(folder in item.path.as_posix() for folder in SLOW_FOLDERS)


@pytest.fixture(scope="session")
def unused_tcp_port_factory() -> Callable[[], int]:
    """Replaces pytest-asyncio's, whose ports other programs may get meanwhile."""
    return free_port


@pytest.fixture
def unused_tcp_port() -> int:
    return free_port()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Iterator[None]:
    global is_test_running  # noqa: PLW0603 (an audit hook has no other state)
    is_test_running = True
    try:
        return (yield)
    finally:
        is_test_running = False


def refuse_processes(event: str, _arguments: object) -> None:
    if is_test_running and event in PROCESS_EVENTS:
        raise AssertionError("This test starts a process: mark it with @pytest.mark.slow")
