import pytest
import structlog

from core.throttled_log import MAX_KEYS, ThrottledLog
from tests.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def test_lines_of_one_key_are_summarised(clock: FakeClock) -> None:
    throttled, lines = ThrottledLog(clock=clock), list[int]()
    for _ in range(5):
        throttled.log("eve", lines.append)
    assert lines == [0]
    await clock.advance(60)
    assert lines == [0, 4]
    throttled.log("eve", lines.append)
    await clock.advance(59)
    assert lines == [0, 4], "a summary counts as the line of its minute"
    await clock.advance(1)
    assert lines == [0, 4, 1]
    await clock.advance(60)
    assert not clock.pending(), "an idle key is forgotten"
    throttled.log("eve", lines.append)
    assert lines == [0, 4, 1, 0]


async def test_keys_are_independent(clock: FakeClock) -> None:
    throttled, lines = ThrottledLog(clock=clock), list[str]()
    for name in ("ann", "bob", "ann"):
        throttled.log(name, lambda suppressed, name=name: lines.append(f"{name} {suppressed}"))  # type: ignore[misc]
    assert lines == ["ann 0", "bob 0"]
    await clock.advance(60)
    assert lines[2:] == ["ann 1"]


async def test_many_keys_share_one_line(clock: FakeClock) -> None:
    throttled, lines = ThrottledLog(clock=clock), list[int]()
    with structlog.testing.capture_logs() as logs:
        for number in range(20 * MAX_KEYS):
            throttled.log(f"stranger {number}", lines.append)
        assert len(lines) == MAX_KEYS
        assert len(clock.pending()) == MAX_KEYS + 1, "memory is bounded"
        await clock.advance(60)
    assert [entry["suppressed"] for entry in logs] == [19 * MAX_KEYS]
    assert len(lines) == MAX_KEYS
