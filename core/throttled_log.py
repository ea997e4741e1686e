"""Log lines that strangers cause: at most one a minute for each key, then a line with the number left out.

0 s    line          logged
1 s    line          left out
2 s    line          left out
60 s                 logged with suppressed=2
120 s                nothing was left out: the key is forgotten
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog

from core.clock import Clock, SystemClock

log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 60.0
MAX_KEYS = 100
"""Lines with further keys are only counted."""
OTHER_KEYS = ""


@dataclass(slots=True)
class _LogWindow:
    write: Callable[[int], object]
    suppressed: int = 0


class ThrottledLog:
    def __init__(self, *, clock: Clock = SystemClock()) -> None:
        self._clock = clock
        self._windows: dict[str, _LogWindow] = {}

    def log(self, key: str, write: Callable[[int], object]) -> None:
        """Call `write` with the number of suppressed lines, now or later. `key` must not be empty."""
        if key not in self._windows and len(self._windows) >= MAX_KEYS:
            key, write = OTHER_KEYS, _log_other_lines
        if key in self._windows:
            self._windows[key].suppressed += 1
        elif key == OTHER_KEYS:
            self._open_window(key, _LogWindow(write, suppressed=1))
        else:
            write(0)
            self._open_window(key, _LogWindow(write))

    def _open_window(self, key: str, window: _LogWindow) -> None:
        self._windows[key] = window
        self._clock.call_later(INTERVAL_SECONDS, partial(self._close_window, key))

    def _close_window(self, key: str) -> None:
        window = self._windows.pop(key)
        if window.suppressed:
            window.write(window.suppressed)
            self._open_window(key, _LogWindow(window.write))


def _log_other_lines(suppressed: int) -> None:
    log.info("log.lines_suppressed", suppressed=suppressed)
