"""Counts work instead of measuring time."""

import sys
from collections.abc import Callable
from types import FrameType


def count_calls(function: Callable[[str], object], text: str) -> int:
    """How many functions were called."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event.endswith("call")

    sys.setprofile(count)
    try:
        function(text)
    finally:
        sys.setprofile(None)
    return calls
